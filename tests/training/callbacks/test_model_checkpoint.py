"""The checkpoints in a folder."""

from __future__ import annotations

import numpy as np
import pytest
from resume_support import Training

import minigrad
from minigrad.training import Callback
from minigrad.training.callbacks import (
    ModelCheckpoint,
)
from minigrad.training.checkpoint import checkpoints_in


def test_what_stays_in_the_folder(tmp_path):
    (tmp_path / ".minigrad-0123.tmp").write_bytes(b"a save that was killed")
    training = Training(tmp_path, every_steps=3, keep=3)
    training.fit()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "best.safetensors",
        "step-00000008.safetensors",
        "step-00000009.safetensors",
        "step-00000012.safetensors",
    ]
    best = minigrad.load(training.checkpoints.best_weights)
    assert set(best) == set(training.model.state_dict())


def test_newer_checkpoints_go_where_the_training_went_back(tmp_path):
    """Else the next resumption would take one of a future that was left."""
    Training(tmp_path, every_steps=1, keep=99).fit()
    again = Training(tmp_path, every_steps=1, keep=3)
    place = tmp_path / "step-00000005.safetensors"

    class Stops(Callback):
        def on_batch_end(self, trainer):
            trainer.stop("enough")

    again.trainer.callbacks.append(Stops())
    again.fit(resume=place)
    assert [p.name for p in checkpoints_in(tmp_path)] == [f"step-{n:08d}.safetensors" for n in (4, 5, 6)]


def test_the_checkpoints_of_another_training_are_left_alone(tmp_path):
    Training(tmp_path).fit(1)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    training = Training(tmp_path)
    with pytest.raises(FileExistsError, match=r"holds the checkpoints of another training \(step-00000004"):
        training.fit(1)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert training.trainer.step == 0


def test_a_metric_that_is_nan_stops_no_checkpoints(tmp_path):
    class Sometimes(Callback):
        def on_validation_end(self, trainer):
            trainer.log("figure", [np.nan, 0.5, np.nan, 0.75][trainer.epoch - 1])

        def log_names(self):
            return ("figure",)

    training = Training(tmp_path, every_steps=None, keep=9)
    checkpoints = ModelCheckpoint(tmp_path, "figure", mode="min", keep=9)
    training.trainer.callbacks = [checkpoints, Sometimes()]
    with pytest.warns(UserWarning, match=r"figure is NaN after epoch [13], so this epoch cannot become the best one"):
        training.fit(4)
    assert (checkpoints.best.value, checkpoints.best.epoch) == (0.5, 2)
    assert len(checkpoints_in(tmp_path)) == 4
