"""The check that a single batch can be fitted."""

from __future__ import annotations

import pytest
from small_training import loader, make, weights

import minigrad
from minigrad import nn
from minigrad.training import Accuracy
from minigrad.training.callbacks import (
    OverfitError,
    OverfitOneBatch,
)
from minigrad.utils.data import DataLoader, TensorDataset


def test_a_batch_learned_by_heart():
    x = minigrad.randn(20, 3)
    batches = DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), 10)
    check = OverfitOneBatch(samples=8, steps=300, metric=Accuracy())
    model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 2))
    trainer = make([check], model, nn.CrossEntropyLoss())
    trainer.fit(batches)
    assert check.passed
    assert 1 <= check.steps_taken <= 300
    assert check.last_loss < check.first_loss
    assert trainer.step == 2


def test_a_batch_that_cannot_be_learned():
    check = OverfitOneBatch(samples=8, steps=5)
    constant = make([check], nn.Linear(3, 1), lr=0.0)
    before = weights(constant.model)
    with pytest.raises(OverfitError, match="8 samples were not learned in 5 steps: the loss went from") as caught:
        constant.fit(loader())
    assert "OverfitOneBatch in on_fit_start" in caught.value.__notes__[0]
    assert weights(constant.model) == before
    optional = OverfitOneBatch(samples=8, steps=5, required=False)
    constant = make([optional], nn.Linear(3, 1), lr=0.0)
    constant.fit(loader())
    assert optional.passed is False
