"""One fused pass over each parameter per optimizer step.

Written with array operations, a step of Adam reads and writes memory some twenty times; here every number is
read once and written once. The functions have the names and arguments of the rules in ``minigrad/optim``, and
compute the same numbers. Arrays are C-contiguous, of one shape and one dtype, float32 or float64; parameters
and what is remembered of them are changed in place. An argument that may be None gives a version compiled
without it.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from ..machine.compile import Compiled, jit
from ..machine.layout import FLOAT32
from ..machine.threads import shares
from ..registry import left_to_the_op

# Nanoseconds an element takes, most of them to fetch it: the rows of a large weight lie in the caches of the cores that
# need them in the layers, and stay there if the same threads change them here.
_SGD, _ROOT = 0.8, 1.2


@jit
def _limit(real):  # type: ignore[no-untyped-def]
    """L of `squarable` in minigrad/optim/optimizer.py: ½ √max."""
    return real(math.sqrt(np.finfo(real).max) / 2)


@jit
def _decayed(p, g, decay, maximize):  # type: ignore[no-untyped-def]
    d = -g if maximize else g
    return d if decay == 0 else d + decay * p


@jit
def _squarable(d, limit):  # type: ignore[no-untyped-def]
    return math.copysign(limit, d) if limit < abs(d) < np.inf else d


@jit
def _part(size: int, part: int, parts: int) -> tuple[int, int]:
    """The bounds of one of ``parts`` nearly equal slices, at multiples of a cache line (16 float32)."""
    length = (size + parts - 1) // parts
    length = (length + 15) // 16 * 16
    return min(size, part * length), min(size, (part + 1) * length)


def sgd(
    p: Any,
    g: Any,
    buffer: Any,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    parts = shares(_SGD * p.size, p.size)
    if buffer is None:
        if parts == 1:
            plain = _plain_sgd32 if p.dtype is FLOAT32 else _plain_sgd
            plain.launch(p.ravel(), g.ravel(), lr, weight_decay, maximize)
        else:
            _plain_sgd_parallel.launch(parts, p.ravel(), g.ravel(), lr, weight_decay, maximize)
        return
    args = (p.ravel(), g.ravel(), buffer.ravel(), lr, momentum, dampening, weight_decay, nesterov, maximize)
    if parts == 1:
        _sgd.launch(*args)
    else:
        _sgd_parallel.launch(parts, *args)


@jit
def _plain_sgd(p, g, lr, weight_decay, maximize):  # type: ignore[no-untyped-def]
    real = p.dtype.type
    rate, decay = real(-lr if maximize else lr), real(-weight_decay if maximize else weight_decay)
    if decay == 0:
        for i in range(p.size):
            p[i] -= rate * g[i]
    else:
        for i in range(p.size):
            p[i] -= rate * (g[i] + decay * p[i])


_plain_sgd32 = Compiled(_plain_sgd.dispatcher, fixed=True)


@jit(parallel=True)
def _plain_sgd_parallel(parts, p, g, lr, weight_decay, maximize):  # type: ignore[no-untyped-def]
    for part in numba.prange(parts):
        a, b = _part(p.size, part, parts)
        _plain_sgd(p[a:b], g[a:b], lr, weight_decay, maximize)


@jit
def _sgd(p, g, buffer, lr, momentum, dampening, weight_decay, nesterov, maximize):  # type: ignore[no-untyped-def]
    real = p.dtype.type
    lr, momentum, decay = real(lr), real(momentum), real(weight_decay)
    fresh = real(1 - dampening)
    for i in range(p.size):
        d = _decayed(p[i], g[i], decay, maximize)
        buffer[i] = momentum * buffer[i] + fresh * d
        p[i] -= lr * (d + momentum * buffer[i] if nesterov else buffer[i])


@jit(parallel=True)
def _sgd_parallel(  # type: ignore[no-untyped-def]
    parts, p, g, buffer, lr, momentum, dampening, weight_decay, nesterov, maximize
):
    for part in numba.prange(parts):
        a, b = _part(p.size, part, parts)
        _sgd(p[a:b], g[a:b], buffer[a:b], lr, momentum, dampening, weight_decay, nesterov, maximize)


def adam(
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    v_max: Any,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    step: int,
) -> None:
    v_max = None if v_max is None else v_max.ravel()
    arrays = (p.ravel(), g.ravel(), m.ravel(), v.ravel(), v_max)
    args = (*arrays, lr, beta1, beta2, eps, weight_decay, decoupled, maximize, step)
    parts = shares(_ROOT * p.size, p.size)
    if parts == 1:
        _adam.launch(*args)
    else:
        _adam_parallel.launch(parts, *args)


@jit
def _adam(  # type: ignore[no-untyped-def]
    p, g, m, v, v_max, lr, beta1, beta2, eps, weight_decay, decoupled, maximize, step
):
    real = p.dtype.type
    limit = _limit(real)
    fresh1, keep2, fresh2 = real(1 - beta1), real(beta2), real(1 - beta2)
    rate = real(lr / (1 - beta1**step))
    correction2 = real(1 / math.sqrt(1 - beta2**step))
    eps = real(eps)
    shrink = real(1 - lr * weight_decay if decoupled else 1)
    decay = real(0 if decoupled else weight_decay)
    for i in range(p.size):
        d = _squarable(_decayed(p[i], g[i], decay, maximize), limit)
        m[i] += fresh1 * (d - m[i])
        v[i] = keep2 * v[i] + fresh2 * d * d
        if v_max is None:
            scale = v[i]
        else:
            v_max[i] = np.maximum(v_max[i], v[i])
            scale = v_max[i]
        p[i] = shrink * p[i] - rate * m[i] / (math.sqrt(scale) * correction2 + eps)


@jit(parallel=True)
def _adam_parallel(  # type: ignore[no-untyped-def]
    parts, p, g, m, v, v_max, lr, beta1, beta2, eps, weight_decay, decoupled, maximize, step
):
    for part in numba.prange(parts):
        a, b = _part(p.size, part, parts)
        largest = None if v_max is None else v_max[a:b]
        _adam(
            p[a:b], g[a:b], m[a:b], v[a:b], largest,
            lr, beta1, beta2, eps, weight_decay, decoupled, maximize, step,
        )  # fmt: skip


def rmsprop(
    p: Any,
    g: Any,
    square_avg: Any,
    grad_avg: Any,
    buffer: Any,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    maximize: bool,
) -> None:
    grad_avg = None if grad_avg is None else grad_avg.ravel()
    buffer = None if buffer is None else buffer.ravel()
    arrays = (p.ravel(), g.ravel(), square_avg.ravel(), grad_avg, buffer)
    args = (*arrays, lr, alpha, eps, weight_decay, momentum, maximize)
    parts = shares(_ROOT * p.size, p.size)
    if parts == 1:
        _rmsprop.launch(*args)
    else:
        _rmsprop_parallel.launch(parts, *args)


@jit
def _rmsprop(  # type: ignore[no-untyped-def]
    p, g, square_avg, grad_avg, buffer, lr, alpha, eps, weight_decay, momentum, maximize
):
    real = p.dtype.type
    limit = _limit(real)
    keep, fresh, decay = real(alpha), real(1 - alpha), real(weight_decay)
    lr, eps, momentum = real(lr), real(eps), real(momentum)
    for i in range(p.size):
        d = _squarable(_decayed(p[i], g[i], decay, maximize), limit)
        square_avg[i] = keep * square_avg[i] + fresh * d * d
        variance = square_avg[i]
        if grad_avg is not None:
            grad_avg[i] += fresh * (d - grad_avg[i])
            variance = np.maximum(variance - grad_avg[i] * grad_avg[i], 0)
        d /= math.sqrt(variance) + eps
        if buffer is not None:
            buffer[i] = momentum * buffer[i] + d
            d = buffer[i]
        p[i] -= lr * d


@jit(parallel=True)
def _rmsprop_parallel(  # type: ignore[no-untyped-def]
    parts, p, g, square_avg, grad_avg, buffer, lr, alpha, eps, weight_decay, momentum, maximize
):
    for part in numba.prange(parts):
        a, b = _part(p.size, part, parts)
        mean = None if grad_avg is None else grad_avg[a:b]
        heavy = None if buffer is None else buffer[a:b]
        _rmsprop(p[a:b], g[a:b], square_avg[a:b], mean, heavy, lr, alpha, eps, weight_decay, momentum, maximize)


def adagrad(
    p: Any,
    g: Any,
    total: Any,
    lr: float,
    lr_decay: float,
    weight_decay: float,
    eps: float,
    maximize: bool,
    step: int,
) -> None:
    args = (p.ravel(), g.ravel(), total.ravel(), lr, lr_decay, weight_decay, eps, maximize, step)
    parts = shares(_ROOT * p.size, p.size)
    if parts == 1:
        _adagrad.launch(*args)
    else:
        _adagrad_parallel.launch(parts, *args)


@jit
def _adagrad(p, g, total, lr, lr_decay, weight_decay, eps, maximize, step):  # type: ignore[no-untyped-def]
    real = p.dtype.type
    limit = _limit(real)
    rate, decay, eps = real(lr / (1 + (step - 1) * lr_decay)), real(weight_decay), real(eps)
    largest = real(np.finfo(real).max)
    for i in range(p.size):
        d = _squarable(_decayed(p[i], g[i], decay, maximize), limit)
        total[i] += d * d
        if total[i] == np.inf and abs(d) < np.inf:
            total[i] = largest
        p[i] -= rate * d / (math.sqrt(total[i]) + eps)


@jit(parallel=True)
def _adagrad_parallel(parts, p, g, total, lr, lr_decay, weight_decay, eps, maximize, step):  # type: ignore[no-untyped-def]
    for part in numba.prange(parts):
        a, b = _part(p.size, part, parts)
        _adagrad(p[a:b], g[a:b], total[a:b], lr, lr_decay, weight_decay, eps, maximize, step)


def adadelta(
    p: Any,
    g: Any,
    square_avg: Any,
    acc_delta: Any,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    args = (p.ravel(), g.ravel(), square_avg.ravel(), acc_delta.ravel(), lr, rho, eps, weight_decay, maximize)
    parts = shares(_ROOT * p.size, p.size)
    if parts == 1:
        _adadelta.launch(*args)
    else:
        _adadelta_parallel.launch(parts, *args)


@jit
def _adadelta(p, g, square_avg, acc_delta, lr, rho, eps, weight_decay, maximize):  # type: ignore[no-untyped-def]
    real = p.dtype.type
    limit = _limit(real)
    lr, keep, fresh, eps, decay = real(lr), real(rho), real(1 - rho), real(eps), real(weight_decay)
    for i in range(p.size):
        d = _squarable(_decayed(p[i], g[i], decay, maximize), limit)
        square_avg[i] = keep * square_avg[i] + fresh * d * d
        d *= math.sqrt(acc_delta[i] + eps) / math.sqrt(square_avg[i] + eps)
        acc_delta[i] = keep * acc_delta[i] + fresh * d * d
        p[i] -= lr * d


@jit(parallel=True)
def _adadelta_parallel(  # type: ignore[no-untyped-def]
    parts, p, g, square_avg, acc_delta, lr, rho, eps, weight_decay, maximize
):
    for part in numba.prange(parts):
        a, b = _part(p.size, part, parts)
        _adadelta(p[a:b], g[a:b], square_avg[a:b], acc_delta[a:b], lr, rho, eps, weight_decay, maximize)


KERNELS = {rule.__name__: (rule, left_to_the_op) for rule in (sgd, adam, rmsprop, adagrad, adadelta)}
