"""Steps of the optimizers on the GPU (``optim.cu``): one kernel per parameter.

The functions have the names and arguments of the rules in ``minigrad/optim``, and compute the same numbers. Parameters
and what is remembered of them are contiguous and fit :func:`minigrad.kernels.machine.gpu.takes`; they are changed in
place.
"""

from __future__ import annotations

import math
from typing import Any

from ..machine.gpu import contiguous, launch_each
from ..registry import left_to_the_op


def _step(rule: str, p: Any, g: Any, kept: tuple[Any, ...], factors: tuple[float, ...], *flags: bool) -> None:
    """Start a rule's kernel: arrays, then factors in the parameter's dtype, then flags."""
    real = p.dtype.type
    with p.device:
        args = p, contiguous(g), *kept, *[real(f) for f in factors], *[int(f) for f in flags], p.size
        launch_each("optim", rule, p.size, p, args)


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
    _step("sgd", p, g, (buffer,), (lr, momentum, 1 - dampening, weight_decay), nesterov, maximize)


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
    rate, correction2 = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    factors = rate, 1 - beta1, beta2, 1 - beta2, correction2, eps, shrink, decay
    _step("adam", p, g, (m, v, v_max), factors, maximize)


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
    factors = lr, alpha, 1 - alpha, eps, weight_decay, momentum
    _step("rmsprop", p, g, (square_avg, grad_avg, buffer), factors, maximize)


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
    _step("adagrad", p, g, (total,), (lr / (1 + (step - 1) * lr_decay), eps, weight_decay), maximize)


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
    _step("adadelta", p, g, (square_avg, acc_delta), (lr, rho, 1 - rho, eps, weight_decay), maximize)


KERNELS = {rule.__name__: (rule, left_to_the_op) for rule in (sgd, adam, rmsprop, adagrad, adadelta)}
