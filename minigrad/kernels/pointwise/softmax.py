"""Softmax, log-softmax and cross-entropy over rows on the CPU: a row is read while it is in the cache.

Rows are shared out over threads; each row's sums belong to one thread, so results do not depend on their number.
float32, (rows, classes), along the last axis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine.compile import jit
from ..machine.layout import takes
from ..machine.shared import shared_rows
from ..machine.sums import RUN, dot_of, sum_of
from ..machine.threads import shares
from .functions import exp_below

EXPONENTIAL, PRODUCT = 1.0, 0.3  # nanoseconds an element takes, with an exponential and without


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
    if top == -np.inf:  # if there is a NaN, no comparison has found it
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


@shared_rows(fixed=True)
def _softmax(i: int, x: Any, y: Any, logs: Any) -> None:
    """Row i of x → its softmax in y, and in ``logs`` its largest element m and ln Σ e^(x − m).

    The two are kept apart: ln Σ eˣ = m + … as one float32 would lose the small part beside a large m.
    """
    top, classes = _largest(x[i]), x.shape[1]
    total: Any = 0.0
    for start in range(0, classes, RUN):
        total += _exponentials(x[i, start : start + RUN], top, y[i, start : start + RUN])
    scale = np.float32(1.0 / total)
    for c in range(classes):
        y[i, c] *= scale
    logs[i, 0], logs[i, 1] = top, np.log(total)


@shared_rows  # not fixed: ``largest`` is a strided view, unless there is one row
def _softmax_backward(i: int, dy: Any, y: Any, largest: Any, dx: Any) -> None:
    if largest[i] == -np.inf:  # a row that is masked as a whole
        dx[i] = 0
        return
    s = np.float32(dot_of(dy[i], y[i]))
    for c in range(y.shape[1]):
        dx[i, c] = y[i, c] * (dy[i, c] - s)


@shared_rows(fixed=True)
def _log_softmax(i: int, x: Any, y: Any, largest: Any) -> None:
    top, classes = _largest(x[i]), x.shape[1]
    largest[i] = top
    total: Any = 0.0
    for start in range(0, classes, RUN):
        total += _sum_of_exponentials(x[i, start : start + RUN], top)
    log = np.float32(np.log(total))
    for c in range(classes):
        y[i, c] = (x[i, c] - top) - log


@shared_rows(fixed=True)
def _log_softmax_backward(i: int, dy: Any, y: Any, largest: Any, dx: Any) -> None:
    if largest[i] == -np.inf:
        dx[i] = 0
        return
    s = np.float32(sum_of(dy[i]))
    for c in range(y.shape[1]):
        dx[i, c] = dy[i, c] - exp_below(y[i, c]) * s


@shared_rows(fixed=True)
def _class_loss(i: int, x: Any, logs: Any, target: Any, losses: Any) -> None:
    """−ln of the target's probability."""
    losses[i] = logs[i, 1] - (x[i, target[i]] - logs[i, 0])


@shared_rows(fixed=True)
def _class_backward(i: int, p: Any, target: Any, g: Any, dx: Any) -> None:
    for c in range(p.shape[1]):
        dx[i, c] = g[i] * p[i, c]
    dx[i, target[i]] -= g[i]


@shared_rows
def _distribution_loss(i: int, x: Any, logs: Any, q: Any, losses: Any) -> None:
    """Σ q · (−ln p) over the classes."""
    total: Any = 0.0
    for start in range(0, x.shape[1], RUN):
        total += _expected(x[i, start : start + RUN], q[i, start : start + RUN], logs[i, 0], logs[i, 1])
    losses[i] = total


@shared_rows
def _distribution_backward(i: int, p: Any, q: Any, g: Any, dx: Any) -> None:
    s = np.float32(sum_of(q[i]))
    for c in range(p.shape[1]):
        dx[i, c] = g[i] * (p[i, c] * s - q[i, c])


def _fits(x: Any, axis: int) -> bool:
    """Whether the softmax runs along the last axis of an array with at least two axes and something in it."""
    return takes(x, 64) and x.ndim >= 2 and axis == x.ndim - 1


def softmax(x: Any, axis: int) -> Any:
    if not _fits(x, axis):
        return NotImplemented
    y, logs, classes = np.empty(x.shape, np.float32), np.empty((*x.shape[:-1], 2), np.float32), x.shape[-1]
    rows = x.size // classes
    arrays = x.reshape(rows, classes), y.reshape(rows, classes), logs.reshape(rows, 2)
    _softmax.launch(shares(EXPONENTIAL * x.size, rows), arrays)
    return y, logs[..., :1]


def log_softmax(x: Any, axis: int) -> Any:
    if not _fits(x, axis):
        return NotImplemented
    y, largest, classes = np.empty(x.shape, np.float32), np.empty((*x.shape[:-1], 1), np.float32), x.shape[-1]
    arrays = x.reshape(-1, classes), y.reshape(-1, classes), largest.reshape(-1)
    _log_softmax.launch(shares(EXPONENTIAL * x.size, largest.size), arrays)
    return y, largest


def _gradients(loop: Any) -> Any:
    """``gradients`` of the two, by their loops."""

    def gradients(needs: Any, dy: Any, y: Any, largest: Any, axis: int) -> Any:
        if not takes(dy):
            return NotImplemented
        dx, classes = np.empty(dy.shape, np.float32), dy.shape[-1]
        arrays = dy.reshape(-1, classes), y.reshape(-1, classes), largest.reshape(-1), dx.reshape(-1, classes)
        loop.launch(shares(EXPONENTIAL * dy.size, largest.size), arrays)
        return dx

    return gradients


def cross_entropy(x: Any, q: Any, reduction: str) -> Any:
    if not takes(x, 64) or x.shape[1] == 0 or not q.flags.c_contiguous:
        return NotImplemented
    by_class = q.ndim == 1
    if by_class and q.dtype != np.int64:
        return NotImplemented
    n = x.shape[0]
    p, logs, losses = np.empty(x.shape, np.float32), np.empty((n, 2), np.float32), np.empty(n, np.float32)
    _softmax.launch(shares(EXPONENTIAL * x.size, n), (x, p, logs))
    parts = shares(PRODUCT * (n if by_class else x.size), n)
    (_class_loss if by_class else _distribution_loss).launch(parts, (x, logs, q, losses))
    if reduction == "none":
        return losses, p
    total = losses.sum(dtype=np.float64)
    return np.float32(total if reduction == "sum" else total / n), p


def cross_entropy_gradients(needs: Any, dy: Any, x: Any, q: Any, p: Any, reduction: str) -> Any:
    if needs(1):
        return NotImplemented
    n = p.shape[0]
    if reduction == "none":
        g = np.ascontiguousarray(dy)
    else:
        g = np.full(n, dy if reduction == "sum" else dy * np.float32(1.0 / n), np.float32)
    dx = np.empty(p.shape, np.float32)
    (_class_backward if q.ndim == 1 else _distribution_backward).launch(shares(PRODUCT * p.size, n), (p, q, g, dx))
    return dx, None


KERNELS = {
    "softmax": (softmax, _gradients(_softmax_backward)),
    "log_softmax": (log_softmax, _gradients(_log_softmax_backward)),
    "cross_entropy": (cross_entropy, cross_entropy_gradients),
}
