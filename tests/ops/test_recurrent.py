"""Backpropagation through time against central differences, first and second, for all kinds of a recurrence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.autograd import gradcheck, gradgradcheck
from minigrad.ops.recurrent import GATES, recurrence

SIZES = (3, 2, 2)  # how many sequences have an element at each step
HIDDEN = 2


def numbers(rng: np.random.Generator, *shape: int) -> Any:
    return minigrad.tensor(rng.standard_normal(shape), requires_grad=True)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kind", "projection"), [("tanh", 0), ("relu", 0), ("lstm", 0), ("lstm", 1), ("gru", 0)])
def test_derivatives(kind: str, projection: int, bias: bool, backwards: bool) -> None:
    rng = np.random.default_rng(6)
    rows, features = GATES[kind] * HIDDEN, projection or HIDDEN
    g, h, w = numbers(rng, sum(SIZES), rows), numbers(rng, SIZES[0], features), numbers(rng, rows, features)
    c = numbers(rng, SIZES[0], HIDDEN) if kind == "lstm" else None
    b = numbers(rng, rows) if bias else None
    p = numbers(rng, projection, HIDDEN) if projection else None
    given = [t for t in (g, h, c, w, b, p) if t is not None]

    def states(*tensors: Any) -> tuple[Any, ...]:
        left = iter(tensors)
        filled = [None if t is None else next(left) for t in (g, h, c, w, b, p)]
        return recurrence(*filled, kind, SIZES, backwards)

    assert gradcheck(states, given)
    assert gradgradcheck(states, given)
