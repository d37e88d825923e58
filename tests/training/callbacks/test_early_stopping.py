"""Early stopping: when it stops, and which weights stay."""

from __future__ import annotations

import math

import pytest
from small_training import NAN, fit_with, loader, weights

from minigrad.optim import lr_scheduler
from minigrad.training.callbacks import (
    EarlyStopping,
    LRSchedule,
)


@pytest.mark.parametrize(
    ("values", "settings", "epochs", "best"),
    [
        ([3, 2, 1, 2, 3, 4], {"mode": "min", "patience": 2}, 5, (1, 3)),
        ([1, 2, 3, 2, 1, 4], {"mode": "max", "patience": 2}, 5, (3, 3)),
        ([3, 4, 2, 4, 1, 9], {"mode": "min", "patience": 2}, 6, (1, 5)),  # the count begins anew with each gain
        ([3, 3, 3], {"mode": "min", "patience": 1}, 2, (3, 1)),
        ([3, 2.95, 2.91, 2.85], {"mode": "min", "patience": 3, "min_delta": 0.1}, 4, (2.85, 4)),
        ([3, 2.95, 2.91, 2.5], {"mode": "min", "patience": 2, "min_delta": 0.1}, 3, (3, 1)),
        ([1, 1.5], {"mode": "max", "patience": 1, "min_delta": 0.5}, 2, (1, 1)),  # as much is no more
        ([NAN, NAN, 1, 2], {"mode": "min", "patience": 2}, 2, (None, 0)),
        ([NAN, 5, NAN, 4, NAN, NAN], {"mode": "min", "patience": 2}, 6, (4, 4)),
        ([math.inf, 5, 6], {"mode": "min", "patience": 2}, 3, (5, 2)),
    ],
)
def test_early_stopping(values, settings, epochs, best):
    stopping = EarlyStopping("figure", **settings)
    trainer, says = fit_with(values, stopping)
    assert len(trainer.history) == epochs
    assert (stopping.best.value, stopping.best.epoch) == best
    if stopping.best.epoch:
        assert weights(trainer.model) == says.weights[stopping.best.epoch - 1]
    assert (trainer.stopped is not None) == (stopping.waited >= settings["patience"])


def test_early_stopping_says_why():
    trainer, _ = fit_with([3, 4, 5], EarlyStopping("figure", mode="min", patience=2))
    assert trainer.stopped == "figure has not improved on 3 of epoch 1 for 2 epochs (EarlyStopping)"
    trainer, _ = fit_with([NAN, 5], EarlyStopping("figure", mode="min", patience=1))
    assert trainer.stopped == "figure has not improved on no number yet for an epoch (EarlyStopping)"


def test_the_best_weights_come_back_only_if_asked():
    trainer, says = fit_with([1, 2, 3], EarlyStopping("figure", mode="min", patience=9, restore_best=False))
    assert weights(trainer.model) == says.weights[2]
    trainer, says = fit_with([1, 2, 3], EarlyStopping("figure", mode="min", patience=9))
    assert weights(trainer.model) == says.weights[0]


def test_the_best_is_forgotten_between_fits():
    stopping = EarlyStopping("figure", mode="min", patience=2)
    plateau = lr_scheduler.ReduceLROnPlateau
    trainer, says = fit_with([1, 2], stopping, epochs=2)
    reduce = LRSchedule(plateau(trainer.optimizer, patience=1), monitor="figure")
    trainer.callbacks.append(reduce)
    says.values = [9, 8, 7]
    reduce.scheduler.step(0.5)  # what it has seen is forgotten, too
    reduce.scheduler.step(0.6)
    assert len(trainer.fit(loader(), loader(), epochs=3)) == 3
    assert (stopping.best.value, stopping.best.epoch) == (7, 3)
    assert reduce.scheduler.best == 7
    assert trainer.optimizer.param_groups[0]["lr"] == 0.05
