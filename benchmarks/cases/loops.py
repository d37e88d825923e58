"""Whole epochs: the loop that a lab's training is, with the loader that feeds it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..libraries import EAGER, MINIGRAD, Library
from .registry import Step, case
from .training import normal, prepared

LOANS = 52_780


@case(
    "loops",
    "Lab 8, loans, simple: 52,780 rows, batches of 32 in random order",
    libraries=(MINIGRAD, EAGER),
    random=True,
)
def loan_epoch(lib: Library, shuffle: bool = True, rows: int = LOANS) -> Step:
    """An epoch of experiment 1, without what its Trainer writes down."""
    nn, data = lib.nn, lib.module.utils.data
    layers = [nn.Linear(11, 32), nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 32), nn.Linear(32, 1)]
    model = prepared(lib, nn.Sequential(*layers), 8_769)
    x, y = normal(rows, 11), np.random.default_rng(3).integers(0, 2, (rows, 1)).astype(np.float32)
    loader = data.DataLoader(data.TensorDataset(lib.tensor(x), lib.tensor(y)), batch_size=32, shuffle=shuffle)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = lib.optim.SGD(model.parameters(), lr=0.01)

    def step() -> Any:
        loss: Any = None
        for inputs, target in loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), target)
            loss.backward()
            optimizer.step()
        return loss

    return step
