"""Activations on the CPU: each function beside its backward rule, and the loops over arrays that they make.

float32, C-contiguous arrays; everything else runs in the textbook.
"""

from __future__ import annotations

from typing import Any

from ..machine.compile import jit
from ..machine.layout import takes
from .each import of_both, of_each
from .functions import DENSITY, FARTHEST, LEAST_X, ONE, ZERO, normal_tail, sigmoid32, tanh32

NONE, RELU, SIGMOID, TANH = -1, 0, 1, 2  # what layers and convolutions may apply as they write their output


@jit(inline=True)
def _relu(x: Any) -> Any:
    return x if x > ZERO or x != x else ZERO


@jit(inline=True)
def _relu_dx(dy: Any, y: Any) -> Any:
    return ZERO if y <= ZERO else dy


@jit(inline=True)
def _sigmoid_dx(dy: Any, y: Any) -> Any:
    return dy * y * (ONE - y)


@jit(inline=True)
def _tanh_dx(dy: Any, y: Any) -> Any:
    return dy * (ONE - y * y)


@jit(inline=True)
def _silu(x: Any) -> Any:
    z = LEAST_X if x < LEAST_X else x  # where σ is 0: −∞ · 0 is no number
    return z * sigmoid32(x)


@jit(inline=True)
def _silu_dx(dy: Any, x: Any) -> Any:
    z = LEAST_X if x < LEAST_X else x
    z = -LEAST_X if z > -LEAST_X else z
    s = sigmoid32(z)
    return dy * s * (ONE + z * (ONE - s))


@jit(inline=True)
def _gelu(x: Any) -> Any:
    a = abs(x)  # x Φ(x) = max(x, 0) − a Φ(−a)
    a = FARTHEST if a > FARTHEST else a
    tail, _ = normal_tail(a)
    return x - a * tail if x >= ZERO else -a * tail


@jit(inline=True)
def _gelu_dx(dy: Any, x: Any) -> Any:
    a = abs(x)  # the derivative Φ(x) + x φ(x) at −a, and 1 less it at a
    a = FARTHEST if a > FARTHEST else a
    tail, bell = normal_tail(a)
    slope = tail - a * DENSITY * bell
    return dy * (ONE - slope if x > ZERO else slope)


# --- in other kernels ------------------------------------------------------------------------------------------------


@jit
def activate(x: Any, y: Any, f: int) -> None:
    """y = f(x), flat, f being ReLU, sigmoid or tanh. (With y = x the compiler would fear overlap and write no SIMD.)"""
    if f == RELU:
        for i in range(x.size):
            y[i] = _relu(x[i])
    elif f == SIGMOID:
        for i in range(x.size):
            y[i] = sigmoid32(x[i])
    elif f == TANH:
        for i in range(x.size):
            y[i] = tanh32(x[i])


@jit
def activation_dx(dy: Any, y: Any, f: int, dx: Any) -> None:
    """dx = dy · f′, flat; the derivative of these three is read off the output y."""
    if f == RELU:
        for i in range(dy.size):
            dx[i] = _relu_dx(dy[i], y[i])
    elif f == SIGMOID:
        for i in range(dy.size):
            dx[i] = _sigmoid_dx(dy[i], y[i])
    elif f == TANH:
        for i in range(dy.size):
            dx[i] = _tanh_dx(dy[i], y[i])


@jit(allocates=False)
def activate_with_bias(z: Any, bias: Any, f: int, scratch: Any) -> None:
    """z = f(z + bias), flat, in place, or z + bias if f is NONE. ``scratch`` has room for z."""
    if f == NONE:
        for i in range(z.size):
            z[i] += bias[i]
    else:
        for i in range(z.size):
            scratch[i] = z[i] + bias[i]
        activate(scratch, z, f)


# --- as ops ----------------------------------------------------------------------------------------------------------

# (forward, backward), with the nanoseconds that an element takes.
_relus = of_each(_relu, 0.2), of_both(_relu_dx, 0.2)
_sigmoids = of_each(sigmoid32, 0.4), of_both(_sigmoid_dx, 0.4)
_tanhs = of_each(tanh32, 0.5), of_both(_tanh_dx, 0.5)
_silus = of_each(_silu, 0.6), of_both(_silu_dx, 0.6)
_gelus = of_each(_gelu, 0.7), of_both(_gelu_dx, 0.7)
_BY_CODE = {RELU: _relus, SIGMOID: _sigmoids, TANH: _tanhs}


def activated(x: Any, f: int) -> Any:
    """f(x) as a new array."""
    return _BY_CODE[f][0](x)


def activation_gradient(dy: Any, y: Any, f: int) -> Any:
    """dy · f′ as a new array."""
    return _BY_CODE[f][1](dy, y)


def to_one(g: Any) -> Any:
    """g divided by its largest magnitude, in place. (The maxima of g and −g spare the array |g|.)"""
    if g.size:
        g /= max(g.max(), -g.min()) or 1
    return g


def _kernel(forward: Any, backward: Any, smallest: int) -> tuple[Any, Any]:
    """(compute, gradients) of an activation, for arrays of at least ``smallest`` elements."""

    def compute(x: Any) -> Any:
        return forward(x) if takes(x, smallest) else NotImplemented

    def gradients(needs: Any, dy: Any, saved: Any) -> Any:
        return backward(dy, saved) if takes(dy) else NotImplemented

    return compute, gradients


KERNELS = {
    "relu": _kernel(*_relus, 1024),
    "sigmoid": _kernel(*_sigmoids, 128),
    "tanh": _kernel(*_tanhs, 512),
    "silu": _kernel(*_silus, 128),
    "gelu": _kernel(*_gelus, 128),
    # lab 7's, whose rule is SiLU's with both results divided
    "normalized_swish": _kernel(lambda x: to_one(_silus[0](x)), lambda dy, x: to_one(_silus[1](dy, x)), 128),
}
