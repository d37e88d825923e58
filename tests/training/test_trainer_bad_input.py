"""What the Trainer and its callbacks are given wrongly: a clear word before anything is done, and nothing half-done."""

from __future__ import annotations

import errno
import os
import random

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.optim import lr_scheduler
from minigrad.training import AUC, Accuracy, Callback, CheckpointError, NonFiniteError, Trainer, load_checkpoint
from minigrad.training.callbacks import (
    CSVLogger,
    EarlyStopping,
    GradientClipping,
    LRFinder,
    LRSchedule,
    ModelCheckpoint,
    OverfitOneBatch,
)
from minigrad.training.checkpoint import checkpoints_in
from minigrad.utils.data import DataLoader, IterableDataset, TensorDataset


def data(samples=20):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((samples, 3), dtype=np.float32)
    return TensorDataset(minigrad.tensor(x), minigrad.tensor((x.sum(1, keepdims=True) > 0).astype(np.float32)))


def loader(samples=20, size=5):
    return DataLoader(data(samples), size, shuffle=True)


def net(hidden=4):
    minigrad.manual_seed(0)
    return nn.Sequential(nn.Linear(3, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 1))


def make(callbacks=(), model=None, criterion=None, metrics=None, optimizer=None):
    model = net() if model is None else model
    optimizer = minigrad.optim.Adam(model.parameters()) if optimizer is None else optimizer(model)
    return Trainer(model, criterion or nn.BCEWithLogitsLoss(), optimizer, metrics, callbacks)


def weights(model):
    return {name: t.numpy().tobytes() for name, t in model.state_dict().items()}


class Raises(Callback):
    def __init__(self, event, error, order=0, step=None):
        def heard(trainer, *error_before):
            if step is None or trainer.step == step:
                raise error

        self.order = order
        self.__class__ = type("Raises", (Callback,), {event: lambda self, *arguments: heard(*arguments)})


class Misspelt(Callback):
    def on_epoch_ends(self, trainer):
        pass


# ----------------------------------------------------------------------------------------------------- making one


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"model": lambda x: x}, TypeError, "model is a function, expected an nn.Module"),
        ({"criterion": nn.MSELoss}, TypeError, "expected a loss such as nn.CrossEntropyLoss()"),
        ({"criterion": "mse"}, TypeError, "criterion is 'mse', expected a loss"),
        ({"optimizer": 0.1}, TypeError, "optimizer is a float, expected an Optimizer"),
        ({"callbacks": [EarlyStopping]}, TypeError, "expected a Callback; make an instance: EarlyStopping(...)"),
        ({"callbacks": [print]}, TypeError, "a callback is <built-in function print>, expected a Callback"),
        ({"callbacks": EarlyStopping("loss")}, TypeError, "callbacks is EarlyStopping, expected a list of Callbacks"),
        ({"metrics": [Accuracy()]}, TypeError, "metrics is a list, expected {name: Metric}"),
        ({"metrics": {"a": Accuracy}}, TypeError, "expected a Metric; make an instance: Accuracy(...)"),
        ({"metrics": {"a": lambda output, target: 0}}, TypeError, "the metric 'a' is <function"),
        ({"metrics": {"loss": Accuracy()}}, ValueError, "a metric cannot be called 'loss'"),
        ({"metrics": {"val_a": Accuracy()}}, ValueError, "a metric cannot be called 'val_a'"),
        ({"device": "tpu"}, RuntimeError, "'tpu' is not a device"),
        ({"model": net()}, ValueError, "optimizer holds none of the model's parameters; was the model made anew"),
        ({"callbacks": [Misspelt()]}, ValueError, "Misspelt listens to on_epoch_ends, which is no event; did you mean"),
    ],
)
def test_arguments_of_the_wrong_kind(arguments, error, said):
    model = net()
    given = {"model": model, "criterion": nn.MSELoss(), "optimizer": minigrad.optim.SGD(model.parameters(), 0.1)}
    with pytest.raises(error) as caught:
        Trainer(**{**given, **arguments})
    assert said in str(caught.value)


@pytest.mark.parametrize("epochs", [0, -1, 2.0, "3", None])
def test_epochs(epochs):
    with pytest.raises(ValueError, match="expected a whole number above 0"):
        make().fit(loader(), epochs=epochs)


# ------------------------------------------------------------------------------------------------- figures not there


@pytest.mark.parametrize(
    ("callback", "said"),
    [
        (lambda o: EarlyStopping("val_acuracy", mode="max"), "EarlyStopping: nobody logs 'val_acuracy'; did you mean"),
        (lambda o: EarlyStopping("val_acuracy", mode="max"), "'val_accuracy' or 'accuracy'?"),
        (lambda o: ModelCheckpoint("nowhere", "perplexity"), "There are: loss, accuracy, val_loss, val_accuracy"),
        (
            lambda o: LRSchedule(lr_scheduler.ReduceLROnPlateau(o), monitor="val_los"),
            "LRSchedule(ReduceLROnPlateau): nobody logs 'val_los'; did you mean 'val_loss'",
        ),
    ],
)
def test_a_figure_that_nobody_logs_is_found_out_before_the_training(tmp_path, monkeypatch, callback, said):
    monkeypatch.chdir(tmp_path)
    trainer = make(metrics={"accuracy": Accuracy()})
    trainer.callbacks = [callback(trainer.optimizer), Raises("on_fit_start", AssertionError("it has begun"))]
    before = weights(trainer.model)
    with pytest.raises(ValueError, match="nobody logs") as caught:
        trainer.fit(loader(), loader())
    assert said in str(caught.value)
    assert weights(trainer.model) == before
    assert list(tmp_path.iterdir()) == []


def test_a_figure_of_the_validation_without_a_validation():
    with pytest.raises(ValueError, match=r"nobody logs 'val_loss'; it needs a val_loader\. There are: loss"):
        make([EarlyStopping("val_loss")]).fit(loader())


def test_a_figure_that_a_callback_promised():
    class Promises(Callback):
        def log_names(self):
            return ("figure",)

    with pytest.raises(ValueError, match="EarlyStopping: nobody logs 'figure'; There are: loss") as caught:
        make([EarlyStopping("figure", mode="min"), Promises()]).fit(loader())
    assert (
        "Raised by the callback EarlyStopping in on_epoch_end (epoch 1, batch 4, step 4)" in caught.value.__notes__[0]
    )


# ---------------------------------------------------------------------------------------------------------- loaders


class Empty(IterableDataset):
    def __iter__(self):
        return iter(())


def test_loaders_that_yield_nothing():
    nothing = DataLoader(TensorDataset(minigrad.zeros(0, 3), minigrad.zeros(0, 1)), 4)
    for train, val, said in [
        (nothing, None, "Trainer.fit: train_loader has no batches; is the data set empty"),
        ([], None, "Trainer.fit: train_loader has no batches"),
        (loader(), nothing, "Trainer.fit: val_loader has no batches"),
        (DataLoader(Empty(), 4), None, "train_loader yielded no batch in epoch 1"),
        (loader(), DataLoader(Empty(), 4), "Trainer.fit: val_loader yielded no batch"),
        (iter([]), None, "train_loader yielded no batch in epoch 1"),
    ]:
        with pytest.raises(ValueError, match=said):
            make().fit(train, val)
    for call in (make().evaluate, make().predict):
        with pytest.raises(ValueError, match="loader has no batches"):
            call(nothing)
        with pytest.raises(ValueError, match="yielded no batch"):
            call(DataLoader(Empty(), 4))


@pytest.mark.parametrize("callback", [LRFinder(steps=10), OverfitOneBatch(steps=3, required=False)])
def test_searches_with_a_loader_that_yields_nothing(callback):
    with pytest.raises(ValueError, match="yielded no batch"):
        make([callback]).fit(DataLoader(Empty(), 4))


def test_generators_can_be_gone_through_once():
    def batches():
        yield from loader()

    assert len(make().fit(batches(), batches())) == 1
    for train, val, which in [(batches(), None, "train_loader"), (loader(), batches(), "val_loader")]:
        trainer = make()
        with pytest.raises(ValueError, match=f"{which} is a generator, which yields its batches once"):
            trainer.fit(train, val, epochs=2)
        assert trainer.step == 0
    used = batches()
    list(used)
    with pytest.raises(ValueError, match="train_loader yielded no batch in epoch 1; an iterator can be used only once"):
        make().fit(used)
    trainer = make()
    with pytest.raises(ValueError, match="train_loader yielded no batch in epoch 2"):
        trainer.fit(iter(list(loader())), epochs=2)
    assert len(trainer.history) == 1  # what was trained stays


def test_a_data_set_is_no_loader():
    for call in (make().fit, make().evaluate, make().predict):
        with pytest.raises(TypeError, match=r"is a TensorDataset, expected .* make DataLoader\(dataset, batch_size=32"):
            call(data())
    with pytest.raises(TypeError, match="train_loader is a NoneType"):
        make().fit(None)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"x": minigrad.ones(2, 3), "y": minigrad.ones(2, 1)}, "a batch is a dict, expected"),
        (minigrad.ones(2, 3), "a batch is a Tensor, expected"),
        ([minigrad.ones(2, 3)], "a batch is a list of 1, expected"),
        ((), "a batch is a tuple of 0, expected"),
    ],
)
def test_batches_of_another_form(batch, said):
    for call in (make().fit, make().evaluate):
        with pytest.raises(TypeError, match=rf"Trainer: {said} \(input, …, target\)"):
            call([batch])


def test_a_loader_that_fails_in_the_middle():
    def batches():
        yield from list(loader())[:2]
        raise OSError("the disk is gone")

    trainer = make()
    with pytest.raises(OSError, match="the disk is gone"):
        trainer.fit(batches())
    assert trainer.step == 2


# ------------------------------------------------------------------------------------------------------------ losses


def test_losses_that_are_no_number():
    for criterion, said in [
        (nn.BCEWithLogitsLoss(reduction="none"), r"of shape \(5, 1\), expected a tensor of one element"),
        (lambda output, target: 0.5, "of type float, expected a tensor of one element"),
    ]:
        trainer = make(criterion=criterion)
        before = weights(trainer.model)
        for call in (trainer.fit, trainer.evaluate):
            with pytest.raises(ValueError, match=said):
                call(loader())
        changed = {k for k, v in weights(trainer.model).items() if v != before[k]}
        assert changed <= {"1.running_mean", "1.running_var", "1.num_batches_tracked"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_at_the_start(value):
    trainer = make(criterion=lambda output, target: (output * 0).sum() + value)
    before = weights(trainer.model)
    with pytest.raises(NonFiniteError, match=r"Trainer.fit: .*epoch 1, batch 1"):
        trainer.fit(loader())
    assert weights(trainer.model) == before  # running statistics included
    assert trainer.step == 0
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


# -------------------------------------------------------------------------------------------- callbacks that raise


@pytest.mark.parametrize(
    ("event", "where"),
    [
        ("on_fit_start", "(epoch 0, batch 0, step 0)"),
        ("on_epoch_start", "(epoch 1, batch 0, step 0)"),
        ("on_before_step", "(epoch 1, batch 1, step 0)"),
        ("on_batch_end", "(epoch 1, batch 1, step 1)"),
        ("on_validation_batch_end", "(epoch 1, batch 4, step 4)"),
        ("on_epoch_end", "(epoch 1, batch 4, step 4)"),
        ("on_fit_end", "(epoch 1, batch 4, step 4)"),
    ],
)
@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
def test_a_callback_that_raises_is_named_and_the_run_stops_cleanly(event, where, error):
    heard = []

    class Listens(Callback):
        def on_exception(self, trainer, error):
            heard.append((type(error), trainer.step))

    error = type(error)(*error.args)
    trainer = make([Raises(event, error), Listens()])
    with pytest.raises(type(error)) as caught:
        trainer.fit(loader(), loader())
    assert caught.value is error
    assert caught.value.__notes__ == [f"Raised by the callback Raises in {event} {where}."]
    assert heard == [(type(error), trainer.step)]
    assert minigrad.is_grad_enabled()
    assert trainer.model.training
    assert len(make().fit(loader())) == 1
    trainer.callbacks = []
    assert len(trainer.fit(loader())) == 1  # the same trainer works on


def test_an_error_in_on_exception_does_not_hide_the_first_one():
    heard = []

    class Listens(Callback):
        def on_exception(self, trainer, error):
            heard.append(error)

    trainer = make([Raises("on_epoch_end", RuntimeError("first")), Raises("on_exception", OSError("then")), Listens()])
    with pytest.raises(RuntimeError, match="first") as caught:
        trainer.fit(loader())
    assert caught.value.__notes__[1] == "Then Raises failed in on_exception: OSError: then"
    assert heard == [caught.value]


def test_what_was_trained_is_kept_when_the_model_fails(tmp_path):
    calls = []

    class Fails(nn.Linear):
        def forward(self, x):
            calls.append(1)
            if len(calls) == 3:
                raise ZeroDivisionError("in the model")
            return super().forward(x)

    trainer = make([ModelCheckpoint(tmp_path, every_steps=1)], nn.Sequential(nn.Linear(3, 2), Fails(2, 1)))
    with pytest.raises(ZeroDivisionError, match="in the model"):
        trainer.fit(loader())
    assert trainer.step == 2
    kept = minigrad.load(tmp_path / "after-error.safetensors")
    assert {name: t.numpy().tobytes() for name, t in kept.items()} == weights(trainer.model)
    assert load_checkpoint(tmp_path)["position"]["step"] == 2


# --------------------------------------------------------------------------------------------- places and full disks


def test_places_that_cannot_be_written_are_found_out_before_the_training(tmp_path):
    (tmp_path / "file").write_text("")
    for callback in (ModelCheckpoint(tmp_path / "file" / "a"), CSVLogger(tmp_path / "file" / "a" / "history.csv")):
        trainer = make([callback])
        with pytest.raises(OSError, match="file") as caught:
            trainer.fit(loader())
        assert "in on_fit_start" in caught.value.__notes__[0]
        assert trainer.step == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_folders_without_the_right_to_write(tmp_path):
    tmp_path.chmod(0o500)
    trainer = make([ModelCheckpoint(tmp_path)])
    with pytest.raises(PermissionError):
        trainer.fit(loader())
    assert trainer.step == 0


def test_a_disk_that_fills_up_in_the_training(tmp_path, monkeypatch):
    """The fit ends with an error that says where; the checkpoint before it stands, and the training goes on from it."""
    sync = os.fsync

    class Fills(Callback):
        def on_batch_end(self, trainer):
            if trainer.step == 7:
                monkeypatch.setattr(os, "fsync", full)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    trainer = make([ModelCheckpoint(tmp_path, every_steps=2), Fills()])
    with pytest.raises(OSError, match="No space left on device") as caught:
        trainer.fit(loader(), epochs=3)
    assert "ModelCheckpoint in on_batch_end (epoch 2, batch 4, step 8)" in caught.value.__notes__[0]
    assert "Then ModelCheckpoint failed in on_exception: OSError" in caught.value.__notes__[1]
    monkeypatch.setattr(os, "fsync", sync)
    assert [p.name for p in tmp_path.iterdir() if "step" not in p.name] == []
    again = make([ModelCheckpoint(tmp_path, every_steps=2)])
    assert len(again.fit(loader(), epochs=3, resume=tmp_path)) == 3
    assert trainer.step == 8


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"every_epochs": 0}, "every_epochs = 0"), ({"every_steps": 0}, "every_steps = 0"), ({"keep": 1}, "keep = 1")],
)
def test_settings_of_checkpoints(settings, said):
    with pytest.raises(ValueError, match=f"ModelCheckpoint: {said}, expected a whole number"):
        ModelCheckpoint("nowhere", **settings)


# ------------------------------------------------------------------------------------- going on with the wrong thing


class Counts(Callback):
    """A callback of a user's own that changes itself in place when it is loaded."""

    def __init__(self):
        self.seen = [0]

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen[:] = state["seen"]


class Refuses(Callback):
    """Takes no state but its own."""

    order = 99

    def state_dict(self):
        return {"x": 1}

    def load_state_dict(self, state):
        if state["x"] != 1:
            raise ValueError("I do not take it")


def training(folder, **changed):
    settings = {
        "model": net,
        "metrics": {"accuracy": Accuracy()},
        "optimizer": lambda m: minigrad.optim.Adam(m.parameters()),
        "monitor": "val_loss",
        "schedule": lambda o: lr_scheduler.StepLR(o, 2),
        "samples": 20,
        "more": (),
        **changed,
    }
    model = settings["model"]()
    optimizer = settings["optimizer"](model)
    callbacks = [
        Counts(),
        LRSchedule(settings["schedule"](optimizer), "batch"),
        EarlyStopping(settings["monitor"], mode="min"),
        ModelCheckpoint(folder, every_steps=3),
        *settings["more"],
    ]
    trainer = Trainer(model, nn.BCEWithLogitsLoss(), optimizer, settings["metrics"], callbacks)
    return trainer, DataLoader(data(settings["samples"]), 5, shuffle=True, generator=minigrad.Generator())


def validation():
    return DataLoader(data(), 5, shuffle=True, generator=minigrad.Generator())


def everything(trainer, batches):
    """All that a failed resumption must leave."""
    return (
        weights(trainer.model),
        {p: sorted(kept) for p, kept in enumerate(trainer.optimizer.state.values())},
        repr(trainer.optimizer.state_dict()["param_groups"]),
        repr([callback.state_dict() for callback in trainer.callbacks]),
        repr({name: meter.state_dict() for name, meter in trainer.meters[""].items()}),
        (trainer.epoch, trainer.batch_index, trainer.step, trainer.history, trainer.inside_epoch),
        minigrad.get_rng_state(),
        random.getstate(),
        batches.state_dict() if hasattr(batches, "state_dict") else None,
    )


def two_groups(model):
    return minigrad.optim.Adam([{"params": [p]} for p in model.parameters()])


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The folder of a training that stands in the middle of its second epoch."""
    folder = tmp_path_factory.mktemp("begun")
    trainer, batches = training(folder)

    class Stops(Callback):
        def on_batch_end(self, trainer):
            if trainer.step == 6:
                trainer._interrupt()

    trainer.callbacks.append(Stops())
    trainer.fit(batches, validation(), epochs=4)
    assert checkpoints_in(folder)[-1].name == "step-00000006.safetensors"
    return folder


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": lambda: net(5)}, "of another model (0.weight: (4, 3) in the checkpoint, (5, 3) in the model"),
        ({"model": lambda: nn.Sequential(*net(), nn.Linear(1, 1))}, "4.weight: not there in the checkpoint, (1, 1)"),
        ({"metrics": {"auc": AUC()}}, "with the metrics accuracy, loss; this one has auc, loss"),
        ({"metrics": {"accuracy": AUC()}}, "another metric under the name 'accuracy'"),
        ({"optimizer": lambda m: minigrad.optim.SGD(m.parameters(), 0.1)}, "a training by Adam, this one is by SGD"),
        ({"optimizer": two_groups}, "the state has groups of [6] parameters"),
        ({"samples": 30}, "a loader with 4 batches in an epoch, this one has 6"),
        ({"monitor": "loss"}, "the best val_loss is no measure for loss"),
        ({"schedule": lambda o: lr_scheduler.ExponentialLR(o, 0.9)}, "cannot go on with the schedule of a StepLR"),
        ({"more": [EarlyStopping("loss")]}, "this one has Counts, EarlyStopping, EarlyStopping-2, LRSchedule"),
        ({"more": [GradientClipping(1.0)]}, "this one has Counts, EarlyStopping, GradientClipping, LRSchedule"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_resuming_with_something_else_changes_nothing(begun, tmp_path, changed, said):
    trainer, batches = training(tmp_path, **changed)
    trainer.callbacks[0].seen[0] = 17
    val = validation()
    before = everything(trainer, batches), val.state_dict()
    with pytest.raises(CheckpointError) as caught:
        trainer.fit(batches, val, epochs=4, resume=begun)
    assert said in str(caught.value)
    assert (everything(trainer, batches), val.state_dict()) == before
    assert list(tmp_path.iterdir()) == []


def test_a_callback_that_refuses_its_state_changes_nothing(begun, tmp_path):
    trainer, batches = training(tmp_path, more=[Refuses()])
    state = load_checkpoint(begun)
    state["callbacks"]["Refuses"] = {"x": 2}
    before = everything(trainer, batches)
    with pytest.raises(CheckpointError, match="does not fit this training: I do not take it"):
        trainer.fit(batches, validation(), epochs=4, resume=state)
    assert everything(trainer, batches) == before


def test_resuming_inside_an_epoch_with_a_loader_that_cannot(begun, tmp_path):
    trainer, batches = training(tmp_path)
    plain = list(batches)
    before = everything(trainer, batches)
    with pytest.raises(CheckpointError, match="stands inside epoch 2, and train_loader cannot go on there"):
        trainer.fit(plain, validation(), epochs=4, resume=begun)
    assert everything(trainer, batches) == before


def test_fewer_epochs_than_are_done(begun, tmp_path):
    trainer, batches = training(tmp_path)
    before = everything(trainer, batches)
    with pytest.raises(CheckpointError, match="is of epoch 2, and the training is to end after epochs = 1"):
        trainer.fit(batches, validation(), epochs=1, resume=begun)
    assert everything(trainer, batches) == before


def test_resuming_from_what_is_no_checkpoint(begun, tmp_path):
    trainer, batches = training(tmp_path)
    before = everything(trainer, batches)
    damaged = tmp_path / "step-00000009.safetensors"
    damaged.write_bytes((begun / "step-00000006.safetensors").read_bytes()[:-50])
    (tmp_path / "step-00000006.safetensors").write_bytes((begun / "step-00000006.safetensors").read_bytes())
    minigrad.save(trainer.model.state_dict(), tmp_path / "best.safetensors")
    for resume, said in [
        (damaged, "go on from the one before it, which is whole: .*step-00000006"),
        (tmp_path / "nothing.safetensors", "there is no checkpoint"),
        (tmp_path / "best.safetensors", "is no checkpoint: it holds tensors alone"),
        ({"weights": 1}, "not the state of a Trainer of this version: its format is None"),
    ]:
        with pytest.raises(CheckpointError, match=said):
            trainer.fit(batches, validation(), epochs=4, resume=resume)
        assert everything(trainer, batches) == before
    assert len(trainer.fit(batches, validation(), epochs=4, resume=tmp_path / "step-00000006.safetensors")) == 4


def test_iterating_over_the_training_loader_inside_its_epoch(tmp_path):
    """The place in the order is lost then; a checkpoint says so, instead of one that goes on wrongly."""

    class Evaluates(Callback):
        def on_batch_end(self, trainer):
            if trainer.batch_index == 2:
                trainer.evaluate(trainer.train_loader)

    assert len(make([Evaluates()]).fit(loader())) == 1
    with pytest.raises(CheckpointError, match="stands at batch 0, the training at batch 2: somebody iterated over"):
        make([Evaluates(), ModelCheckpoint(tmp_path, every_steps=1)]).fit(loader())
    folder = tmp_path / "at the end"

    class AtTheEnd(Callback):
        def on_epoch_end(self, trainer):
            trainer.log("plain_loss", trainer.evaluate(trainer.train_loader)["loss"])

    make([AtTheEnd(), ModelCheckpoint(folder, every_steps=1)]).fit(loader(), epochs=2)
    again = make([AtTheEnd(), ModelCheckpoint(folder, every_steps=1)])
    assert len(again.fit(loader(), epochs=3, resume=folder)) == 3
