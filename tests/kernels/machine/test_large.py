"""Kernels that begin where arrays outgrow the caches: the same numbers as NumPy's, each element in its place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_suite import Case, Input, assert_same, between, evaluate, real

import minigrad
from minigrad import kernels
from minigrad.kernels.machine.large import LARGE

SIZE = LARGE + 1003  # shared between threads with a rest

OPS: dict[str, tuple[Callable[..., Any], list[Input]]] = {
    "add": (lambda lib, a, b: a + b, [real(SIZE), real(SIZE)]),
    "sub": (lambda lib, a, b: a - b, [real(SIZE), real(SIZE)]),
    "mul": (lambda lib, a, b: a * b, [real(SIZE), real(SIZE)]),
    "div": (lambda lib, a, b: a / b, [real(SIZE), between(0.5, 2, SIZE)]),
    "div by a constant": (lambda lib, a, b: a / b, [real(SIZE), between(0.5, 2, SIZE).constant()]),
    "mul by a constant": (lambda lib, a, b: a * b, [real(SIZE), real(SIZE).constant()]),
    "exp": (lambda lib, x: lib.exp(x), [real(SIZE)]),
    "log": (lambda lib, x: lib.log(x), [between(1e-3, 50, SIZE)]),
    "sqrt": (lambda lib, x: lib.sqrt(x), [between(1e-3, 50, SIZE)]),
    "sum": (lambda lib, x: x.sum(), [between(0, 1, 1001, 263)]),
    "mean": (lambda lib, x: x.mean(), [between(0, 1, 1001, 263)]),
    "sum with its axes kept": (lambda lib, x: x.sum(dim=(0, 1), keepdim=True), [between(0, 1, 1001, 263)]),
    "mean with its axes kept": (lambda lib, x: x.mean(dim=(0, 1), keepdim=True), [between(0, 1, 1001, 263)]),
}


@pytest.mark.parametrize("name", OPS)
def test_the_same_numbers_as_the_textbook(name: str) -> None:
    call, inputs = OPS[name]
    case = Case(name, call, inputs)
    arrays, grad = case.arrays("float32"), case.wants_grad()
    fast = evaluate(minigrad, call, arrays, grad)
    leaves = [minigrad.tensor(a, requires_grad=g) for a, g in zip(arrays, grad, strict=True)]
    assert call(minigrad, *leaves).grad_fn.kernel is not None
    with kernels.disabled():
        assert_same(fast, evaluate(minigrad, call, arrays, grad), 1e-6, 1e-7)


def test_special_numbers() -> None:
    special = [0.0, -0.0, math.inf, -math.inf, math.nan, -1.0, 1e-45, 1e-40, -1e-40, 1.2e-38, 3e38, 88.72, 89.0, -87.3]
    x = np.resize(np.array(special, np.float32), SIZE)
    for f in (minigrad.exp, minigrad.log, minigrad.sqrt):
        t = minigrad.tensor(x)
        with kernels.disabled():
            slow = f(t).numpy()
        np.testing.assert_allclose(f(t).numpy(), slow, rtol=1e-6, atol=1e-37)


def test_gradients_that_arrive_together_do_not_share_memory() -> None:
    a, b = (minigrad.randn(SIZE, requires_grad=True) for _ in range(2))
    upstream = minigrad.randn(SIZE)
    (a + b).backward(upstream)
    kept = upstream.clone()
    a.grad.zero_()
    assert minigrad.equal(b.grad, kept)
    assert minigrad.equal(upstream, kept)


def test_gradients_of_branches_add_up() -> None:
    x = minigrad.randn(SIZE, requires_grad=True)
    y = x * 1.0
    upstream = [minigrad.randn(SIZE) for _ in range(3)]
    kept = [u.clone() for u in upstream]
    z = (y + upstream[0]) * upstream[1] + y * upstream[2] + y.exp() * 0.0
    z.backward(minigrad.ones(SIZE))
    np.testing.assert_allclose(x.grad.numpy(), (kept[1] + kept[2]).numpy(), rtol=1e-6, atol=1e-6)
    assert all(minigrad.equal(a, b) for a, b in zip(upstream, kept, strict=True))


def test_the_sum_does_not_depend_on_the_threads() -> None:
    x = minigrad.randn(SIZE)
    threads = kernels.get_num_threads()
    try:
        kernels.set_num_threads(1)
        alone = x.sum().item()
    finally:
        kernels.set_num_threads(threads)
    assert x.sum().item() == alone


def test_shapes_that_only_fit_after_broadcasting() -> None:
    a, b = minigrad.randn(SIZE, 1, requires_grad=True), minigrad.randn(1, SIZE)
    assert (a[:3] * b).shape == (3, SIZE)
    assert (a.reshape(1, SIZE) - b).shape == (1, SIZE)
    column = minigrad.randn(600, 600, requires_grad=True) + minigrad.ones(600, 1)
    assert column.shape == (600, 600)
