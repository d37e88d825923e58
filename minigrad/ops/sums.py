"""Sums that keep their digits.

Adding n numbers one after the other rounds n times: once a running float32 sum of ones has reached 2²⁴, the next one
changes nothing. NumPy adds what lies side by side in pairs, but rows one after the other, in their own dtype. Here no
more than a few summands follow each other: their sums are added up in turn, in a wider dtype where there is one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.variable import Variable, namespace

SMALL = 256  # elements of an array that is summed at once
SHORT = 64  # summands that may follow each other, and all their roundings with them: at least STEP²
STEP = 8  # that many rows become one
PIECE = 1 << 10  # numbers side by side that NumPy adds in pairs in their own dtype

HALF, SINGLE, DOUBLE = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)


def wider(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """In which dtype numbers of ``dtype`` are added up: float64 for the floating ones."""
    return DOUBLE if dtype.kind == "f" else dtype


def total(x: Any, axes: Any = None, keepdims: bool = False) -> Any:
    """Σ x over ``axes`` (all of them if None) in x's own dtype, of an array or a Tensor."""
    if isinstance(x, Variable):
        tensor: Any = x
        return tensor.sum(axis=axes, keepdims=keepdims)
    if x.size <= SMALL and x.dtype != HALF:
        return x.sum(axis=axes, keepdims=keepdims, dtype=x.dtype)  # NumPy alone would widen an int32
    s = accumulated(x, axes, keepdims)
    return s if s.dtype == x.dtype else _narrowed(s, x.dtype)


def _narrowed(x: Any, dtype: np.dtype[Any]) -> Any:
    with np.errstate(all="ignore"):  # what does not fit becomes infinite without a warning, as in PyTorch
        return x.astype(dtype, copy=False)


def accumulated(x: Any, axes: Any = None, keepdims: bool = False) -> Any:
    """Σ x of an array, in the dtype in which it was added up: x's own or a wider one."""
    if x.size <= SMALL or x.dtype.kind != "f":
        return x.sum(axis=axes, keepdims=keepdims, dtype=wider(x.dtype))
    if x.dtype == HALF:
        return accumulated(x.astype(SINGLE), axes, keepdims)
    axes = tuple(range(x.ndim)) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    axes = tuple([a % x.ndim for a in axes])
    y, run = _side_by_side(x, axes)
    for a in axes:
        if a < run:
            y = _along(y, a)
    return y if keepdims else y.reshape([n for a, n in enumerate(y.shape) if a not in axes])


def _side_by_side(x: Any, axes: tuple[int, ...]) -> tuple[Any, int]:
    """x with its last axes summed, as many as are in ``axes`` and lie in one piece; and the first of them."""
    first = x.ndim
    while first and first - 1 in axes and x.flags.c_contiguous:
        first -= 1
    length = math.prod(x.shape[first:])
    if length <= 1:
        return x, x.ndim
    lead = x.shape[:first]
    rows = x.reshape((*lead, length))
    if length <= 2 * PIECE:
        y = rows.sum(axis=-1)
    else:
        whole = length - length % PIECE
        y = rows[..., :whole].reshape((*lead, whole // PIECE, PIECE)).sum(axis=-1).sum(axis=-1, dtype=DOUBLE)
        y = y + rows[..., whole:].sum(axis=-1)
    return namespace(x).asarray(y).reshape(lead + (1,) * (x.ndim - first)), first


def _along(y: Any, axis: int) -> Any:
    """y summed along one axis, which keeps size 1: rows i, i + m, i + 2m, … first."""
    dtype = y.dtype  # the first sums, of few numbers each, are taken in y's own
    while y.shape[axis] > SHORT:
        before, n, after = y.shape[:axis], y.shape[axis], y.shape[axis + 1 :]
        m, lead = n // STEP, (slice(None),) * axis
        rows = y[(*lead, slice(STEP * m))].reshape((*before, STEP, m, *after)).sum(axis=axis, dtype=dtype)
        if n % STEP:
            rows[(*lead, slice(n % STEP))] += y[(*lead, slice(STEP * m, None))]
        y, dtype = rows, DOUBLE
    return y.sum(axis=axis, keepdims=True, dtype=dtype)


def running_total(x: Any, axis: int) -> Any:
    """x₁ + … + xᵢ for every i along an axis, of an array or a Tensor."""
    if isinstance(x, Variable):
        return namespace(x).cumsum(x, axis)
    return _narrowed(x.cumsum(axis=axis, dtype=wider(x.dtype)), x.dtype)
