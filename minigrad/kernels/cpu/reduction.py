"""The sum and the mean of a large array, shared out over threads, and the gradients they send to every element.

The array is summed in pieces of one fixed length, and the pieces' sums in order, so that the result does not depend on
the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .. import Kernel, memory
from ..compile import jit
from ..large import LARGE
from ..parallel_for import again, at_most
from ..threads import shares
from .layout import takes

PIECE = 1 << 11
COST = 0.15  # nanoseconds an element takes


@jit(parallel=True)
def _piecewise(x: Any, sums: Any, parts: int) -> None:
    before = at_most(parts)
    for t in prange(parts):
        for k in range(t * sums.size // parts, (t + 1) * sums.size // parts):
            piece = x[k * PIECE : (k + 1) * PIECE]
            s = 0.0  # float64: the time goes into reading
            for i in range(piece.size):
                s += piece[i]
            sums[k] = s
    again(before)


@jit(parallel=True)
def _fill(y: Any, value: Any, parts: int) -> None:
    length = (y.size + parts - 1) // parts
    before = at_most(parts)
    for t in prange(parts):
        y[t * length : (t + 1) * length] = value
    again(before)


def _total(ctx: Any, x: Any, axes: Any) -> Any:
    if not takes(x, LARGE) or not (axes is None or len(axes) == x.ndim):
        return NotImplemented
    sums = np.empty(-(-x.size // PIECE), np.float64)
    _piecewise(x.ravel(), sums, shares(COST * x.size, sums.size))
    ctx.shape, ctx.kept = x.shape, (1,) * x.ndim
    return sums.sum()


def _shaped(ctx: Any, y: Any, keepdims: bool) -> Any:
    return np.full(ctx.kept, y, np.float32) if keepdims else np.float32(y)


def _spread(ctx: Any, value: Any) -> Any:
    dx = memory.empty(ctx.shape)
    _fill(dx.ravel(), np.float32(value), shares(COST * dx.size, dx.size))
    return dx


def sum_forward(ctx: Any, x: Any, axes: Any, keepdims: bool) -> Any:
    y = _total(ctx, x, axes)
    return y if y is NotImplemented else _shaped(ctx, y, keepdims)


def sum_backward(ctx: Any, dy: Any) -> Any:
    return _spread(ctx, dy.item())


def mean_forward(ctx: Any, x: Any, axes: Any, keepdims: bool) -> Any:
    y = _total(ctx, x, axes)
    if y is NotImplemented:
        return NotImplemented
    ctx.n = x.size
    return _shaped(ctx, y / x.size, keepdims)


def mean_backward(ctx: Any, dy: Any) -> Any:
    return _spread(ctx, dy.item() / ctx.n)


KERNELS = {"sum": Kernel(sum_forward, sum_backward), "mean": Kernel(mean_forward, mean_backward)}
