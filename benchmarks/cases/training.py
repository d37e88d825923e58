"""Whole training steps: the nets of the labs, with their batch sizes, losses and optimizers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..libraries import Library
from .registry import Step, case


def trainer(lib: Library, model: Any, loss_of: Any, optimizer: Any, *batch: Any) -> Step:
    """A step of training on one batch. ``loss_of(*batch)`` is the forward pass, which may be compiled."""
    forward = lib.compiled(loss_of)
    model.train()

    def step() -> Any:
        optimizer.zero_grad()
        loss = forward(*batch)
        loss.backward()
        optimizer.step()
        return loss

    return step


def prepared(lib: Library, model: Any, expected_parameters: int | None = None) -> Any:
    """The model on the device, with weights that depend on their shapes alone: the same in every library."""
    rng = np.random.default_rng(1)
    count = 0
    with lib.module.no_grad():
        for p in model.parameters():
            bound = 1.0 / np.sqrt(np.prod(p.shape[1:]) if p.ndim > 1 else p.shape[0])  # of what is summed
            p.copy_(lib.module.from_numpy(rng.uniform(-bound, bound, tuple(p.shape)).astype(np.float32)))
            count += p.numel()
    if expected_parameters not in (None, count):
        raise ValueError(f"the model has {count:,} parameters, the lab's has {expected_parameters:,}")
    return model.to(lib.device)


def normal(*shape: int, seed: int = 2) -> np.ndarray[Any, Any]:
    """Random float32 numbers, the same for every library."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@case("training", "Lab 1: 256×1 → 64 → 1, ReLU, Σ(ŷ − y)², SGD")
def lab1(lib: Library) -> Step:
    nn = lib.nn
    model = prepared(lib, nn.Sequential(nn.Linear(1, 64), nn.ReLU(), nn.Linear(64, 1)))
    inputs = normal(256, 1)
    x, y = lib.tensor(inputs), lib.tensor(1 / (1 + np.exp(-10 * inputs)))

    def loss_of(x: Any, y: Any) -> Any:
        return nn.functional.mse_loss(model(x), y, reduction="sum")

    return trainer(lib, model, loss_of, lib.optim.SGD(model.parameters(), lr=1e-4), x, y)


@case("training", "Lab 2, XOR: 1000×2 → 16 → 1, sigmoid, BCE, SGD")
def xor(lib: Library) -> Step:
    nn = lib.nn
    model = prepared(lib, nn.Sequential(nn.Linear(2, 16), nn.Sigmoid(), nn.Linear(16, 1), nn.Sigmoid()))
    corners = np.random.default_rng(3).integers(0, 2, (1000, 2))
    x = lib.tensor((corners + 0.1 * normal(1000, 2)).astype(np.float32))
    y = lib.tensor((corners[:, :1] ^ corners[:, 1:]).astype(np.float32))
    criterion = nn.BCELoss()
    return trainer(lib, model, lambda x, y: criterion(model(x), y), lib.optim.SGD(model.parameters(), lr=1e-3), x, y)


@case("training", "Lab 3, CIFAR-100 MLP: 3072 → 10 → 3, ReLU, batch 128, cross-entropy, SGD")
def cifar100_mlp(lib: Library) -> Step:
    nn = lib.nn
    model = prepared(lib, nn.Sequential(nn.Linear(3072, 10), nn.ReLU(), nn.Linear(10, 3)))
    classes = np.random.default_rng(3).integers(0, 3, 128)
    x, y = lib.tensor(normal(128, 3072)), lib.tensor(np.eye(3, dtype=np.float32)[classes])
    criterion = nn.CrossEntropyLoss()
    return trainer(lib, model, lambda x, y: criterion(model(x), y), lib.optim.SGD(model.parameters(), lr=0.005), x, y)


@case("training", "Lab 5, FC: 784-512-256-128-10, ReLU, batch 64, cross-entropy, Adam")
def fc_adam(lib: Library) -> Step:
    nn = lib.nn
    sizes = (784, 512, 256, 128, 10)
    layers: list[Any] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    model = prepared(lib, nn.Sequential(*layers[:-1]), 567_434)
    x, y = lib.tensor(normal(64, 784)), lib.tensor(np.random.default_rng(3).integers(0, 10, 64))
    criterion = nn.CrossEntropyLoss()
    return trainer(lib, model, lambda x, y: criterion(model(x), y), lib.optim.Adam(model.parameters(), lr=1e-3), x, y)


def loan(lib: Library, layers: list[Any], expected_parameters: int) -> Step:
    """A net over 11 features with a logit at its end: batch 32, BCE with logits, SGD at 0.01 (lab 8)."""
    model = prepared(lib, lib.nn.Sequential(*layers), expected_parameters)
    x = lib.tensor(normal(32, 11))
    y = lib.tensor(np.random.default_rng(3).integers(0, 2, (32, 1)).astype(np.float32))
    criterion = lib.nn.BCEWithLogitsLoss()
    return trainer(lib, model, lambda x, y: criterion(model(x), y), lib.optim.SGD(model.parameters(), lr=0.01), x, y)


@case("training", "Lab 8, loans, simple: 11-32-128-ReLU-32-1, batch 32, BCE with logits, SGD")
def loan_simple(lib: Library) -> Step:
    nn = lib.nn
    return loan(lib, [nn.Linear(11, 32), nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 32), nn.Linear(32, 1)], 8_769)


@case("training", "Lab 8, loans, deep: 11-128, three blocks 128-512-ReLU-128, 1, batch 32, SGD")
def loan_deep(lib: Library) -> Step:
    nn = lib.nn
    layers = [nn.Linear(11, 128)]
    for _ in range(3):
        layers += [nn.Linear(128, 512), nn.ReLU(), nn.Linear(512, 128)]
    return loan(lib, [*layers, nn.Linear(128, 1)], 396_801)
