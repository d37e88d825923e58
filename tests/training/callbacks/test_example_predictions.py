"""Example images with their predictions."""

from __future__ import annotations

import pytest
from monitor_support import judged

import minigrad
from minigrad import nn, optim
from minigrad.training import Trainer
from minigrad.training.callbacks import (
    ExamplePredictions,
)
from minigrad.utils.data import DataLoader, TensorDataset


def test_examples_are_the_wrong_ones_first():
    examples = ExamplePredictions(count=5)
    judged(examples)
    assert examples.images[:, 0, 1, 1].tolist() == [1, 3, 6, 0, 2]
    assert examples.true.tolist() == [2, 1, 0, 0, 2]
    assert examples.predicted.tolist() == [1, 2, 1, 0, 2]
    examples = ExamplePredictions(count=2)
    judged(examples)
    assert examples.images[:, 0, 1, 1].tolist() == [1, 3]
    examples = ExamplePredictions(count=6, wrong_first=False)
    judged(examples)
    assert examples.images[:, 0, 1, 1].tolist() == [0, 1, 2, 3, 4, 5]
    everything = ExamplePredictions(count=50)
    judged(everything)
    assert everything.images.shape == (7, 1, 4, 4)


def test_examples_want_images():
    model = nn.Linear(4, 3)
    table = TensorDataset(minigrad.randn(6, 4), minigrad.tensor([0, 1, 2, 0, 1, 2]))
    trainer = Trainer(
        model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), callbacks=[ExamplePredictions()]
    )
    with pytest.raises(ValueError, match=r"the input has shape \(6, 4\), expected images"):
        trainer.fit(DataLoader(table, 6), DataLoader(table, 6))
    with pytest.raises(ValueError, match="2 names, but there is a class 2"):
        judged(ExamplePredictions(["a", "b"]))
