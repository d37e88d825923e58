"""Losses on the CPU in one pass each way, without the arrays of differences and squares in between."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine.compile import jit
from ..machine.layout import takes
from .functions import HALF, ONE, ZERO, F, exp32, log1p32, log32, sigmoid32

LARGEST = 1 << 18  # elements: one thread does the sum, so that its order is fixed
LOWEST = F(-100)  # where the textbook cuts logarithms off
EPS = F(1e-12)

# Each loss of one element x with target t, and below it its derivative with respect to x, times ``scale``.


@jit(inline=True)
def _mse(x: Any, t: Any) -> Any:
    d = x - t
    return d * d


@jit(inline=True)
def _mse_dx(scale: Any, x: Any, t: Any) -> Any:
    return scale * (x - t)


@jit(inline=True)
def _bce(x: Any, t: Any) -> Any:
    """NaN if x or t is no probability."""
    # 1 − x is exact only above ½, and a small x is lost in it.
    log_rest = log1p32(-x) if x < HALF else log32(ONE - x)
    loss = -(t * max(log32(x), LOWEST) + (ONE - t) * max(log_rest, LOWEST))
    return loss if x >= ZERO and x <= ONE and t >= ZERO and t <= ONE else F(np.nan)


@jit(inline=True)
def _bce_dx(scale: Any, x: Any, t: Any) -> Any:
    return scale * (x - t) / max(x * (ONE - x), EPS)


@jit(inline=True)
def _bce_logits(x: Any, t: Any) -> Any:
    return x * (-t if x < ZERO else ONE - t) + log1p32(exp32(-abs(x)))


@jit(inline=True)
def _bce_logits_dx(scale: Any, x: Any, t: Any) -> Any:
    return scale * (sigmoid32(x) - t)


def _kernel(loss: Any, dx_of: Any, factor: float = 1.0, of_target: bool = False, checked: bool = False) -> Any:
    """(compute, gradients) of a loss, whose derivative is ``factor`` times what ``dx_of`` says.

    ``of_target``: there is dt, and it is −dx. ``checked``: NaN means that the op has to say what is wrong with x or t.
    """

    @jit(fixed=True)
    def sum_up(x: Any, t: Any) -> Any:
        s = np.float64(0)  # a float32 sum of many squares would lose the small ones
        for i in range(x.size):
            s += loss(x[i], t[i])
        return s

    @jit(fixed=True)
    def gradient(x: Any, t: Any, scale: Any, dx: Any) -> None:
        for i in range(x.size):
            dx[i] = dx_of(scale, x[i], t[i])

    def compute(x: Any, t: Any, *options: Any) -> Any:
        weight, reduction = options[0], options[-1]  # a weight, if there is one, comes before the reduction
        if reduction == "none" or not (weight is None or weight is reduction):
            return NotImplemented
        if not (takes(x, 1) and x.size <= LARGEST and takes(t, 1) and x.shape == t.shape):
            return NotImplemented
        total = sum_up.launch(x.ravel(), t.ravel())
        if checked and total != total:
            return NotImplemented
        return F(total if reduction == "sum" else total / x.size)

    def gradients(needs: Any, dy: Any, x: Any, t: Any, *options: Any) -> Any:
        if needs(1) and not of_target:
            return NotImplemented
        dx = np.empty(x.shape, F)
        scale = F(dy * (factor if options[-1] == "sum" else factor / x.size))
        gradient.launch(x.ravel(), t.ravel(), scale, dx.ravel())
        return dx if needs(0) else None, -dx if needs(1) else None

    return compute, gradients


KERNELS = {
    "mse": _kernel(_mse, _mse_dx, 2.0, of_target=True),
    "bce": _kernel(_bce, _bce_dx, checked=True),
    "bce_with_logits": _kernel(_bce_logits, _bce_logits_dx),
}
