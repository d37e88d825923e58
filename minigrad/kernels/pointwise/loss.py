"""Losses on the CPU in one pass each way, without the arrays of differences and squares in between."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine.compile import jit
from ..machine.layout import takes
from .functions import HALF, ONE, ZERO, exp32, log1p32, log32, sigmoid32

LARGEST = 1 << 18  # elements: one thread does the sum, so that its order is fixed


@jit(fixed=True)
def _mse(x: Any, t: Any) -> Any:
    s = np.float64(0)  # a float32 sum of many squares would lose the small ones
    for i in range(x.size):
        d = x[i] - t[i]
        s += d * d
    return s


@jit(fixed=True)
def _mse_backward(x: Any, t: Any, scale: Any, dx: Any) -> None:
    for i in range(x.size):
        dx[i] = scale * (x[i] - t[i])


LOWEST = np.float32(-100)  # where the textbook cuts logarithms off
EPS = np.float32(1e-12)


@jit(fixed=True)
def _bce(x: Any, t: Any) -> Any:
    """The summed loss, and whether an x or a t is no probability."""
    s = np.float64(0)
    bad = False
    for i in range(x.size):
        p = x[i]
        bad |= not (p >= ZERO and p <= ONE and t[i] >= ZERO and t[i] <= ONE)  # true for a NaN as well
        # 1 − p is exact only above ½, and a small p is lost in it.
        log_rest = log1p32(-p) if p < HALF else log32(ONE - p)
        s -= t[i] * max(log32(p), LOWEST) + (ONE - t[i]) * max(log_rest, LOWEST)
    return s, bad


@jit(fixed=True)
def _bce_backward(x: Any, t: Any, scale: Any, dx: Any) -> None:
    for i in range(x.size):
        dx[i] = scale * (x[i] - t[i]) / max(x[i] * (ONE - x[i]), EPS)


@jit(fixed=True)
def _bce_logits(x: Any, t: Any) -> Any:
    s = np.float64(0)
    for i in range(x.size):
        z = x[i]
        s += z * (-t[i] if z < ZERO else ONE - t[i]) + log1p32(exp32(-abs(z)))
    return s


@jit(fixed=True)
def _bce_logits_backward(x: Any, t: Any, scale: Any, dx: Any) -> None:
    for i in range(x.size):
        dx[i] = scale * (sigmoid32(x[i]) - t[i])


def _fits(x: Any, t: Any, reduction: str) -> bool:
    return reduction != "none" and takes(x, 1) and x.size <= LARGEST and takes(t, 1) and x.shape == t.shape


def _reduced(total: Any, n: int, reduction: str) -> Any:
    return np.float32(total if reduction == "sum" else total / n)


def _scale(dy: Any, n: int, reduction: str, factor: float) -> Any:
    return np.float32(dy * (factor if reduction == "sum" else factor / n))


def mse(x: Any, t: Any, reduction: str) -> Any:
    if not _fits(x, t, reduction):
        return NotImplemented
    return _reduced(_mse.launch(x.ravel(), t.ravel()), x.size, reduction)


def mse_gradients(needs: Any, dy: Any, x: Any, t: Any, reduction: str) -> Any:
    dx = np.empty(x.shape, np.float32)
    _mse_backward.launch(x.ravel(), t.ravel(), _scale(dy, x.size, reduction, 2.0), dx.ravel())
    return dx if needs(0) else None, -dx if needs(1) else None


def bce(x: Any, t: Any, reduction: str) -> Any:
    if not _fits(x, t, reduction):
        return NotImplemented
    total, bad = _bce.launch(x.ravel(), t.ravel())
    return NotImplemented if bad else _reduced(total, x.size, reduction)  # the op explains what is bad


def bce_gradients(needs: Any, dy: Any, x: Any, t: Any, reduction: str) -> Any:
    if needs(1):
        return NotImplemented
    dx = np.empty(x.shape, np.float32)
    _bce_backward.launch(x.ravel(), t.ravel(), _scale(dy, x.size, reduction, 1.0), dx.ravel())
    return dx, None


def bce_with_logits(x: Any, t: Any, w: Any, reduction: str) -> Any:
    if w is not None or not _fits(x, t, reduction):
        return NotImplemented
    return _reduced(_bce_logits.launch(x.ravel(), t.ravel()), x.size, reduction)


def bce_with_logits_gradients(needs: Any, dy: Any, x: Any, t: Any, w: Any, reduction: str) -> Any:
    if needs(1):
        return NotImplemented
    dx = np.empty(x.shape, np.float32)
    _bce_logits_backward.launch(x.ravel(), t.ravel(), _scale(dy, x.size, reduction, 1.0), dx.ravel())
    return dx, None


KERNELS = {
    "mse": (mse, mse_gradients),
    "bce": (bce, bce_gradients),
    "bce_with_logits": (bce_with_logits, bce_with_logits_gradients),
}
