"""Rows of a table: the kernel computes what the op computes, to the last bit, whatever is read how often."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from kernel_checks import draw, run

import minigrad
from minigrad import kernels


def index(rng: np.random.Generator, rows: int, shape: tuple[int, ...], kind: str) -> Any:
    if kind == "one row again and again":
        return np.full(shape, rows - 1)
    if kind == "counted from the end":
        return rng.integers(-rows, 0, shape)
    return rng.integers(0, rows, shape).astype(kind)


@pytest.mark.parametrize("kind", ["int64", "int32", "one row again and again", "counted from the end"])
@pytest.mark.parametrize(
    ("table", "read"), [((40, 16), (5,)), ((40, 16), (3, 60)), ((600, 1), (7,)), ((9, 8, 8), (2, 2)), ((30, 20), (0,))]
)
def test_rows_of_a_table(table: tuple[int, ...], read: tuple[int, ...], kind: str) -> None:
    rng = np.random.default_rng(3)
    i = minigrad.tensor(index(rng, table[0], read, kind))
    x, upstream = draw(rng, *table), draw(rng, *read, *table[1:])
    for function in (lambda x: x[i], lambda x: x[i].flip(0)):  # the second sends back a view that is out of order
        found = run(function, [x], upstream)
        with kernels.disabled():
            expected = run(function, [x], upstream)
        for a, b in zip(found, expected, strict=True):
            assert np.array_equal(a, b)


def test_the_gradient_of_a_row_read_often_is_an_exact_sum() -> None:
    x = minigrad.zeros(2, 300, requires_grad=True)
    y = x[minigrad.zeros(20_000, dtype=minigrad.int64)]
    upstream = minigrad.full((20_000, 300), 0.1) * (1 + minigrad.rand(1, 300))
    y.backward(upstream)
    exact = upstream.double().sum(0)
    assert minigrad.allclose(x.grad[0].double(), exact, rtol=1e-7, atol=0)
    assert (x.grad[1] == 0).all()


def test_a_sum_beyond_float32_is_infinite_without_a_warning() -> None:
    x = minigrad.zeros(2, 300, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x[minigrad.zeros(5, dtype=minigrad.int64)].backward(minigrad.full((5, 300), 3e38))
    assert (x.grad[0] == float("inf")).all()
