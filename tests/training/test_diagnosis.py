"""Where a NaN or an infinity began: in data, weights, a layer, the loss, on the way forward or back."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from small_training import data, loader, make, net, weights

import minigrad
from minigrad import nn
from minigrad.training import Callback, NonFiniteError
from minigrad.training.callbacks import TerminateOnNaN
from minigrad.utils.data import DataLoader

NAN = math.nan


class Roots(nn.Module):
    """√ of a layer's output: NaN below 0; at 0 its slope is infinite."""

    def __init__(self, shift):
        super().__init__()
        self.inner = nn.Linear(3, 1)
        self.inner.weight.data.fill_(0.0)
        self.inner.bias.data.fill_(shift)

    def forward(self, x):
        return self.inner(x).sqrt()


def in_a_layer():
    return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), Roots(-1.0), nn.Dropout(0.5)), nn.MSELoss()


def only_in_backward():
    return nn.Sequential(Roots(0.0), nn.Identity()), nn.MSELoss()


def behind_a_layer_that_changes_its_input():
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True), Roots(0.0), nn.Identity()), nn.MSELoss()


def in_the_loss():
    return net(), lambda output, target: (output * 0 - 1).log().mean()


def in_the_backward_of_the_loss():
    return net(), lambda output, target: (output * 0).sqrt().mean()


class Overflowing(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(3, 1)
        self.head = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1))

    def forward(self, x):
        return self.head((self.scale(x) * 0 + 1000).exp())


class FusedLayers(nn.Module):
    """A linear layer with weights so large that its sums overflow; a Sequential would run it with its activation."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        self.body[0].weight.data.fill_(3e38)

    def forward(self, x):
        return self.body(x * 0 + 2)


class BetweenLayers(nn.Module):
    """The root of 0, taken by the model itself between two of its layers, has no slope."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 2), nn.Sequential(nn.Linear(2, 1), nn.Tanh())

    def forward(self, x):
        return self.second((self.first(x) * 0).sqrt())


PLACES = [
    (lambda: (BetweenLayers(), nn.MSELoss()), "backward pass of the model (BetweenLayers): Sqrt: backward made a"),
    (in_a_layer, "forward pass of the layer 2 (Roots): Sqrt: forward made a NaN"),
    (only_in_backward, "backward pass of the layer 0 (Roots): Sqrt: backward made a"),
    (behind_a_layer_that_changes_its_input, "backward pass of the layer 2 (Roots): Sqrt: backward made a"),
    (in_the_loss, "the loss: Log: forward made a NaN"),
    (in_the_backward_of_the_loss, "backward pass of the loss: Sqrt: backward made a"),
    (lambda: (Overflowing(), nn.MSELoss()), "forward pass of the model (Overflowing): Exp: forward made a infinity"),
    (lambda: (FusedLayers(), nn.MSELoss()), "forward pass of the layer body.0 (Linear): Linear"),
]


@pytest.mark.parametrize(("parts", "place"), PLACES)
def test_where_a_nan_began(parts, place):
    model, criterion = parts()
    guard = TerminateOnNaN()
    trainer = make([guard], model, criterion)
    before = weights(model)
    if "backward" in place:
        trainer.fit(loader(), epochs=2)
        said = trainer.stopped
        assert said == f"{guard.diagnosis} (TerminateOnNaN)"
        assert trainer.history == []
    else:
        with pytest.raises(NonFiniteError) as caught:  # the first batch of all: it was never a network that learns
            trainer.fit(loader())
        said = str(caught.value)
    assert f"epoch 1, batch 1 began in the {place}".replace("the the", "the") in said
    assert trainer.step == 0
    assert weights(model) == before  # running statistics included


class Spoils(Callback):
    """Spoils data, targets or weights before a batch."""

    order = -10

    def __init__(self, how, step=2):
        self.how, self.step = how, step

    def on_batch_start(self, trainer):
        if trainer.step == self.step:
            x, y = (t.clone() for t in trainer.batch)
            if self.how == "input":
                x[0, 1] = NAN
            elif self.how == "target":
                y[3] = NAN
            elif self.how == "infinity":
                x[0, 1] = math.inf
            else:
                trainer.model[4].bias.data.fill_(NAN)
            trainer.batch = x, y


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("input", "NaN in the data: input 0 (shape (10, 3)) of epoch 2, batch 1 holds it already"),
        ("target", "NaN in the data: the target (shape (10, 1)) of epoch 2, batch 1 holds it already"),
        ("weights", "NaN in the weights: 4.bias (shape (1,)) holds it at epoch 2, batch 1, so an update before"),
        ("infinity", "infinity in the data: input 0 (shape (10, 3)) holds it at epoch 2, batch 1"),
    ],
)
def test_nan_in_data_and_weights(how, said):
    guard = TerminateOnNaN()
    trainer = make([guard, Spoils(how)])
    history = trainer.fit(loader(), epochs=3)
    assert len(history) == 1
    assert trainer.stopped.startswith(said)
    assert trainer.step == 2  # the update was not made
    assert all(np.isfinite(t.numpy()).all() for t in trainer.model.state_dict().values()) == (how != "weights")


def test_a_diagnosis_changes_nothing():
    """Running statistics, gradients, random numbers: a training that looks for a fault in each batch is the same."""
    from minigrad.training.diagnosis import diagnose

    class Looks(Callback):
        def on_before_backward(self, trainer):
            assert "not when the batch is run once more" in diagnose(trainer)

        def on_before_step(self, trainer):
            gradients = [p.grad.numpy().tobytes() for p in trainer.model.parameters()]
            diagnose(trainer)
            assert [p.grad.numpy().tobytes() for p in trainer.model.parameters()] == gradients

    results = []
    for callbacks in ([], [Looks()]):
        random.seed(1)
        np.random.seed(1)
        trainer = make(callbacks)
        history = trainer.fit(DataLoader(data(), 5, shuffle=True), epochs=2)
        results.append((history, weights(trainer.model), random.random(), np.random.rand()))
    assert results[0] == results[1]


def test_infinite_inputs_are_no_fault_by_themselves():
    """Masks hold −∞; the NaN of another layer is named all the same."""

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.score, self.root = nn.Linear(3, 3), Roots(-1.0)

        def forward(self, x, mask):
            return (self.score(x) + mask).softmax(1).sum(1, keepdim=True) + self.root(x)

    mask = minigrad.tensor([[0.0, -math.inf, 0.0]])
    x, y = data().tensors
    with pytest.raises(NonFiniteError, match=r"forward pass of the layer root \(Roots\): Sqrt: forward made a NaN"):
        make(model=Masked()).fit([(x, mask, y)])
