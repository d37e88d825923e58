"""Arithmetic and functions of large arrays, shared out over threads; and a row added to every row of a matrix.

NumPy's loops for these are good, but run on one thread. Below ``LARGE`` elements, where arrays lie in the caches, NumPy
stays in use.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine import memory
from ..machine.compile import jit
from ..machine.large import LARGE
from ..machine.layout import FLOAT32, takes
from ..machine.sums import add_rows
from ..registry import left_to_the_op
from .each import of_both, of_each
from .functions import exp32, log32

COST = 0.25  # nanoseconds an element takes

# Of large float32 arrays of one shape.
sum_ = of_both(jit(lambda a, b: a + b), COST)
difference = of_both(jit(lambda a, b: a - b), COST)
product = of_both(jit(lambda a, b: a * b), COST)
quotient = of_both(jit(lambda a, b: a / b), COST)
_copy = of_each(jit(lambda x: x), COST)


def copy(x: Any) -> Any:
    """A C-contiguous copy of an array."""
    return _copy(x) if takes(x, LARGE) else x.copy(order="C")


def alike(a: Any, b: Any) -> bool:
    """Whether both are large float32 arrays of one shape."""
    return takes(a, LARGE) and takes(b, LARGE) and a.shape == b.shape


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
        return sum_(a, b) if a.size >= LARGE else NotImplemented
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


def _of_alike(f: Any) -> Any:
    """f(a, b) as an op's ``compute``."""
    return lambda a, b: f(a, b) if alike(a, b) else NotImplemented


def mul_gradients(needs: Any, dy: Any, a: Any, b: Any, shape_a: Any, shape_b: Any) -> Any:
    if not takes(dy):
        return NotImplemented
    return product(dy, b) if b is not None else None, product(dy, a) if a is not None else None


def div_gradients(needs: Any, dy: Any, a: Any, b: Any, shape_a: Any, shape_b: Any) -> Any:
    return NotImplemented if needs(1) or not takes(dy) else (quotient(dy, b), None)


def _function(f: Any, rule: Any) -> tuple[Any, Any]:
    """(compute, gradients) of a function of each element; the latter is ``rule(dy, saved)``."""
    apply = of_each(f, COST)

    def compute(x: Any) -> Any:
        return apply(x) if takes(x, LARGE) else NotImplemented

    def gradients(needs: Any, dy: Any, saved: Any) -> Any:
        return rule(dy, saved) if takes(dy) else NotImplemented

    return compute, gradients


KERNELS = {
    "add": (add, add_gradients),
    "sub": (_of_alike(difference), left_to_the_op),  # its backward has no arithmetic
    "mul": (_of_alike(product), mul_gradients),
    "div": (_of_alike(quotient), div_gradients),
    "exp": _function(exp32, product),  # dx = dy y
    "log": _function(log32, quotient),  # dx = dy / x
    "sqrt": _function(jit(lambda x: np.sqrt(x)), of_both(jit(lambda dy, y: dy / (y + y)), COST)),
}
