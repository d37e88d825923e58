"""States that do not fit a training: refused, and nothing has changed."""

from __future__ import annotations

import random

import pytest
from refused_support import data, loader, make, net
from small_training import weights

import minigrad
from minigrad import nn
from minigrad.optim import lr_scheduler
from minigrad.training import AUC, Accuracy, Callback, CheckpointError, Trainer, load_checkpoint
from minigrad.training.callbacks import (
    EarlyStopping,
    GradientClipping,
    LRSchedule,
    ModelCheckpoint,
)
from minigrad.training.checkpoint import checkpoints_in
from minigrad.utils.data import DataLoader


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
    with pytest.raises(CheckpointError, match="stands at batch 0, the training at batch 2: it was iterated over"):
        make([Evaluates(), ModelCheckpoint(tmp_path, every_steps=1)]).fit(loader())
    folder = tmp_path / "at the end"

    class AtTheEnd(Callback):
        def on_epoch_end(self, trainer):
            trainer.log("plain_loss", trainer.evaluate(trainer.train_loader)["loss"])

    make([AtTheEnd(), ModelCheckpoint(folder, every_steps=1)]).fit(loader(), epochs=2)
    again = make([AtTheEnd(), ModelCheckpoint(folder, every_steps=1)])
    assert len(again.fit(loader(), epochs=3, resume=folder)) == 3
