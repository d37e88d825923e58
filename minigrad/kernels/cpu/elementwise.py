"""Adding a row to every row of a matrix, and the sum over rows that its rule asks for."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import Kernel
from ..compile import jit
from .layout import FLOAT32, takes


@jit
def _column_sums(x: Any, sums: Any) -> None:
    """Σ over rows, four at a time. NumPy's own reduction over the first axis takes twice as long or more."""
    sums[:] = np.float32(0)
    n = x.shape[0]
    whole = n - n % 4
    for i in range(0, whole, 4):
        r0, r1, r2, r3 = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(sums.size):
            sums[j] += (r0[j] + r1[j]) + (r2[j] + r3[j])
    for i in range(whole, n):
        for j in range(sums.size):
            sums[j] += x[i, j]


@jit
def _add_row(x: Any, row: Any, y: Any) -> None:
    for i in range(x.shape[0]):
        source, target = x[i], y[i]
        for j in range(row.size):
            target[j] = source[j] + row[j]


def add_forward(ctx: Any, a: Any, b: Any) -> Any:
    """Only (N, M) + (M) or (1, M): NumPy sets up each row anew. Its addition of like shapes cannot be bettered."""
    if not takes(a, 1024) or a.ndim != 2 or not takes(b, 1) or b.shape not in (a.shape[1:], (1, a.shape[1])):
        return NotImplemented  # a column (M, 1) has as many elements as a row
    ctx.shapes = a.shape, b.shape
    y = np.empty(a.shape, FLOAT32)
    _add_row(a, b.ravel(), y)
    return y


def add_backward(ctx: Any, dy: Any) -> Any:
    if dy.dtype is not FLOAT32 or not dy.flags.c_contiguous:
        return NotImplemented
    if ctx.edges[1] is None:
        return dy, None
    sums = np.empty(ctx.shapes[1], FLOAT32)
    _column_sums(dy, sums.ravel())
    return dy, sums


KERNELS = {"add": Kernel(add_forward, add_backward)}
