"""The events of a fit: their order, ranks, and what callbacks may do in them."""

from __future__ import annotations

import numpy as np
import pytest
from loop_support import make, when
from small_training import data

import minigrad
from minigrad.training import Callback
from minigrad.training.callbacks import CancelBatch, CancelEpoch, CancelFit, Order
from minigrad.utils.data import DataLoader


class Events(Callback):
    """Notes every event, or those whose trainer says so."""

    def __init__(self, heard):
        self.heard = heard


def _noting(event):
    def method(self, trainer, *error):
        self.heard.append(event)

    return method


for _event in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(Events, _event, _noting(_event))


def throw(error):
    def act(trainer):
        raise error

    return act


def test_the_order_of_events():
    heard = []
    make([Events(heard)]).fit(DataLoader(data(), 10), DataLoader(data(), 20), epochs=2)
    batch = ["on_batch_start", "on_before_backward", "on_before_step", "on_batch_end"]
    validation = ["on_validation_start", "on_validation_batch_end", "on_validation_end"]
    epoch = ["on_epoch_start", *batch, *batch, *validation, "on_epoch_end"]
    assert heard == ["on_fit_start", *epoch, *epoch, "on_fit_end"]
    heard.clear()
    make([Events(heard)]).fit(DataLoader(data(), 20))
    assert heard == ["on_fit_start", "on_epoch_start", *batch, "on_epoch_end", "on_fit_end"]


def test_what_is_known_at_each_event():
    seen = {}

    def note(name, what):
        def act(trainer):
            seen[name] = what(trainer)

        return when(name, act, batch=2 if "batch" in name and "validation" not in name else None)

    callbacks = [
        note("on_batch_start", lambda t: (t.batch_index, t.batches, t.step, len(t.batch[0]), t.inside_epoch)),
        note("on_before_backward", lambda t: (t.output.shape, t.loss.numel(), t.model[0].weight.grad)),
        note("on_before_step", lambda t: (t.model[0].weight.grad is not None, t.step)),
        note("on_batch_end", lambda t: (t.step, t.meters[""]["loss"].count)),
        note("on_validation_start", lambda t: (set(t.logs), t.batches_done, t.model.training)),
        note("on_validation_batch_end", lambda t: (t.model.training, t.loss.requires_grad, len(t.batch[1]))),
        note("on_validation_end", lambda t: (set(t.logs), t.inside_epoch, t.model.training, len(t.history))),
        note("on_epoch_end", lambda t: (t.history[-1] == {"epoch": 1, **t.logs}, t.inside_epoch)),
    ]
    make(callbacks).fit(DataLoader(data(), 10), DataLoader(data(8), 8))
    assert seen["on_batch_start"] == (2, 2, 1, 10, True)
    assert seen["on_before_backward"] == ((10, 1), 1, None)
    assert seen["on_before_step"] == (True, 1)
    assert seen["on_batch_end"] == (2, 20)
    assert seen["on_validation_start"] == ({"loss"}, True, True)
    assert seen["on_validation_batch_end"] == (False, False, 8)
    assert seen["on_validation_end"] == ({"loss", "val_loss"}, True, True, 0)
    assert seen["on_epoch_end"] == (True, False)


def test_ranks_and_then_the_order_given():
    heard = []

    def named(name, order):
        return when("on_epoch_end", lambda trainer: heard.append(name), order=order)

    given = [
        named("save", Order.SAVE),
        named("control", Order.CONTROL),
        named("first", Order.MEASURE),
        named("report", Order.REPORT),
        named("second", Order.MEASURE),
    ]
    make(given).fit(DataLoader(data(), 10))
    assert heard == ["first", "second", "control", "report", "save"]


def test_events_that_nobody_overrides_cost_nothing():
    trainer = make([when("on_epoch_end", lambda trainer: None)])
    trainer.fit(DataLoader(data(), 10))
    assert {event: len(those) for event, those in trainer._listeners.items() if those} == {"on_epoch_end": 1}


def test_a_callback_may_replace_the_batch_and_be_added_before_the_fit():
    def doubled(trainer):
        x, y = trainer.batch
        trainer.batch = [x * 2, y]  # a list, as the loader's

    trainer = make()
    trainer.callbacks.append(when("on_batch_start", doubled))
    seen = []
    trainer.callbacks.append(when("on_batch_end", lambda t: seen.append(t.batch[0])))
    trainer.fit(DataLoader(data(), 20))
    assert np.array_equal(seen[0].numpy(), 2 * data().tensors[0].numpy())


@pytest.mark.parametrize(
    ("event", "updates"),
    [("on_batch_start", 1), ("on_before_backward", 1), ("on_before_step", 1), ("on_batch_end", 2)],
)
def test_cancelling_a_batch(event, updates):
    heard = []
    trainer = make([when(event, throw(CancelBatch()), batch=1), Events(heard)])
    (row,) = trainer.fit(DataLoader(data(), 10))
    assert trainer.step == updates
    assert heard.count("on_batch_end") == 1  # the later ones of the event do not hear it either
    assert heard[-2:] == ["on_epoch_end", "on_fit_end"]
    assert np.isfinite(row["loss"])
    assert "on_exception" not in heard


@pytest.mark.parametrize("event", ["on_epoch_start", "on_batch_start", "on_before_step", "on_batch_end"])
def test_cancelling_an_epoch(event):
    heard = []
    trainer = make([when(event, throw(CancelEpoch()), epoch=2), Events(heard)])
    history = trainer.fit(DataLoader(data(), 5), DataLoader(data(), 20), epochs=3)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all(np.isfinite(row["val_loss"]) for row in history)
    assert trainer.step == 8 + (event == "on_batch_end")
    assert heard.count("on_epoch_end") == 3
    assert np.isnan(history[1]["loss"]) == (event != "on_batch_end")


@pytest.mark.parametrize(
    ("event", "epochs_done"),
    [
        ("on_fit_start", 0),
        ("on_epoch_start", 1),
        ("on_batch_start", 1),
        ("on_before_step", 1),
        ("on_validation_start", 1),
        ("on_validation_batch_end", 1),
        ("on_epoch_end", 2),
    ],
)
def test_cancelling_the_fit(event, epochs_done):
    heard = []
    epoch = 0 if event == "on_fit_start" else 2
    trainer = make([when(event, throw(CancelFit("enough")), epoch=epoch), Events(heard)])
    assert len(trainer.fit(DataLoader(data(), 5), DataLoader(data(), 20), epochs=4)) == epochs_done
    assert trainer.stopped == "enough"
    assert heard[-1] == "on_fit_end"
    assert trainer.model.training
    assert minigrad.is_grad_enabled()


@pytest.mark.parametrize(
    ("event", "batch", "epochs", "steps"),
    [
        ("on_fit_start", None, 0, 0),
        ("on_epoch_start", None, 0, 0),
        ("on_batch_start", 2, 0, 2),
        ("on_batch_end", 2, 0, 2),
        ("on_validation_batch_end", None, 1, 4),
        ("on_epoch_end", None, 1, 4),
    ],
)
def test_stopping_lets_the_event_be_heard_to_its_end(event, batch, epochs, steps):
    heard = []
    epoch = 0 if event == "on_fit_start" else 1
    trainer = make([when(event, lambda trainer: trainer.stop("enough"), epoch, batch), Events(heard)])
    assert len(trainer.fit(DataLoader(data(), 5), DataLoader(data(), 20), epochs=3)) == epochs
    assert (trainer.stopped, trainer.step) == ("enough", steps)
    assert heard[-1] == "on_fit_end"
    assert event in heard
    trainer.stop("again")
    assert trainer.stopped == "enough"


def test_cancelling_where_it_means_nothing_is_an_error_that_names_the_callback():
    with pytest.raises(CancelBatch) as caught:
        make([when("on_epoch_end", throw(CancelBatch()))]).fit(DataLoader(data(), 10))
    assert "Raised by the callback When in on_epoch_end (epoch 1, batch 2, step 2)" in caught.value.__notes__[0]


def test_figures_that_callbacks_log():
    callbacks = [
        when("on_batch_end", lambda t: t.log("twice", t.loss * 2), batch=2),
        when("on_epoch_end", lambda t: t.log("late", np.float32(0.5))),
        when("on_epoch_end", lambda t: t.log("seconds", 1.5, performance=True)),
    ]
    trainer = make(callbacks)
    history = trainer.fit(DataLoader(data(), 10), epochs=2)
    assert set(history[0]) == {"epoch", "loss", "twice", "late"}
    assert isinstance(history[0]["twice"], float)
    assert history[0]["late"] == 0.5
    assert set(history[1]) == {"epoch", "loss"}
    assert trainer.performance_history == [{"epoch": 1, "seconds": 1.5}, {"epoch": 2}]
    assert trainer.value("loss", "x") == history[1]["loss"]
