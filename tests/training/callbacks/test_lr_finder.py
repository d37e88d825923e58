"""Callbacks that act on a training: stopping, schedules, clipping, search, diagnosis, tables."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from small_training import data, loader, make, weights

import minigrad
from minigrad import nn
from minigrad.training import Callback
from minigrad.training.callbacks import (
    LRFinder,
    OverfitOneBatch,
)
from minigrad.utils.data import DataLoader


def place(trainer, batches):
    """All that a search must put back."""
    return (
        weights(trainer.model),
        repr(trainer.optimizer.state_dict()["param_groups"]),
        len(trainer.optimizer.state),
        minigrad.get_rng_state(),
        batches.state_dict(),
        random.getstate(),
        [module.training for module in trainer.model.modules()],
        trainer.step,
    )


class Remembers(Callback):
    """The place after the other callbacks' on_fit_start."""

    order = 50

    def on_fit_start(self, trainer):
        self.place = place(trainer, trainer.train_loader)


@pytest.mark.parametrize("make_callback", [lambda: LRFinder(steps=30), lambda: OverfitOneBatch(8, required=False)])
def test_searches_put_everything_back(make_callback):
    callback, remembers = make_callback(), Remembers()
    trainer = make([callback, remembers], lr=0.01)
    trainer.model[1].eval()  # a frozen layer stays so
    random.seed(3)
    batches = DataLoader(data(), 5, shuffle=True, generator=minigrad.Generator().manual_seed(2))
    before = place(trainer, batches)
    trainer.fit(batches)
    assert remembers.place == before

    plain = make(lr=0.01)
    plain.model[1].eval()
    plain.fit(DataLoader(data(), 5, shuffle=True, generator=minigrad.Generator().manual_seed(2)))
    assert weights(plain.model) == weights(trainer.model)


def test_searches_in_a_second_fit_leave_it_a_whole_first_epoch():
    """The first fit ended inside an epoch, at which the loader still stands."""
    trainer = make()
    batches = DataLoader(data(), 5, shuffle=True)

    class Stops(Callback):
        def on_batch_end(self, trainer):
            trainer.stop("enough")

    trainer.callbacks = [Stops()]
    trainer.fit(batches)
    trainer.callbacks = [LRFinder(steps=10), OverfitOneBatch(required=False, steps=3)]
    trainer.fit(batches)
    assert trainer.step == 4


def test_the_learning_rate_found():
    finder = LRFinder(lowest=1e-5, highest=10.0, steps=60, apply=True)
    trainer = make([finder], nn.Linear(3, 1))
    trainer.fit(loader(40, 8))
    assert finder.rates[0] == 1e-5
    ratios = np.diff(np.log(finder.rates))
    assert np.allclose(ratios, math.log(1e6) / 59)
    assert len(finder.rates) < 60  # it ended when the loss ran away
    assert finder.losses[-1] <= 4 * min(finder.losses)
    assert 1e-3 < finder.suggestion < 1
    assert trainer.optimizer.param_groups[0]["lr"] == finder.suggestion
    figure = finder.figure()
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"


def test_a_search_that_finds_nothing():
    finder = LRFinder(steps=10, apply=True)
    with pytest.raises(ValueError, match="nothing was tried yet"):
        finder.figure()
    trainer = make([finder], nn.Linear(3, 1), lambda output, target: (output * 0).sum())
    trainer.fit(loader())
    assert finder.suggestion is None
    assert trainer.optimizer.param_groups[0]["lr"] == 0.05
    with pytest.raises(ValueError, match="expected 0 < lowest < highest"):
        LRFinder(1.0, 0.1)
    with pytest.raises(ValueError, match="steps = 3, expected a whole number, 10 or more"):
        LRFinder(steps=3)


@pytest.mark.parametrize("callback", [LRFinder(), OverfitOneBatch()])
def test_searches_leave_iterators_alone(callback):
    """They would use up what the training is to see."""
    x, y = data().tensors
    batches = ((x, y) for _ in range(3))
    with pytest.raises(ValueError, match="train_loader is a generator, which yields its batches once"):
        make([callback]).fit(batches)
    assert len(list(batches)) == 3


@pytest.mark.parametrize("callback", [LRFinder(steps=50), OverfitOneBatch(steps=50, loss_share=0.0)])
def test_ctrl_c_ends_a_search_and_the_fit(callback):
    trainer = make([callback])
    count = 0
    update = trainer.update

    def interrupted_update(batch):
        nonlocal count
        count += 1
        if count == 5:
            trainer._interrupt()
        return update(batch)

    trainer.update = interrupted_update
    assert trainer.fit(loader()) == []
    assert (count, trainer.interrupted, trainer.step) == (5, True, 0)
