"""Tools that run a model leave it as it was: buffers of every kind, flags, random numbers, also when it fails."""

from __future__ import annotations

import random

import numpy as np
import pytest

import minigrad
from minigrad import nn, plot, utils
from minigrad.nn.inspection.preserved import EVERYTHING, preserved, snapshot
from minigrad.random import random_state
from minigrad.training import Trainer
from minigrad.training.callbacks import LRFinder, OverfitOneBatch
from minigrad.utils.tensorboard import SummaryWriter


class Restless(nn.Module):
    """Changes something of every kind whenever it is run."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.frozen = nn.BatchNorm2d(2)
        self.register_buffer("calls", minigrad.tensor(0))
        self.register_buffer("hidden", minigrad.zeros(3), persistent=False)
        self.register_buffer("replaced", minigrad.zeros(2))
        self.register_buffer("behind", minigrad.zeros(2), persistent=False)
        self.register_buffer("lazy", None)
        self.register_buffer("grown", minigrad.full((1,), float("nan")))
        self.fails = fails

    def forward(self, x):
        self.calls += 1
        self.hidden.add_(1.0)
        self.replaced = minigrad.ones(2) * 5
        self.behind.data.copy_(minigrad.ones(2))
        self.lazy = minigrad.ones(1)
        self.grown.data = minigrad.ones(4)
        if not hasattr(self, "new"):
            self.register_buffer("new", minigrad.ones(1))
        self.norm.train()
        minigrad.rand(3)
        y = self.frozen(self.norm(self.layer(x)))
        if self.fails:
            raise RuntimeError("in the forward pass")
        return y.mean((2, 3))


def state(model):
    buffers = {
        f"{name}.{key}": None if b is None else (id(b), b._array.dtype, b.numpy().tobytes(), tuple(b.shape))
        for name, module in model.named_modules()
        for key in module._persistent
        for b in [getattr(module, key)]
    }
    flags = [module.training for module in model.modules()]
    weights = [p.detach().numpy().tobytes() for p in model.parameters()]
    return buffers, flags, weights, repr(minigrad.get_rng_state())


X = minigrad.tensor(np.random.default_rng(0).standard_normal((4, 1, 6, 6), dtype=np.float32))


def written_graph(model, folder):
    with SummaryWriter(folder) as writer:
        writer.add_graph(model, X)


TOOLS = {
    "summary": lambda model, folder: utils.summary(model, (1, 1, 6, 6)),
    "graph": lambda model, folder: plot.graph(lambda: model(X).mean(), model),
    "TensorBoard": written_graph,
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_leaves_the_model_as_it_was(tool, fails, tmp_path):
    model = Restless(fails)
    model.frozen.eval()
    before = state(model)
    if fails:
        with pytest.raises(RuntimeError, match="in the forward pass"):
            TOOLS[tool](model, tmp_path)
    else:
        TOOLS[tool](model, tmp_path)
    assert state(model) == before


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("callback", [lambda: LRFinder(steps=10), lambda: OverfitOneBatch(steps=3, required=False)])
def test_a_trial_before_the_training_leaves_the_model_as_it_was(callback, fails):
    model = Restless(fails)
    model.frozen.eval()
    target = minigrad.tensor([0, 1, 0, 1])
    optimizer = minigrad.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer)
    trainer.train_loader = [(X, target)]
    before = state(model)
    if fails:
        with pytest.raises(RuntimeError, match="in the forward pass"):
            callback().on_fit_start(trainer)
    else:
        callback().on_fit_start(trainer)
    assert state(model) == before
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert all(p.grad is None for p in model.parameters())


def test_a_buffer_that_kept_its_value_may_still_be_needed_by_a_graph():
    model = nn.Sequential(nn.BatchNorm1d(3).eval(), nn.Linear(3, 3))
    x = minigrad.randn(4, 3, requires_grad=True)
    y = model(x)
    utils.summary(model, (2, 3))
    y.backward(minigrad.rand(4, 3))
    assert x.grad is not None


def test_weights_gradients_and_all_generators_are_put_back():
    model = nn.Linear(2, 1)
    gradient = model.weight.grad = minigrad.ones(1, 2)
    before = state(model), repr(random_state())
    with preserved(model, *EVERYTHING), minigrad.no_grad():
        model.weight.fill_(7.0)
        model.weight.grad = None
        model.eval()
        minigrad.rand(3), np.random.rand(3), random.random()
    assert (state(model), repr(random_state())) == before
    assert model.weight.grad is gradient


def test_only_the_parts_that_are_named_are_put_back():
    model = nn.BatchNorm1d(2)
    put_back = snapshot(model, "buffers")
    model(minigrad.rand(4, 2))
    model.eval()
    put_back()
    assert model.running_mean.tolist() == [0, 0]
    assert not model.training
