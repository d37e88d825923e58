"""The kernels of pools against the textbook: block sizes, edges, frames, threads, layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_suite import assert_same, evaluate

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels

rng = np.random.default_rng(0)


@pytest.fixture
def _threads() -> Iterator[None]:
    before = kernels.get_num_threads()
    yield
    kernels.set_num_threads(before)


def agree(call: Callable[[Any], Any], x: Any, rtol: float = 3e-6, atol: float = 2e-6) -> None:
    """Kernels and textbook give the same float32 outputs and gradients."""
    fast = evaluate(minigrad, lambda lib, t: call(t), [x], [True])
    with kernels.disabled():
        assert_same(fast, evaluate(minigrad, lambda lib, t: call(t), [x], [True]), rtol, atol)


def draw(*shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


POOLS: dict[str, Callable[[Any], Any]] = {
    "max 2": lambda x: F.max_pool2d(x, 2, return_indices=True),
    "max 3, 2, 1": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max 3, 1, 1": lambda x: F.max_pool2d(x, 3, 1, 1, ceil_mode=True),
    "max 2, 3": lambda x: F.max_pool2d(x, 2, 3, 1, 2),
    "max 16 x 16": lambda x: F.max_pool2d(x, (min(16, x.shape[-2]), min(16, x.shape[-1])), 1),
    "max 17 x 16": lambda x: F.max_pool2d(x, (min(17, x.shape[-2]), min(16, x.shape[-1])), 1),
    "avg 2": lambda x: F.avg_pool2d(x, 2),
    "avg 3, 2, 1": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "avg 3, 1, 1, edges": lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    "avg 3, 1": lambda x: F.avg_pool2d(x, 3, 1),
    "avg 4": lambda x: F.avg_pool2d(x, (2, 4), 4, (1, 2), ceil_mode=True),
    "avg 2, 3": lambda x: F.avg_pool2d(x, 2, 3),
    "lp 1": lambda x: F.lp_pool2d(x, 1, 2),
    "lp 2": lambda x: F.lp_pool2d(x, 2, 2),
    "lp 2 of 3, 2": lambda x: F.lp_pool2d(x, 2, 3, 2, ceil_mode=True),
    "lp 1 of 3, 1": lambda x: F.lp_pool2d(x, 1, 3, 1),
    "lp 3": lambda x: F.lp_pool2d(x, 3, 2),
    "lp 2.5": lambda x: F.lp_pool2d(x, 2.5, 3, 2),
    "whole": lambda x: F.adaptive_avg_pool2d(x, 1),
    "parts": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    "more parts than places": lambda x: F.adaptive_avg_pool2d(x, (2, 50)),
    "largest of parts": lambda x: F.adaptive_max_pool2d(x, (3, 4), return_indices=True),
    "largest of more parts than places": lambda x: F.adaptive_max_pool2d(x, (2, 50), return_indices=True),
    "largest of all": lambda x: F.adaptive_max_pool2d(x, 1, return_indices=True),
}
# Outputs of one lane, of blocks of 4, 8 and 16, and with a block that overlaps the one before.
PLANES = [(3, 3), (4, 7), (5, 8), (6, 10), (7, 17), (10, 33), (28, 28), (17, 71)]


@pytest.mark.parametrize("plane", PLANES, ids=str)
@pytest.mark.parametrize("name", POOLS)
def test_kernels_compute_what_the_textbook_does(name: str, plane: tuple[int, int]) -> None:
    agree(POOLS[name], draw(2, 3, *plane))


@settings(max_examples=60)
@given(
    st.integers(1, 4), st.tuples(st.integers(1, 30), st.integers(1, 70)),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)), st.tuples(st.integers(0, 3), st.integers(0, 3)), st.booleans(),
    st.sampled_from(["max", "ties", "avg", "edges", "lp", "means of parts", "largest of parts"]),
)  # fmt: skip
def test_windows_of_any_shape(
    planes: int, plane: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, kind: str
) -> None:
    padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
    if any(k > n + 2 * p for k, n, p in zip(kernel, plane, padding, strict=True)):
        return
    x = draw(planes, 1, *plane)
    if kind in ("ties", "largest of parts"):
        x = np.round(x)
    calls: dict[str, Any] = {
        "max": lambda t: F.max_pool2d(t, kernel, stride, padding, 1, ceil_mode, return_indices=True),
        "avg": lambda t: F.avg_pool2d(t, kernel, stride, padding, ceil_mode),
        "edges": lambda t: F.avg_pool2d(t, kernel, stride, padding, ceil_mode, False),
        "lp": lambda t: F.lp_pool2d(t, 2, kernel, stride, True) if padding == (0, 0) else F.avg_pool2d(t, 1),
        "means of parts": lambda t: F.adaptive_avg_pool2d(t, kernel),
        "largest of parts": lambda t: F.adaptive_max_pool2d(t, kernel, return_indices=True),
    }
    agree(calls["max" if kind == "ties" else kind], x)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("name", POOLS)
def test_threads_change_nothing(name: str) -> None:
    for x in (draw(7, 11, 43, 44), draw(401, 9, 7, 6)):
        assert_threads_change_nothing(name, x)


def assert_threads_change_nothing(name: str, x: Any) -> None:
    results = []
    for threads in (1, 2, 2):
        kernels.set_num_threads(threads)
        results.append(evaluate(minigrad, lambda lib, t: POOLS[name](t), [x], [True]))
    for other in results[1:]:
        for a, b in zip([*results[0].values, *results[0].grads], [*other.values, *other.grads], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("name", ["max 2", "avg 2", "lp 2", "parts"])
def test_one_plane_is_no_work_for_two(name: str) -> None:
    agree(POOLS[name], draw(1, 1, 401, 402))


def test_special_numbers() -> None:
    inf, nan = np.inf, np.nan
    x = np.tile(np.array([[1, nan, -inf, -inf, 0.0, -0.0, inf, 2], [nan, 3, -inf, -inf, -0.0, 0.0, inf, inf]]), (3, 9))
    for values in (x, np.full((9, 40), -inf), np.full((9, 40), nan)):
        for options in ((2,), (3, 1, 1), (3, 2, 1), (2, 3, 1, 2), (5, 2, 2), (2, 2, 1, 1, True)):
            plane = np.array([[values]], np.float32)
            agree(lambda t, options=options: F.max_pool2d(t, *options, return_indices=True), plane)
        for out in (1, 2, (4, 7)):
            agree(
                lambda t, out=out: F.adaptive_max_pool2d(t, out, return_indices=True), np.array([[values]], np.float32)
            )


def test_windows_of_zeros() -> None:
    x = draw(2, 3, 12, 40)
    x[..., 4:8, :] = 0
    for name in ("lp 1", "lp 2", "lp 3", "lp 2.5", "lp 2 of 3, 2", "lp 1 of 3, 1"):
        agree(POOLS[name], x)


@pytest.mark.parametrize("name", POOLS)
def test_layouts_and_upstream_gradients_of_any_layout(name: str) -> None:
    x = draw(3, 2, 18, 20)
    transposed = np.ascontiguousarray(x.transpose(1, 0, 3, 2)).transpose(1, 0, 3, 2)
    locked = x.copy()
    locked.flags.writeable = False
    results = []
    for source in (x, transposed, locked) if name == "max 2" else (x, transposed):
        t = minigrad.from_numpy(source).requires_grad_()
        y = POOLS[name](t)
        y = y[0] if isinstance(y, tuple) else y
        g = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
        if source is transposed:
            g = np.asfortranarray(g)
        y.backward(minigrad.from_numpy(g))
        results.append((y.detach().numpy(), t.grad.numpy()))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=3e-6, atol=2e-6)


def test_kernels_run_where_they_should() -> None:
    """Without this, the tests above could compare the textbook with itself."""
    x = minigrad.randn(2, 3, 34, 40, requires_grad=True)
    taken = {}
    for name, pool in POOLS.items():
        y = pool(x)
        y = y[0] if isinstance(y, tuple) else y
        node = y._node.node if hasattr(y._node, "node") else y._node
        taken[name] = node.kernel is not None
    assert all(taken.values()), taken


def test_second_derivatives_after_a_kernel() -> None:
    """The textbook's rule follows the kernel's forward."""
    values = draw(2, 3, 12, 14)
    for pool in (POOLS["max 3, 2, 1"], POOLS["avg 3, 2, 1"], POOLS["lp 2"], POOLS["lp 3"], POOLS["parts"]):
        results = []
        for dtype in (minigrad.float32, minigrad.float64):
            x = minigrad.tensor(values.astype(np.float64), dtype=dtype, requires_grad=True)
            y = pool(x * x)
            (g,) = minigrad.autograd.grad(y, x, minigrad.ones_like(y) * 0.7, create_graph=True)
            (h,) = minigrad.autograd.grad(g, x, minigrad.ones_like(g) * 1.3)
            results.append(h.numpy())
        np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_nothing_is_left_unwritten() -> None:
    """Rows and columns that no window covers have gradient 0, also in memory used before."""
    for _ in range(3):
        for pool in (POOLS["max 2"], POOLS["avg 2"], POOLS["lp 2"], POOLS["avg 2, 3"], POOLS["max 2, 3"]):
            agree(pool, draw(5, 40, 31, 45))
