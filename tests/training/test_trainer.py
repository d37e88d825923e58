"""The Trainer's loop: what a loop written by hand would do, with events in a fixed order that can be cancelled."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.training import Accuracy, Callback, Mean, Metric, Trainer
from minigrad.training.callbacks import CancelBatch, CancelEpoch, CancelFit, Order
from minigrad.utils.data import DataLoader, TensorDataset


def net(seed=0, inputs=3, outputs=1):
    minigrad.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.25), nn.Linear(6, outputs))


def data(samples=20, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, 3), dtype=np.float32)
    return TensorDataset(minigrad.tensor(x), minigrad.tensor(x.sum(1, keepdims=True)))


def make(callbacks=(), metrics=None, model=None, criterion=None, lr=0.05):
    model = net() if model is None else model
    optimizer = minigrad.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return Trainer(model, criterion or nn.MSELoss(), optimizer, metrics, callbacks)


def weights(model):
    return {name: t.numpy().tobytes() for name, t in model.state_dict().items()}


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


def when(event, act, epoch=1, batch=None, order=Order.MEASURE):
    """A callback that overrides one event alone."""

    def heard(self, trainer):
        if trainer.epoch == epoch and batch in (None, trainer.batch_index):
            act(trainer)

    return type("When", (Callback,), {event: heard, "order": order})()


def throw(error):
    def act(trainer):
        raise error

    return act


# ------------------------------------------------------------------------------------------------ the loop by hand


def test_the_fit_is_the_loop_written_by_hand():
    """Weights, losses and metrics bit for bit, also with a shorter last batch."""
    minigrad.kernels.load()  # as fit does
    train, val = data(22), data(10, seed=2)
    model = net()
    optimizer = minigrad.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.MSELoss()
    expected = []
    minigrad.manual_seed(5)
    train_loader, val_loader = DataLoader(train, 4, shuffle=True), DataLoader(val, 4)
    for epoch in (1, 2, 3):
        model.train()
        total = right = 0.0
        for x, y in train_loader:
            optimizer.zero_grad()
            output = model(x)
            loss = criterion(output, y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
            right += ((output > 0) == (y > 0.5)).sum().item()
        row = {"epoch": epoch, "loss": total / 22, "accuracy": right / 22}
        model.eval()
        total = right = 0.0
        with minigrad.no_grad():
            for x, y in val_loader:
                output = model(x)
                total += criterion(output, y).item() * len(x)
                right += ((output > 0) == (y > 0.5)).sum().item()
        expected.append({**row, "val_loss": total / 10, "val_accuracy": right / 10})

    trainer = make(metrics={"accuracy": Accuracy()})
    minigrad.manual_seed(5)
    history = trainer.fit(DataLoader(train, 4, shuffle=True), DataLoader(val, 4), epochs=3)
    assert history == expected
    assert history is trainer.history
    assert weights(trainer.model) == weights(model)
    assert (trainer.step, trainer.epoch, trainer.batch_index, trainer.batches) == (18, 3, 6, 6)
    assert trainer.model.training  # as a loop by hand leaves it


def test_summed_losses_are_means_over_samples_too():
    """The same weights (without an update) give the same figure for both reductions, with a shorter last batch."""
    figures = []
    for reduction in ("mean", "sum"):
        trainer = make(criterion=nn.MSELoss(reduction=reduction), model=nn.Linear(3, 1), lr=0.0)
        trainer.model.weight.data.fill_(0.5)
        trainer.model.bias.data.fill_(0.0)
        (row,) = trainer.fit(DataLoader(data(), 6), DataLoader(data(), 7))
        figures += [row["loss"], row["val_loss"], trainer.evaluate(DataLoader(data(), 3))["loss"]]
    assert figures == pytest.approx([figures[0]] * 6)


def test_several_inputs_and_outputs_and_targets_of_any_kind():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, a, b):
            return self.first(a), self.second(b)

    def criterion(outputs, target):
        assert target["names"] == ["u", "v", "w"]
        return sum(((y - target["y"]) ** 2).mean() for y in outputs)

    class Largest(Metric):
        def reset(self):
            self.value = -1.0

        def update(self, output, target):
            self.value = max(self.value, output[1].max().item())

        def compute(self):
            return self.value

    batch = [minigrad.randn(3, 3), minigrad.randn(3, 3), {"y": minigrad.randn(3, 2), "names": ["u", "v", "w"]}]
    trainer = make(model=Two(), criterion=criterion, metrics={"largest": Largest()})
    history = trainer.fit([batch, batch], [batch], epochs=3)
    assert history[-1]["loss"] < history[0]["loss"]
    assert set(history[0]) == {"epoch", "loss", "largest", "val_loss", "val_largest"}
    assert trainer.meters[""]["loss"].count == 6  # the samples of the first tensor, where the target is none
    first, second = trainer.predict([[*batch[:2], None], batch])
    assert tuple(first.shape) == tuple(second.shape) == (6, 2)
    assert np.array_equal(second.numpy()[:3], second.numpy()[3:])


def test_samples_are_counted_along_the_first_axis_of_the_target():
    """Of sequences (time, N, features) the inputs have another one."""

    class Last(nn.Linear):
        def forward(self, x):
            return super().forward(x[-1])

    trainer = make(model=Last(3, 1))
    trainer.fit([(minigrad.randn(7, 4, 3), minigrad.randn(4, 1)), (minigrad.randn(7, 2, 3), minigrad.randn(2, 1))])
    assert trainer.meters[""]["loss"].count == 6


def test_tensors_in_nested_batches_go_to_the_device():
    trainer = make()
    moved = trainer.to_device([minigrad.ones(1), {"a": minigrad.ones(2), "b": "text"}, (3,)])
    assert isinstance(moved, list)
    assert moved[1]["b"] == "text"
    assert moved[2] == (3,)


# ---------------------------------------------------------------------------------------------------------- events


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


# ------------------------------------------------------------------------------------------------------- cancelling


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


# ------------------------------------------------------------------------------------------------ figures and logs


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


def test_metrics_of_training_and_validation_share_nothing():
    metric = Accuracy()
    trainer = make(metrics={"accuracy": metric})
    trainer.fit(DataLoader(data(), 10), DataLoader(data(8), 8))
    assert metric.count == 0
    assert trainer.meters[""]["accuracy"].count == 20
    assert trainer.meters["val_"]["accuracy"].count == 8


# ---------------------------------------------------------------------------------------- evaluating and predicting


def test_evaluate_and_predict():
    trainer = make(metrics={"accuracy": Accuracy()})
    trainer.fit(DataLoader(data(), 10), DataLoader(data(), 6))
    figures = trainer.evaluate(DataLoader(data(), 6))
    assert figures == {"loss": trainer.history[-1]["val_loss"], "accuracy": trainer.history[-1]["val_accuracy"]}
    scores = trainer.predict(DataLoader(data(), 6))
    assert tuple(scores.shape) == (20, 1)
    assert not scores.requires_grad
    only_inputs = DataLoader(TensorDataset(data().tensors[0]), 6)
    assert np.array_equal(trainer.predict(only_inputs).numpy(), scores.numpy())
    assert np.array_equal(trainer.predict([data().tensors[0]]).numpy(), scores.numpy())
    assert trainer.model.training


def test_evaluation_alone_needs_no_optimizer():
    trainer = Trainer(net(), nn.MSELoss())
    trainer.model.eval()
    assert set(trainer.evaluate(DataLoader(data(), 6))) == {"loss"}
    assert not trainer.model.training
    with pytest.raises(ValueError, match="without an optimizer"):
        trainer.fit(DataLoader(data(), 6))


def test_evaluate_from_a_callback_disturbs_nothing():
    """At every event there is: weights and figures are those of a training without it."""

    class Curious(Callback):
        def __init__(self):
            self.loader = DataLoader(data(9, seed=4), 4, generator=minigrad.Generator().manual_seed(0))
            self.found = []

        def look(self, trainer):
            self.found.append(trainer.evaluate(self.loader))
            trainer.predict(self.loader)

        on_fit_start = on_epoch_start = on_batch_start = on_before_backward = look
        on_before_step = on_batch_end = on_validation_start = on_validation_batch_end = look
        on_validation_end = on_epoch_end = on_fit_end = look

    results = []
    for callbacks in ([], [Curious()]):
        trainer = make(callbacks, {"accuracy": Accuracy()})
        minigrad.manual_seed(3)
        history = trainer.fit(DataLoader(data(), 6, shuffle=True), DataLoader(data(12, seed=2), 5), epochs=2)
        results.append((history, weights(trainer.model)))
    assert results[0] == results[1]
    (curious,) = callbacks
    assert all(set(figures) == {"loss", "accuracy"} for figures in curious.found)


def test_layers_that_were_frozen_by_hand_stay_frozen():
    """Batch norm put into evaluation mode keeps its statistics, through epochs and evaluations."""
    model = net()
    model[1].eval()
    before = model[1].running_mean.numpy().copy()
    trainer = make(model=model)
    trainer.fit(DataLoader(data(), 5), DataLoader(data(), 10), epochs=2)
    trainer.evaluate(DataLoader(data(), 10))
    trainer.predict(DataLoader(data(), 10))
    assert [module.training for module in model] == [True, False, True, True, True]
    assert np.array_equal(model[1].running_mean.numpy(), before)


def test_a_model_in_evaluation_mode_is_put_into_training_mode():
    model = net().eval()
    before = model[1].running_mean.numpy().copy()
    make(model=model).fit(DataLoader(data(), 5))
    assert all(module.training for module in model.modules())
    assert not np.array_equal(model[1].running_mean.numpy(), before)


def test_the_mode_comes_back_after_an_error_in_an_evaluation():
    trainer = make()
    with pytest.raises(ValueError, match="Linear"):
        trainer.evaluate([(minigrad.ones(2, 4), minigrad.ones(2, 1))])
    assert trainer.model.training
    assert trainer.model[1].training
    assert minigrad.is_grad_enabled()
    assert trainer.batch is None


# ------------------------------------------------------------------------------------------------------ other uses


def test_the_same_trainer_fitted_twice():
    """The second fit counts and logs anew; weights and optimizer go on."""
    trainer = make()
    first = trainer.fit(DataLoader(data(), 5), epochs=2)
    between = weights(trainer.model)
    begun = []
    trainer.callbacks.append(when("on_epoch_start", lambda t: begun.append((t.step, weights(t.model)))))
    second = trainer.fit(DataLoader(data(), 5), epochs=3)
    assert len(first) == 2
    assert begun == [(0, between)]
    assert [row["epoch"] for row in second] == [1, 2, 3]
    assert trainer.step == 12
    assert len(trainer.optimizer.state) == 6


def test_a_second_fit_after_one_that_was_stopped_inside_an_epoch_begins_with_a_whole_epoch():
    seen = []
    stopping = when("on_batch_end", lambda t: t.stop("enough"), batch=2)
    trainer = make([stopping])
    loader = DataLoader(data(), 5)
    trainer.fit(loader, epochs=2)
    assert (trainer.inside_epoch, trainer.history) == (True, [])
    trainer.callbacks = [when("on_batch_end", lambda t: seen.append(t.batch_index))]
    trainer.fit(loader)
    assert seen == [1, 2, 3, 4]


def test_a_fit_in_a_thread():
    trainer = make()
    thread = threading.Thread(target=trainer.fit, args=(DataLoader(data(), 5), DataLoader(data(), 5), 2))
    thread.start()
    thread.join()
    assert len(trainer.history) == 2


def test_a_loop_by_hand_needs_no_trainer(tmp_path):
    """Metrics, tables and checkpoints work alone."""
    from minigrad.csv_table import write_table
    from minigrad.training import load_checkpoint, save_checkpoint

    model = net()
    optimizer = minigrad.optim.Adam(model.parameters())
    loss_mean, rows = Mean(), []
    for epoch in (1, 2):
        loss_mean.reset()
        for x, y in DataLoader(data(), 6):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            loss_mean.update(loss, len(x))
        rows.append({"epoch": epoch, "loss": loss_mean.compute()})
        write_table(tmp_path / "history.csv", rows)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rows": rows}
    save_checkpoint(state, tmp_path / "mine.safetensors")
    assert (tmp_path / "history.csv").read_text().splitlines()[0] == "epoch,loss"

    loaded = load_checkpoint(tmp_path / "mine.safetensors")
    other = net(seed=9)
    other.load_state_dict(loaded["model"])
    minigrad.optim.Adam(other.parameters()).load_state_dict(loaded["optimizer"])
    assert weights(other) == weights(model)
    assert loaded["rows"] == rows


# ---------------------------------------------------------------------------------------------------------- memory


def test_a_long_fit_leaves_no_garbage_and_needs_no_more_memory():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))

    class Looks(Callback):
        sizes = []

        def on_before_backward(self, trainer):
            if trainer.batch_index % 7 == 3:
                raise CancelBatch

        def on_epoch_end(self, trainer):
            self.sizes.append(tracemalloc.get_traced_memory()[0])

    trainer = make([Looks()], {"accuracy": Accuracy()}, model=model)
    loader = DataLoader(data(240), 4, shuffle=True)
    trainer.fit(loader, loader)  # whatever is made once
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        trainer.fit(loader, DataLoader(data(8), 4), epochs=10)
        assert gc.collect() == 0
    finally:
        tracemalloc.stop()
        gc.enable()
    assert trainer.step > 500
    assert Looks.sizes[-1] - Looks.sizes[3] < 20_000  # bytes; the rows of history are most of it
