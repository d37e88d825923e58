"""Element-wise activations on the CPU: one pass over memory each way.

NumPy makes σ(x) in six passes (abs, exp, min, exp, add, divide), each reading and writing the whole array. Here a loop
does all of it while an element is in a register (see :mod:`.functions`).

float32, C-contiguous arrays; everything else runs in the textbook.
"""

from __future__ import annotations

from typing import Any

from numba import prange

from ..machine import memory
from ..machine.compile import jit
from ..machine.layout import takes
from ..machine.threads import shares
from .functions import (
    DENSITY,
    FARTHEST,
    LEAST_X,
    ONE,
    ZERO,
    normal_tail,
    sigmoid32,
    tanh32,
)

NONE, RELU, SIGMOID, TANH, SILU, GELU = -1, 0, 1, 2, 3, 4
COST = {RELU: 0.2, SIGMOID: 0.4, TANH: 0.5, SILU: 0.6, GELU: 0.7}  # nanoseconds an element takes


@jit
def activate(x: Any, y: Any, f: int) -> None:
    """y = f(x), flat, f being ReLU, sigmoid or tanh. (With y = x the compiler would fear overlap and write no SIMD.)"""
    if f == RELU:
        for i in range(x.size):
            y[i] = x[i] if x[i] > ZERO or x[i] != x[i] else ZERO
    elif f == SIGMOID:
        for i in range(x.size):
            y[i] = sigmoid32(x[i])
    elif f == TANH:
        for i in range(x.size):
            y[i] = tanh32(x[i])


@jit
def activate_smooth(x: Any, y: Any, f: int) -> None:
    """The same for SiLU and GELU."""
    if f == SILU:
        for i in range(x.size):
            z = LEAST_X if x[i] < LEAST_X else x[i]  # where σ is 0: −∞ · 0 is no number
            y[i] = z * sigmoid32(x[i])
    elif f == GELU:
        for i in range(x.size):
            a = abs(x[i])  # x Φ(x) = max(x, 0) − a Φ(−a)
            a = FARTHEST if a > FARTHEST else a
            tail, _ = normal_tail(a)
            y[i] = x[i] - a * tail if x[i] >= ZERO else -a * tail


@jit
def activation_dx(dy: Any, saved: Any, f: int, dx: Any) -> None:
    """dx = dy · f′, flat, f being ReLU, sigmoid or tanh, whose f′ is read off the output."""
    if f == RELU:
        for i in range(dy.size):
            dx[i] = ZERO if saved[i] <= ZERO else dy[i]
    elif f == SIGMOID:
        for i in range(dy.size):
            dx[i] = dy[i] * saved[i] * (ONE - saved[i])
    elif f == TANH:
        for i in range(dy.size):
            dx[i] = dy[i] * (ONE - saved[i] * saved[i])


@jit
def smooth_activation_dx(dy: Any, saved: Any, f: int, dx: Any) -> None:
    """The same for SiLU and GELU, whose f′ is read off the input."""
    if f == SILU:
        for i in range(dy.size):
            z = LEAST_X if saved[i] < LEAST_X else saved[i]
            z = -LEAST_X if z > -LEAST_X else z
            s = sigmoid32(z)
            dx[i] = dy[i] * s * (ONE + z * (ONE - s))
    elif f == GELU:
        for i in range(dy.size):
            a = abs(saved[i])  # the slope Φ(x) + x φ(x) at −a, and 1 less it at a
            a = FARTHEST if a > FARTHEST else a
            tail, bell = normal_tail(a)
            slope = tail - a * DENSITY * bell
            dx[i] = dy[i] * (ONE - slope if saved[i] > ZERO else slope)


@jit(parallel=True)
def _activate_shared(x: Any, y: Any, f: int, parts: int) -> None:
    length = (x.size + parts - 1) // parts
    for t in prange(parts):
        a, b = t * length, (t + 1) * length
        if f in (SILU, GELU):
            activate_smooth(x[a:b], y[a:b], f)
        else:
            activate(x[a:b], y[a:b], f)


@jit(parallel=True)
def _activation_dx_shared(dy: Any, saved: Any, f: int, dx: Any, parts: int) -> None:
    length = (dy.size + parts - 1) // parts
    for t in prange(parts):
        a, b = t * length, (t + 1) * length
        if f in (SILU, GELU):
            smooth_activation_dx(dy[a:b], saved[a:b], f, dx[a:b])
        else:
            activation_dx(dy[a:b], saved[a:b], f, dx[a:b])


def activated(x: Any, f: int) -> Any:
    """f(x) as a new array, on all threads if it is large."""
    y = memory.empty(x.shape)
    parts = shares(COST[f] * x.size, x.size)
    if parts == 1:
        (activate_smooth if f in (SILU, GELU) else activate).launch(x.ravel(), y.ravel(), f)
    else:
        _activate_shared.launch(x.ravel(), y.ravel(), f, parts)
    return y


def activation_gradient(dy: Any, saved: Any, f: int) -> Any:
    """dy · f′ as a new array."""
    dx = memory.empty(dy.shape)
    parts = shares(COST[f] * dy.size, dy.size)
    if parts == 1:
        (smooth_activation_dx if f in (SILU, GELU) else activation_dx).launch(dy.ravel(), saved.ravel(), f, dx.ravel())
    else:
        _activation_dx_shared.launch(dy.ravel(), saved.ravel(), f, dx.ravel(), parts)
    return dx


def _kernel(f: int, smallest: int) -> tuple[Any, Any]:
    """(compute, gradients) of an activation, for arrays of at least ``smallest`` elements."""

    def compute(x: Any) -> Any:
        return activated(x, f) if takes(x, smallest) else NotImplemented

    def gradients(needs: Any, dy: Any, saved: Any) -> Any:
        return activation_gradient(dy, saved, f) if takes(dy) else NotImplemented

    return compute, gradients


KERNELS = {
    "relu": _kernel(RELU, 1024),
    "sigmoid": _kernel(SIGMOID, 128),
    "tanh": _kernel(TANH, 512),
    "silu": _kernel(SILU, 128),
    "gelu": _kernel(GELU, 128),
}
