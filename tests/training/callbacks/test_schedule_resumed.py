"""Schedules of a resumed training continue."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from resume_support import Training, interrupting, resumed, uninterrupted

from minigrad.optim import lr_scheduler


def test_no_warning_of_schedulers_on_resuming_at_the_end_of_the_first_epoch(tmp_path):
    def schedule(optimizer):
        return lr_scheduler.StepLR(optimizer, 1)

    Training(tmp_path, interrupting("on_batch_end", 4), schedule=schedule, interval="epoch").fit()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Training(tmp_path, schedule=schedule, interval="epoch").fit(resume=tmp_path)


class Decay:
    """A function of the epoch that remembers how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, epoch):
        self.calls += 1
        return 0.9**epoch / (1 + 0.01 * self.calls)


def warm_up(optimizer):
    return lr_scheduler.SequentialLR(
        optimizer,
        [
            lr_scheduler.LinearLR(optimizer, total_iters=3),
            lr_scheduler.MultiStepLR(optimizer, [2, 2, 4], gamma=0.5),
            lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2, 2),
        ],
        milestones=[4, 9],
    )


SCHEDULES = {
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "object": lambda o: lr_scheduler.LambdaLR(o, Decay()),
    "step": lambda o: lr_scheduler.StepLR(o, 2, gamma=0.5),
    "milestones": lambda o: lr_scheduler.MultiStepLR(o, [2, 5, 5, 8], gamma=0.5),
    "constant": lambda o: lr_scheduler.ConstantLR(o, 0.5, total_iters=4),
    "linear": lambda o: lr_scheduler.LinearLR(o, total_iters=6),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 5, eta_min=1e-4),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, 2),
    "triangular2": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 5e-2, 2, mode="triangular2"),
    "own cycle": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 5e-2, 2, scale_fn=Decay(), cycle_momentum=False),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.05, total_steps=13, three_phase=True),
    "sequence": warm_up,
}


@pytest.mark.parametrize("step", [3, 8])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_goes_on_from_a_file(tmp_path, name, step):
    expected = uninterrupted(tmp_path / "whole", schedule=SCHEDULES[name])
    np.random.seed(3)
    Training(tmp_path / "a", interrupting("on_batch_end", step), schedule=SCHEDULES[name]).fit()
    assert resumed(tmp_path / "a", schedule=SCHEDULES[name]) == expected


@pytest.mark.parametrize("name", ["step", "sequence"])
def test_schedules_per_epoch_go_on(tmp_path, name):
    settings = {"schedule": SCHEDULES[name], "interval": "epoch", "epochs": 6}
    expected = uninterrupted(tmp_path / "whole", **settings)
    np.random.seed(3)
    del settings["epochs"]
    Training(tmp_path / "a", interrupting("on_batch_end", 10), **settings).fit(6)
    assert resumed(tmp_path / "a", epochs=6, **settings) == expected


@pytest.mark.parametrize("step", [5, 11, 17])
def test_reduce_on_plateau_goes_on_in_its_cooldown(tmp_path, step):
    def plateau(optimizer):
        return lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, cooldown=2, factor=0.5, threshold=10.0)

    settings = {"schedule": plateau, "interval": "epoch", "monitor": "val_loss"}
    expected = uninterrupted(tmp_path / "whole", epochs=7, **settings)
    np.random.seed(3)
    Training(tmp_path / "a", interrupting("on_batch_end", step), **settings).fit(7)
    assert resumed(tmp_path / "a", epochs=7, **settings) == expected
    assert expected["groups"][0]["lr"] < 0.05
