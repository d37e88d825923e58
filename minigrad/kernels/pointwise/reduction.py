"""The sum and the mean of a large array, shared out over threads, and the gradients they send to every element.

The array is summed in pieces of one fixed length, and the pieces' sums in order, so that the result does not depend on
the number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..machine import memory
from ..machine.large import LARGE
from ..machine.layout import takes
from ..machine.shared import share, shared, shared_rows
from ..machine.threads import shares

PIECE = 1 << 11
COST = 0.15  # nanoseconds an element takes


@shared_rows(fixed=True)
def _piecewise(k: int, sums: Any, x: Any) -> None:
    """The sum of the k-th piece."""
    piece = x[k * PIECE : (k + 1) * PIECE]
    s = 0.0  # float64: the time goes into reading
    for i in range(piece.size):
        s += piece[i]
    sums[k] = s


@shared(fixed=True)
def _fill(t: int, parts: int, y: Any, value: Any) -> None:
    start, end = share(t, parts, y.size)
    y[start:end] = value


def _total(x: Any, axes: Any) -> Any:
    if not takes(x, LARGE) or not (axes is None or len(axes) == x.ndim):
        return NotImplemented
    sums = np.empty(-(-x.size // PIECE), np.float64)
    _piecewise.launch(shares(COST * x.size, sums.size), (sums, x.ravel()))
    return sums.sum()


def _shaped(y: Any, x: Any, keepdims: bool) -> Any:
    return np.full((1,) * x.ndim, y, np.float32) if keepdims else np.float32(y)


def _repeated(value: Any, shape: tuple[int, ...]) -> Any:
    dx = memory.empty(shape)
    _fill.launch(shares(COST * dx.size, dx.size), (dx.ravel(), np.float32(value)))
    return dx


def sum_(x: Any, axes: Any, keepdims: bool) -> Any:
    y = _total(x, axes)
    return y if y is NotImplemented else _shaped(y, x, keepdims)


def sum_gradients(needs: Any, dy: Any, shape: tuple[int, ...], axes: Any) -> Any:
    return _repeated(dy.item(), shape)


def mean(x: Any, axes: Any, keepdims: bool) -> Any:
    y = _total(x, axes)
    return y if y is NotImplemented else _shaped(y / x.size, x, keepdims)


def mean_gradients(needs: Any, dy: Any, shape: tuple[int, ...], axes: Any) -> Any:
    return _repeated(dy.item() / math.prod(shape), shape)


KERNELS = {"sum": (sum_, sum_gradients), "mean": (mean, mean_gradients)}
