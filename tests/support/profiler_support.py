"""What the tests of the profiler watch, and how they ask."""

from __future__ import annotations

from typing import Any

import minigrad
from minigrad import nn
from minigrad.profiler import profile


def network() -> tuple[Any, Any, Any]:
    """A network of two layers, an optimizer, and a step that trains it."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = minigrad.optim.Adam(model.parameters())
    x, target = minigrad.randn(3, 4), minigrad.randn(3, 2)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), target).backward()
        optimizer.step()

    return model, optimizer, step


def random_like(x: Any) -> Any:
    return minigrad.randn(*x.shape)


def row_of(p: profile, name: str) -> Any:
    return next(row for row in p.key_averages().rows() if row.name == name)


def names(events: Any) -> list[str]:
    return [e.name for e in events]
