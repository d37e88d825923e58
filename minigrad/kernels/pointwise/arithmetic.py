"""Arithmetic and functions of large arrays, shared out over threads; and a row added to every row of a matrix.

NumPy's loops for these are good, but run on one thread, and one thread alone gets half of what the memory can deliver.
Below ``LARGE`` elements, where arrays lie in the caches, NumPy stays in use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..machine import memory
from ..machine.compile import jit
from ..machine.large import LARGE
from ..machine.layout import FLOAT32, takes
from ..machine.sums import add_rows
from ..machine.threads import shares
from ..registry import left_to_the_op
from .functions import exp32, log32

ADD, SUB, MUL, DIV = 0, 1, 2, 3
EXP, LOG, SQRT, COPY = 0, 1, 2, 3
COST = 0.25  # nanoseconds an element takes


@jit
def _combine(a: Any, b: Any, y: Any, f: int) -> None:
    if f == ADD:
        for i in range(y.size):
            y[i] = a[i] + b[i]
    elif f == SUB:
        for i in range(y.size):
            y[i] = a[i] - b[i]
    elif f == MUL:
        for i in range(y.size):
            y[i] = a[i] * b[i]
    elif f == DIV:
        for i in range(y.size):
            y[i] = a[i] / b[i]


@jit(parallel=True)
def _combine_shared(a: Any, b: Any, y: Any, f: int, parts: int) -> None:
    length = (y.size + parts - 1) // parts
    for t in prange(parts):
        i, j = t * length, (t + 1) * length
        _combine(a[i:j], b[i:j], y[i:j], f)


@jit
def _map(x: Any, y: Any, f: int) -> None:
    if f == EXP:
        for i in range(y.size):
            y[i] = exp32(x[i])
    elif f == LOG:
        for i in range(y.size):
            y[i] = log32(x[i])
    elif f == SQRT:
        for i in range(y.size):
            y[i] = np.sqrt(x[i])
    elif f == COPY:
        for i in range(y.size):
            y[i] = x[i]


@jit(parallel=True)
def _map_shared(x: Any, y: Any, f: int, parts: int) -> None:
    length = (y.size + parts - 1) // parts
    for t in prange(parts):
        i, j = t * length, (t + 1) * length
        _map(x[i:j], y[i:j], f)


def combine(a: Any, b: Any, f: int) -> Any:
    """f(a, b) of two large float32 arrays of one shape."""
    y = memory.empty(a.shape)
    _combine_shared.launch(a.ravel(), b.ravel(), y.ravel(), f, shares(COST * y.size, y.size))
    return y


def mapped(x: Any, f: int) -> Any:
    """f(x) of a large float32 array."""
    y = memory.empty(x.shape)
    _map_shared.launch(x.ravel(), y.ravel(), f, shares(COST * y.size, y.size))
    return y


def copy(x: Any) -> Any:
    """A C-contiguous copy of an array."""
    return mapped(x, COPY) if takes(x, LARGE) else x.copy(order="C")


def alike(a: Any, b: Any) -> bool:
    """Whether both are large float32 arrays of one shape."""
    return takes(a, LARGE) and takes(b, LARGE) and a.shape == b.shape


# --- sums and differences ---------------------------------------------------------------------------------------------


@jit
def _column_sums(x: Any, sums: Any) -> None:
    """Σ over rows. NumPy's own reduction over the first axis takes twice as long or more."""
    total = np.zeros(sums.size)
    add_rows(x, 0, x.shape[0], total)
    sums[:] = total


@jit
def _add_row(x: Any, row: Any, y: Any) -> None:
    for i in range(x.shape[0]):
        source, target = x[i], y[i]
        for j in range(row.size):
            target[j] = source[j] + row[j]


def add(a: Any, b: Any) -> Any:
    """(N, M) + (M) or (1, M), for which NumPy sets up each row anew, and large arrays of one shape."""
    if not takes(a, 1024) or not takes(b, 1):
        return NotImplemented
    if a.shape == b.shape:
        return combine(a, b, ADD) if a.size >= LARGE else NotImplemented
    if a.ndim != 2 or b.shape not in (a.shape[1:], (1, a.shape[1])):
        return NotImplemented  # a column (M, 1) has as many elements as a row
    y = memory.empty(a.shape)
    _add_row.launch(a, b.ravel(), y)
    return y


def add_gradients(needs: Any, dy: Any, shape_a: Any, shape_b: Any) -> Any:
    if dy.dtype is not FLOAT32 or not dy.flags.c_contiguous:
        return NotImplemented
    if not needs(1):
        return dy, None
    if shape_b == dy.shape:
        return dy, dy
    sums = np.empty(shape_b, FLOAT32)
    _column_sums.launch(dy, sums.ravel())
    return dy, sums


def sub(a: Any, b: Any) -> Any:
    return combine(a, b, SUB) if alike(a, b) else NotImplemented


# --- products and functions -------------------------------------------------------------------------------------------


def mul(a: Any, b: Any) -> Any:
    return combine(a, b, MUL) if alike(a, b) else NotImplemented


def mul_gradients(needs: Any, dy: Any, a: Any, b: Any, shape_a: Any, shape_b: Any) -> Any:
    if not takes(dy):
        return NotImplemented
    return combine(dy, b, MUL) if b is not None else None, combine(dy, a, MUL) if a is not None else None


def div(a: Any, b: Any) -> Any:
    return combine(a, b, DIV) if alike(a, b) else NotImplemented


def div_gradients(needs: Any, dy: Any, a: Any, b: Any, shape_a: Any, shape_b: Any) -> Any:
    if needs(1) or not takes(dy):
        return NotImplemented
    return combine(dy, b, DIV), None


def _function(f: int, rule: Any) -> tuple[Any, Any]:
    """(compute, gradients) of a function of each element; the latter is ``rule(dy, saved)``."""

    def compute(x: Any) -> Any:
        return mapped(x, f) if takes(x, LARGE) else NotImplemented

    def gradients(needs: Any, dy: Any, saved: Any) -> Any:
        return rule(dy, saved) if takes(dy) else NotImplemented

    return compute, gradients


KERNELS = {
    "add": (add, add_gradients),
    "sub": (sub, left_to_the_op),  # its rule has nothing to share out
    "mul": (mul, mul_gradients),
    "div": (div, div_gradients),
    "exp": _function(EXP, lambda dy, y: combine(dy, y, MUL)),
    "log": _function(LOG, lambda dy, x: combine(dy, x, DIV)),
    "sqrt": _function(SQRT, lambda dy, y: combine(dy, combine(y, y, ADD), DIV)),
}
