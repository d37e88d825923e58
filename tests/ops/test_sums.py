"""Sums keep their digits: over any axis, in every dtype, forward and backward, with kernels and without."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad import kernels
from minigrad.ops.sums import total

F = minigrad.nn.functional
Array = np.ndarray[Any, Any]
WAYS = pytest.mark.parametrize("way", [contextlib.nullcontext, kernels.disabled], ids=["kernels", "textbook"])
ROWS = 300_000
kernels.load()  # or small arrays would not be worth it


# --- the sum itself ---------------------------------------------------------------------------------------------------


def layouts(x: Array) -> list[Array]:
    """x as it lies in memory in other ways."""
    wide = np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x
    return [x, np.asfortranarray(x), wide, np.ascontiguousarray(x.swapaxes(0, -1)).swapaxes(0, -1) if x.ndim else x]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "shape",
    [(), (5,), (0, 3), (3, 0), (1000,), (5000,), (65, 3), (71, 3), (1000, 3), (3, 1000), (70, 70, 5), (400, 3, 7, 7)],
)
def test_total_over_any_axes_and_layout(shape: tuple[int, ...], dtype: Any) -> None:
    rng = np.random.default_rng(0)
    axes = [a for n in range(1, len(shape) + 1) for a in itertools.combinations(range(len(shape)), n)]
    for x in layouts(rng.standard_normal(shape).astype(dtype)):
        size = abs(x.astype(np.float64))
        for axis, keepdims in itertools.product([None, *axes], [False, True]):
            y = total(x, axis, keepdims)
            exact = x.astype(np.longdouble).sum(axis=axis, keepdims=keepdims)
            assert (y.shape, y.dtype) == (exact.shape, dtype)
            assert (abs(y - exact) <= 4 * np.finfo(dtype).eps * size.sum(axis=axis, keepdims=keepdims)).all()


def test_integers_wrap_round_in_their_own_dtype() -> None:
    assert total(np.full((1000, 1), 100, np.int32), 0).dtype == np.int32
    assert minigrad.ones(300, 2, dtype=minigrad.uint8).sum(0).tolist() == [300, 300]


# --- values that were lost --------------------------------------------------------------------------------------------


def test_ones_beyond_the_integers_of_float32() -> None:
    assert minigrad.ones(2**24 + 16, 2).sum(0).tolist() == [2**24 + 16] * 2


@WAYS
@pytest.mark.parametrize(
    ("shape", "dim"), [((ROWS, 2), 0), ((2, ROWS), 1), ((ROWS, 2), None), ((100, 3, ROWS // 100), (0, 2))]
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_mean_of_many_equal_numbers(way: Any, shape: tuple[int, ...], dim: Any, dtype: str) -> None:
    x = minigrad.full(shape, 0.1, dtype=getattr(minigrad, dtype))
    with way():
        y = x.mean(dim)
    np.testing.assert_allclose(y.numpy(), x.numpy().flat[0], rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_running_sums_do_not_drift(dtype: str) -> None:
    kind, rtol = getattr(minigrad, dtype), float(np.finfo(dtype).eps)
    x = minigrad.full((ROWS, 2), 0.1, dtype=kind, requires_grad=True)
    y = x.cumsum(0)
    exact = np.arange(1, ROWS + 1)[:, None] * x.detach().numpy().astype(np.float64)[0]
    np.testing.assert_allclose(y.detach().numpy(), exact, rtol=rtol)
    y.backward(minigrad.full((ROWS, 2), 0.1, dtype=kind))
    np.testing.assert_allclose(x.grad.numpy(), exact[::-1], rtol=rtol)


HALVES: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "sum over rows": (lambda x: x.sum(0), np.ones((3000, 2)), [3000.0, 3000.0]),
    "sum": (lambda x: x.sum(), np.ones((3000, 2)), 6000.0),
    "mean": (lambda x: x.mean(), np.ones(70000), 1.0),
    "mean over rows": (lambda x: x.mean(0), np.ones((70000, 1)), [1.0]),
    "norm": (lambda x: x.norm(), np.full(2, 300.0), math.sqrt(2) * 300),
    "var": (lambda x: x.var(), np.array([-300.0, 300.0] * 200), 90226.0),
    "std": (lambda x: x.std(), np.array([-300.0, 300.0] * 200), 300.376),
    "logsumexp": (lambda x: x.logsumexp(0), np.zeros(70000), math.log(70000)),
    "softmax": (lambda x: x.softmax(0).sum(), np.zeros(4000), 1.0),
    "log_softmax": (lambda x: x.log_softmax(0)[0], np.zeros(70000), -math.log(70000)),
    "mse": (lambda x: F.mse_loss(x, x * 0), np.array([300.0, 0, 0, 0]), 22500.0),
    "cross_entropy": (
        lambda x: F.cross_entropy(x, minigrad.zeros(5000, dtype=minigrad.int64)),
        np.zeros((5000, 2)),
        math.log(2),
    ),
    "huber": (lambda x: F.huber_loss(x, x * 0), np.full(70000, 2.0), 1.5),
    "bce": (lambda x: F.binary_cross_entropy(x, x * 0 + 1), np.full(70000, 0.5), math.log(2)),
    "matmul": (lambda x: x[None] @ x[:, None], np.ones(3000), [[3000.0]]),
    "linear": (lambda x: F.linear(x, x), np.ones((1, 3000)), [[3000.0]]),
    "einsum of rows": (lambda x: minigrad.einsum("ij->j", x), np.ones((3000, 2)), [3000.0, 3000.0]),
    "einsum": (lambda x: minigrad.einsum("ij,ij->j", x, x), np.ones((3000, 2)), [3000.0, 3000.0]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 300), np.ones((1, 300, 300)), [[[1.0]]]),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 1), np.ones((1, 300, 300)), [[[1.0]]]),
    "cosine_similarity": (lambda x: F.cosine_similarity(x, x, 0), np.full(4, 60000.0), 1.0),
    "normalize": (lambda x: F.normalize(x, dim=0), np.full(4, 60000.0), [0.5] * 4),
    "layer_norm": (lambda x: F.layer_norm(x, (2,)), np.array([-60000.0, 60000.0]), [-1.0, 1.0]),
    "prod": (lambda x: x.prod(), np.array([300.0, 300.0, 1 / 256, 1 / 256]), 300.0**2 / 2**16),
}


@pytest.mark.parametrize("name", HALVES)
def test_float16_adds_up_in_float32(name: str) -> None:
    function, x, expected = HALVES[name]
    y = function(minigrad.tensor(x, dtype=minigrad.float16))
    assert y.dtype == minigrad.float16
    want = np.asarray(expected, np.float64)
    np.testing.assert_allclose(y.numpy(), np.where(want > 65504, np.inf, want), rtol=1e-3)


def test_the_largest_share_their_gradient_in_float16() -> None:
    x = minigrad.zeros(4000, dtype=minigrad.float16, requires_grad=True)
    x.amax().backward(minigrad.tensor(400.0, dtype=minigrad.float16))
    np.testing.assert_allclose(x.grad.numpy(), 0.1, rtol=1e-3)


# --- beside PyTorch ---------------------------------------------------------------------------------------------------

HARD: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "far from 0": lambda rng, shape: 1e6 + rng.standard_normal(shape),
    "equal": lambda rng, shape: np.full(shape, 0.1),
    "of all sizes": lambda rng, shape: rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 7, shape),
}
REDUCTIONS: dict[str, Callable[[Any, Any, int], Any]] = {
    "sum": lambda lib, x, d: x.sum(d),
    "mean": lambda lib, x, d: x.mean(d),
    "var": lambda lib, x, d: x.var(d),
    "std": lambda lib, x, d: x.std(d),
    "norm": lambda lib, x, d: x.norm(dim=d),
    "norm, p=1": lambda lib, x, d: x.norm(p=1, dim=d),
    "norm, p=3": lambda lib, x, d: x.norm(p=3, dim=d),
    "logsumexp": lambda lib, x, d: x.logsumexp(d),
    "softmax": lambda lib, x, d: x.softmax(d),
    "log_softmax": lambda lib, x, d: x.log_softmax(d),
    "batch_norm": lambda lib, x, d: lib.nn.functional.batch_norm(x, None, None, training=True),
    "layer_norm": lambda lib, x, d: lib.nn.functional.layer_norm(x, x.shape[-1:]),
    "group_norm": lambda lib, x, d: lib.nn.functional.group_norm(x, 1),
    "instance_norm": lambda lib, x, d: lib.nn.functional.instance_norm(x[None]),
    "rms_norm": lambda lib, x, d: lib.nn.functional.rms_norm(x, x.shape[-1:], eps=1e-5),
}


@WAYS
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("data", HARD)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_float32_is_as_exact_as_pytorch(name: str, data: str, dim: int, way: Any) -> None:
    rng = np.random.default_rng(0)
    x = HARD[data](rng, (20000, 3) if dim == 0 else (3, 20000)).astype(np.float32)
    function = REDUCTIONS[name]
    exact = function(torch, torch.from_numpy(x).double(), dim).numpy()
    theirs = function(torch, torch.from_numpy(x), dim).numpy()
    with way():
        ours = function(minigrad, minigrad.from_numpy(x), dim).numpy()
    allowed = 3 * abs(theirs - exact).max() + np.finfo(np.float32).eps * abs(exact).max()
    assert abs(ours - exact).max() <= allowed


# Upstream gradients of about 0.1 each, so that a sum of many of them is large: its last digits show how it was made.
GRADIENTS: dict[str, tuple[Callable[[Any, Any], Any], list[tuple[int, ...]]]] = {
    "linear's bias": (lambda x, w, b: F.linear(x, w, b), [(ROWS // 4, 16), (20, 16), (20,)]),
    "thin linear's bias": (lambda x, w, b: F.linear(x, w, b), [(ROWS // 2, 1), (2, 1), (2,)]),
    "linear to one": (lambda x, w, b: F.linear(x, w, b), [(ROWS // 8, 6), (1, 6), (1,)]),
    "row added": (lambda x, b: x + b, [(ROWS, 4), (4,)]),
    "column added": (lambda x, b: x + b, [(ROWS // 10, 4, 10), (4, 1)]),
    "expand": (lambda b: b.expand(ROWS, 4), [(4,)]),
    "repeat": (lambda b: b.repeat(ROWS, 1), [(4,)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), [(ROWS, 3), (3,), (3,)]),
    "batch_norm of planes": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        [(2, 3, ROWS // 2), (3,), (3,)],
    ),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (4,), w, b), [(ROWS, 4), (4,), (4,)]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), [(ROWS // 10, 4, 10), (4,), (4,)]),
    "conv2d's bias": (lambda x, w, b: F.conv2d(x, w, b), [(300, 3, 20, 20), (4, 3, 3, 3), (4,)]),
    "depthwise conv2d's bias": (lambda x, w, b: F.conv2d(x, w, b, groups=3), [(300, 3, 20, 20), (3, 1, 3, 3), (3,)]),
    "conv_transpose2d's bias": (lambda x, w, b: F.conv_transpose2d(x, w, b), [(300, 3, 20, 20), (3, 4, 3, 3), (4,)]),
    "embedding": (lambda w: F.embedding(minigrad.arange(ROWS) % 3, w), [(3, 2)]),
    "indexing": (lambda w: w[minigrad.arange(ROWS) % 3], [(3, 2)]),
}


@WAYS
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_summed_over_many_uses(name: str, way: Any) -> None:
    function, shapes = GRADIENTS[name]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    upstream: Array | None = None
    found = []
    for dtype in (np.float64, np.float32):
        with way() if dtype is np.float32 else kernels.disabled():
            tensors = [minigrad.from_numpy(a.astype(dtype)).requires_grad_() for a in arrays]
            y = function(*tensors)
            if upstream is None:
                upstream = 0.1 + 0.01 * rng.standard_normal(y.shape).astype(np.float32)
            y.backward(minigrad.from_numpy(upstream.astype(dtype)))
        found.append(tensors[-1].grad.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=5e-7)
