"""What the Trainer and its callbacks are given wrongly: a clear word before anything is done, and nothing half-done."""

from __future__ import annotations

import errno
import os

import pytest
from refused_support import Raises, loader, make
from small_training import weights

import minigrad
from minigrad import nn
from minigrad.training import Callback, load_checkpoint
from minigrad.training.callbacks import (
    CSVLogger,
    ModelCheckpoint,
)


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
