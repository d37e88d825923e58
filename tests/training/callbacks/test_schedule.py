"""Schedulers, called by epoch or by batch."""

from __future__ import annotations

import pytest
from small_training import fit_with, loader, make, net

import minigrad
from minigrad.optim import lr_scheduler
from minigrad.training.callbacks import (
    LearningRateMonitor,
    LRSchedule,
)


def test_schedules_per_epoch_and_per_batch():
    for interval, steps in (("epoch", 3), ("batch", 6)):
        trainer = make()
        schedule = lr_scheduler.StepLR(trainer.optimizer, 1, gamma=0.5)
        trainer.callbacks = [LearningRateMonitor(), LRSchedule(schedule, interval)]
        history = trainer.fit(loader(), epochs=3)
        assert schedule.last_epoch == steps
        assert trainer.optimizer.param_groups[0]["lr"] == 0.05 * 0.5**steps
        if interval == "epoch":
            assert [row["lr"] for row in history] == [0.05, 0.025, 0.0125]  # those of the updates, not after them


def test_reduce_on_plateau_waits_out_its_cooldown():
    """patience 0: each bad epoch reduces, but for the two epochs of cooldown after a reduction."""
    model = net()
    optimizer = minigrad.optim.SGD(model.parameters(), lr=1e-3)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, cooldown=2)
    rates = LearningRateMonitor()
    trainer, _ = fit_with(
        [1, 2, 2, 2, 2, 2, 2], LRSchedule(plateau, monitor="figure"), rates, model=model, optimizer=optimizer
    )
    assert [row["lr"] / 1e-3 for row in trainer.history] == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_schedules_that_do_not_fit():
    trainer = make()
    step = lr_scheduler.StepLR(trainer.optimizer, 1)
    plateau = lr_scheduler.ReduceLROnPlateau(trainer.optimizer)
    with pytest.raises(TypeError, match="LRSchedule: scheduler is a SGD, expected an LRScheduler"):
        LRSchedule(trainer.optimizer)
    with pytest.raises(ValueError, match="interval = 'step', expected 'epoch' or 'batch'"):
        LRSchedule(step, "step")
    with pytest.raises(ValueError, match="StepLR watches no metric; leave monitor out"):
        LRSchedule(step, monitor="loss")
    for arguments in ({}, {"monitor": "loss", "interval": "batch"}):
        with pytest.raises(ValueError, match="ReduceLROnPlateau needs monitor"):
            LRSchedule(plateau, **arguments)
    other = make([LRSchedule(step)])
    with pytest.raises(ValueError, match=r"LRSchedule\(StepLR\): its scheduler is of another optimizer"):
        other.fit(loader())
    assert other.step == 0
