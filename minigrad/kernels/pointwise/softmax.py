"""Softmax, log-softmax and cross-entropy over rows on the CPU: a row is read while it is in the cache.

Rows are shared out over threads; each row's sums belong to one thread, so results do not depend on their number.
float32, (rows, classes), along the last axis.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..machine.compile import jit
from ..machine.layout import takes
from ..machine.parallel_for import again, at_most
from ..machine.sums import RUN, dot_of, sum_of
from ..machine.threads import shares
from .functions import exp_below

EXPONENTIAL, PRODUCT = 1.0, 0.3  # nanoseconds an element takes, of what is raised to a power and of what is not


@jit
def _largest(row: Any) -> Any:
    """The largest element. Sixteen candidates at a time: one alone would make the loop wait for every comparison."""
    tops = np.empty(16, np.float32)
    tops[:] = row[0]
    whole = row.size - row.size % 16
    for c in range(0, whole, 16):
        for k in range(16):
            v = row[c + k]
            tops[k] = v if v > tops[k] else tops[k]
    top = row[0]
    for k in range(16):
        top = max(top, tops[k])
    for c in range(whole, row.size):
        top = max(top, row[c])
    if top == -np.inf:  # and not NaN, which no comparison finds
        for c in range(row.size):
            top = row[c] if row[c] != row[c] else top
    return top


@jit
def _exponentials(x: Any, top: Any, y: Any) -> Any:
    """y = e^(x − top), and Σ y."""
    s = np.float32(0)
    for c in range(x.size):
        e = exp_below(x[c] - top)
        y[c] = e
        s += e
    return s


@jit
def _sum_of_exponentials(x: Any, top: Any) -> Any:
    s = np.float32(0)
    for c in range(x.size):
        s += exp_below(x[c] - top)
    return s


@jit
def _expected(x: Any, q: Any, top: Any, log: Any) -> Any:
    """Σ q (log − (x − top))."""
    s = np.float32(0)
    for c in range(x.size):
        s += q[c] * (log - (x[c] - top))
    return s


@jit(parallel=True)
def _softmax(x: Any, y: Any, logs: Any, parts: int) -> None:
    """Rows of x → their softmax in y, and for each row in ``logs`` its largest element m and ln Σ e^(x − m).

    The two are kept apart: ln Σ eˣ = m + … as one float32 would lose the small part beside a large m.
    """
    n, classes = x.shape
    before = at_most(parts)
    for t in prange(parts):
        for i in range(t * n // parts, (t + 1) * n // parts):
            top = _largest(x[i])
            total: Any = 0.0
            for start in range(0, classes, RUN):
                total += _exponentials(x[i, start : start + RUN], top, y[i, start : start + RUN])
            scale = np.float32(1.0 / total)
            for c in range(classes):
                y[i, c] *= scale
            logs[i, 0] = top
            logs[i, 1] = np.log(total)
    again(before)


@jit(parallel=True)
def _softmax_backward(dy: Any, y: Any, largest: Any, dx: Any, parts: int) -> None:
    n, classes = y.shape
    before = at_most(parts)
    for t in prange(parts):
        for i in range(t * n // parts, (t + 1) * n // parts):
            if largest[i] == -np.inf:  # a row that is masked as a whole
                dx[i] = 0
                continue
            s = np.float32(dot_of(dy[i], y[i]))
            for c in range(classes):
                dx[i, c] = y[i, c] * (dy[i, c] - s)
    again(before)


@jit(parallel=True)
def _log_softmax(x: Any, y: Any, largest: Any, parts: int) -> None:
    n, classes = x.shape
    before = at_most(parts)
    for t in prange(parts):
        for i in range(t * n // parts, (t + 1) * n // parts):
            top = _largest(x[i])
            largest[i] = top
            total: Any = 0.0
            for start in range(0, classes, RUN):
                total += _sum_of_exponentials(x[i, start : start + RUN], top)
            log = np.float32(np.log(total))
            for c in range(classes):
                y[i, c] = (x[i, c] - top) - log
    again(before)


@jit(parallel=True)
def _log_softmax_backward(dy: Any, y: Any, largest: Any, dx: Any, parts: int) -> None:
    n, classes = y.shape
    before = at_most(parts)
    for t in prange(parts):
        for i in range(t * n // parts, (t + 1) * n // parts):
            if largest[i] == -np.inf:
                dx[i] = 0
                continue
            s = np.float32(sum_of(dy[i]))
            for c in range(classes):
                dx[i, c] = dy[i, c] - exp_below(y[i, c]) * s
    again(before)


@jit
def _pick_class(x: Any, logs: Any, target: Any, terms: Any) -> None:
    for i in range(x.shape[0]):
        terms[i] = logs[i, 1] - (x[i, target[i]] - logs[i, 0])


@jit(parallel=True)
def _weigh_classes(x: Any, logs: Any, q: Any, terms: Any, parts: int) -> None:
    n, classes = x.shape
    before = at_most(parts)
    for t in prange(parts):
        for i in range(t * n // parts, (t + 1) * n // parts):
            total: Any = 0.0
            for start in range(0, classes, RUN):
                total += _expected(x[i, start : start + RUN], q[i, start : start + RUN], logs[i, 0], logs[i, 1])
            terms[i] = total
    again(before)


@jit(parallel=True)
def _class_backward(p: Any, target: Any, g: Any, dx: Any, parts: int) -> None:
    n, classes = p.shape
    before = at_most(parts)
    for t in prange(parts):
        for i in range(t * n // parts, (t + 1) * n // parts):
            for c in range(classes):
                dx[i, c] = g[i] * p[i, c]
            dx[i, target[i]] -= g[i]
    again(before)


@jit(parallel=True)
def _distribution_backward(p: Any, q: Any, g: Any, dx: Any, parts: int) -> None:
    n, classes = p.shape
    before = at_most(parts)
    for t in prange(parts):
        for i in range(t * n // parts, (t + 1) * n // parts):
            s = np.float32(sum_of(q[i]))
            for c in range(classes):
                dx[i, c] = g[i] * (p[i, c] * s - q[i, c])
    again(before)


def _parts(cost: float, x: Any, rows: int) -> int:
    return shares(cost * x.size, rows)


def _rows(x: Any, axis: int) -> bool:
    """Whether the softmax runs along the last axis of an array with at least two axes and something in it."""
    return takes(x, 64) and x.ndim >= 2 and axis == x.ndim - 1


def softmax(x: Any, axis: int) -> Any:
    if not _rows(x, axis):
        return NotImplemented
    y, logs, classes = np.empty(x.shape, np.float32), np.empty((*x.shape[:-1], 2), np.float32), x.shape[-1]
    rows = x.size // classes
    _softmax.launch(
        x.reshape(rows, classes), y.reshape(rows, classes), logs.reshape(rows, 2), _parts(EXPONENTIAL, x, rows)
    )
    return y, logs[..., :1]


def softmax_gradients(needs: Any, dy: Any, y: Any, largest: Any, axis: int) -> Any:
    return _along_rows(_softmax_backward, dy, y, largest)


def _along_rows(loop: Any, dy: Any, y: Any, largest: Any) -> Any:
    if not takes(dy):
        return NotImplemented
    dx, classes = np.empty(dy.shape, np.float32), dy.shape[-1]
    largest = largest.reshape(-1)
    parts = _parts(EXPONENTIAL, dy, largest.size)
    loop.launch(dy.reshape(-1, classes), y.reshape(-1, classes), largest, dx.reshape(-1, classes), parts)
    return dx


def log_softmax(x: Any, axis: int) -> Any:
    if not _rows(x, axis):
        return NotImplemented
    y, largest = np.empty(x.shape, np.float32), np.empty((*x.shape[:-1], 1), np.float32)
    parts = _parts(EXPONENTIAL, x, largest.size)
    _log_softmax.launch(x.reshape(-1, x.shape[-1]), y.reshape(-1, x.shape[-1]), largest.reshape(-1), parts)
    return y, largest


def log_softmax_gradients(needs: Any, dy: Any, y: Any, largest: Any, axis: int) -> Any:
    return _along_rows(_log_softmax_backward, dy, y, largest)


def cross_entropy(x: Any, q: Any, reduction: str) -> Any:
    if not takes(x, 64) or x.shape[1] == 0 or not q.flags.c_contiguous:
        return NotImplemented
    by_class = q.ndim == 1
    if by_class and q.dtype != np.int64:
        return NotImplemented
    p, logs = np.empty(x.shape, np.float32), np.empty((x.shape[0], 2), np.float32)
    _softmax.launch(x, p, logs, _parts(EXPONENTIAL, x, len(x)))
    terms = np.empty(x.shape[0], np.float32)
    if by_class:
        _pick_class.launch(x, logs, q, terms)
    else:
        _weigh_classes.launch(x, logs, q, terms, _parts(PRODUCT, x, len(x)))
    if reduction == "none":
        return terms, p
    total = terms.sum(dtype=np.float64)
    return np.float32(total if reduction == "sum" else total / terms.size), p


def cross_entropy_gradients(needs: Any, dy: Any, x: Any, q: Any, p: Any, reduction: str) -> Any:
    if needs(1):
        return NotImplemented
    if reduction == "none":
        g = np.ascontiguousarray(dy)
    else:
        g = np.full(p.shape[0], dy if reduction == "sum" else dy * np.float32(1.0 / p.shape[0]), np.float32)
    dx = np.empty(p.shape, np.float32)
    (_class_backward if q.ndim == 1 else _distribution_backward).launch(p, q, g, dx, _parts(PRODUCT, p, len(p)))
    return dx, None


KERNELS = {
    "softmax": (softmax, softmax_gradients),
    "log_softmax": (log_softmax, log_softmax_gradients),
    "cross_entropy": (cross_entropy, cross_entropy_gradients),
}
