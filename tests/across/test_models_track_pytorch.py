"""Whole networks against PyTorch: the same weights and batches in, the same loss curve out for 50 steps.

Every op, the engine, the optimizer and the order of gradients in it have a test of their own; here they work together,
in the networks that the labs train, with all kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from op_suite import torch

import minigrad
import minigrad.nn.functional
from minigrad import kernels

STEPS = 50
CLASSES = 5


def lenet(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, CLASSES),
    )  # fmt: skip


def residual(lib: Any) -> Any:
    nn, F = lib.nn, lib.nn.functional

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            return F.relu(y + self.shortcut(x))

    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), Block(32, 32, 1), Block(32, 64, 2),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(1024, CLASSES),
    )  # fmt: skip


def simple_cnn(lib: Any) -> Any:
    nn = lib.nn
    layers = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Dropout(0.0), nn.Linear(64, CLASSES))


def loan(lib: Any) -> Any:
    nn = lib.nn

    class Block(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.BatchNorm1d(size), nn.Linear(size, 4 * size), nn.ReLU(), nn.Dropout(0.0), nn.Linear(4 * size, size)
            )

        def forward(self, x: Any) -> Any:
            return x + self.body(x)

    return nn.Sequential(nn.Linear(11, 64), *[Block(64) for _ in range(3)], nn.Linear(64, 1))


class Training(NamedTuple):
    net: Callable[[Any], Any]
    shape: tuple[int, ...]  # of a sample
    optimizer: Callable[[Any, Any], Any]  # of (lib, parameters)
    classes: bool = True


TRAININGS = {
    "LeNet-5": Training(lenet, (1, 28, 28), lambda lib, p: lib.optim.Adam(p, lr=1e-3)),
    "residual": Training(residual, (3, 16, 16), lambda lib, p: lib.optim.SGD(p, lr=0.005, momentum=0.9)),
    "SimpleCNN": Training(simple_cnn, (3, 16, 16), lambda lib, p: lib.optim.Adam(p, lr=1e-3, weight_decay=1e-4)),
    "loan": Training(loan, (11,), lambda lib, p: lib.optim.SGD(p, lr=0.05), False),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """PyTorch has one here too; the threads of two libraries wait for each other's cores, a hundred times slower."""
    before = kernels.get_num_threads()
    kernels.set_num_threads(1)
    yield
    kernels.set_num_threads(before)


each_training = pytest.mark.parametrize("name", TRAININGS)


def batches(training: Training, size: int, dtype: str) -> list[tuple[Any, Any]]:
    """Five batches, gone through ten times: a pattern per class under noise."""
    rng = np.random.default_rng(0)
    patterns, found = rng.standard_normal((CLASSES, *training.shape)), []
    for _ in range(5):
        labels = rng.integers(0, CLASSES, size)
        x = (0.5 * patterns[labels] + rng.standard_normal((size, *training.shape))).astype(dtype)
        found.append((x, labels if training.classes else (labels % 2).astype(dtype)[:, None]))
    return found


def train(lib: Any, training: Training, net: Any, size: int, dtype: str) -> Any:
    """The losses of 50 steps."""
    optimizer = training.optimizer(lib, net.parameters())
    F, losses = lib.nn.functional, []
    data = [(lib.tensor(x), lib.tensor(t)) for x, t in batches(training, size, dtype)]
    for step in range(STEPS):
        x, t = data[step % len(data)]
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), t) if training.classes else F.binary_cross_entropy_with_logits(net(x), t)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def both(name: str, size: int, dtype: str) -> tuple[Any, Any, Any, Any]:
    """The losses and the trained nets of both libraries."""
    training = TRAININGS[name]
    torch.manual_seed(0)
    theirs = training.net(torch).to(getattr(torch, dtype))
    ours = training.net(minigrad).to(getattr(minigrad, dtype))
    ours.load_state_dict({k: minigrad.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    wanted = train(torch, training, theirs, size, dtype)
    return train(minigrad, training, ours, size, dtype), wanted, ours, theirs


@each_training
def test_the_loss_curve_in_float32(name: str) -> None:
    """With kernels. Both libraries round, each in its own order of sums: 1e-7 in the first losses.

    Training magnifies that. Of the quarter of a million activations of a layer some lie so near a ReLU's kink that
    rounding decides whether they pass; then a gradient differs by one pixel's share, and the next steps by more. (Adam
    divides by the size of gradients that may themselves be rounding, as those of a bias before a batch norm.) At these
    learning rates 1e-4 was seen after 50 steps, with registers of 4 to 16 numbers and one or two threads; five times
    that is allowed. The losses fall to less than half meanwhile, so a mistake in any part is far outside.
    """
    found, wanted, _, _ = both(name, 32, "float32")
    assert wanted[-5:].mean() < wanted[0] / 2
    np.testing.assert_allclose(found[:5], wanted[:5], rtol=2e-5)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=5e-4)


@each_training
def test_losses_weights_and_predictions_in_float64(name: str) -> None:
    """By the textbook. Rounding is 1e-16 here, and 50 steps magnify it to 1e-13: 1e-8 is far above."""
    found, wanted, ours, theirs = both(name, 8, "float64")
    assert wanted[-5:].mean() < wanted[0] / 2
    np.testing.assert_allclose(found, wanted, rtol=1e-8)
    ours.eval()
    theirs.eval()
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for key, value in ours.state_dict().items():
        np.testing.assert_allclose(value.numpy(), state[key].numpy(), rtol=1e-8, atol=1e-8, err_msg=key)
    x, _ = batches(TRAININGS[name], 8, "float64")[0]
    with torch.no_grad(), minigrad.no_grad():
        np.testing.assert_allclose(ours(minigrad.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy(), rtol=1e-8)
