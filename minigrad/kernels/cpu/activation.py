"""Element-wise activations on the CPU: one pass over memory each way.

NumPy makes σ(x) in six passes (abs, exp, min, exp, add, divide), each reading and writing the whole array. Here a loop
does all of it while an element is in a register. The compiler turns the loop into SIMD, provided that nothing in it is
a call: ``exp`` of the C library would be one per element. So e^x is written out (:func:`exp32`): split x = n ln 2 + r
with |r| ≤ ln 2 / 2, so that e^x = 2ⁿ eʳ; a polynomial gives eʳ, and 2ⁿ is built by writing n into the exponent bits.
Coefficients: the degree-6 minimax fit of (eʳ − 1 − r)/r² (Cephes, S. Moshier); the error is below 2 units in the last
place.

float32, C-contiguous arrays; everything else runs in the textbook.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from .. import Kernel
from ..compile import jit
from ..threads import get_num_threads
from .layout import takes

PARALLEL_FROM = 1 << 17  # elements from which a second thread pays

F = np.float32
LOG2E = F(1.4426950408889634)
LN2_HIGH = F(0.693359375)  # few enough bits that n · LN2_HIGH is exact
LN2_LOW = F(-2.12194440e-4)
MAX_X = F(88.72283)  # ln of the largest float32
MIN_X = F(-87.33654)  # ln of the smallest normal float32
LIMIT = F(87)
ONE, HALF, ZERO, TWO = F(1), F(0.5), F(0), F(2)
C0, C1, C2 = F(1.9875691500e-4), F(1.3981999507e-3), F(8.3334519073e-3)
C3, C4, C5 = F(4.1665795894e-2), F(1.6666665459e-1), F(5.0000001201e-1)


@intrinsic
def float_of_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 whose bit pattern is the given int32 (a register move, no conversion)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@jit
def _split_exp(x: Any) -> Any:
    """(eʳ, n) with e^x = 2ⁿ eʳ, for x from MIN_X to MAX_X."""
    n = np.floor(x * LOG2E + HALF)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = (((((C0 * r + C1) * r + C2) * r + C3) * r + C4) * r + C5) * r * r + r + ONE
    return p, np.int32(n)


@jit
def _power_of_two(n: Any) -> Any:
    """2ⁿ for −126 ≤ n ≤ 127: n written into the exponent bits."""
    return float_of_bits((n + np.int32(127)) << np.int32(23))


@jit
def exp_inside(x: Any) -> Any:
    """e^x for MIN_X ≤ x ≤ LIMIT, where 2ⁿ is a normal float32."""
    p, n = _split_exp(x)
    return p * _power_of_two(n)


@jit
def exp32(x: Any) -> Any:
    """e^x for float32: +∞ above ln(max), 0 below ln(min normal), NaN for NaN."""
    p, n = _split_exp(min(max(x, MIN_X), MAX_X))
    half = n >> np.int32(1)  # 2ⁿ in two factors: n = 128 has no exponent field of its own
    y = p * _power_of_two(half) * _power_of_two(n - half)
    y = F(np.inf) if x > MAX_X else y
    y = ZERO if x < MIN_X else y
    return y if x == x else x


@intrinsic
def bits_of_float(typing_context: Any, x: Any) -> Any:
    """The bit pattern of a float32 as an int32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), generate


@jit
def log32(x: Any) -> Any:
    """ln x for float32: x = 2ⁿ m with √½ ≤ m < √2, and ln m by a polynomial in m − 1 (Cephes); −∞ for 0, NaN below.

    Numbers below the smallest normal one count as 0.
    """
    bits = bits_of_float(x)
    n = (bits >> np.int32(23)) - np.int32(126)
    m = float_of_bits((bits & np.int32(0x007FFFFF)) | np.int32(0x3F000000))  # ½ ≤ m < 1
    small = m < F(0.70710678)
    n = n - np.int32(1) if small else n
    m = m + m - ONE if small else m - ONE
    p = F(7.0376836292e-2) * m + F(-1.1514610310e-1)
    p = p * m + F(1.1676998740e-1)
    p = p * m + F(-1.2420140846e-1)
    p = p * m + F(1.4249322787e-1)
    p = p * m + F(-1.6668057665e-1)
    p = p * m + F(2.0000714765e-1)
    p = p * m + F(-2.4999993993e-1)
    p = p * m + F(3.3333331174e-1)
    z = m * m
    e = F(n)
    y = p * m * z + e * LN2_LOW - HALF * z
    y = m + y + e * LN2_HIGH
    y = F(-np.inf) if x < F(1.17549435e-38) else y
    y = F(np.nan) if x < ZERO else y
    return x if x != x or x == F(np.inf) else y


@jit
def sigmoid32(x: Any) -> Any:
    """1 / (1 + e⁻ˣ). Beyond ±87 it is 0 or 1 to float32's precision."""
    y = ONE / (ONE + exp_inside(min(max(-x, -LIMIT), LIMIT)))
    return y if x == x else x


@jit
def tanh32(x: Any) -> Any:
    """(1 − e^−2|x|)/(1 + e^−2|x|) with x's sign; near 0, where that cancels, x + x³ · polynomial (Cephes)."""
    a = abs(x)
    e = exp_inside(max(-TWO * a, -LIMIT))
    far = (ONE - e) / (ONE + e)
    far = -far if x < ZERO else far
    s = x * x
    p = (((F(-5.70498872745e-3) * s + F(2.06390887954e-2)) * s + F(-5.37397155531e-2)) * s + F(1.33314422036e-1)) * s
    near = x + x * s * (p + F(-3.33332819422e-1))
    y = near if a < F(0.625) else far
    return y if x == x else x


@jit
def erf32(x: Any) -> Any:
    """The error function: x times a polynomial in x² up to 1, beyond it 1 − e^(−x²)/|x| times one in 1/x² (Cephes)."""
    a = abs(x)
    s = x * x
    p = F(7.853861353153693e-5) * s + F(-8.010193625184903e-4)
    p = p * s + F(5.188327685732524e-3)
    p = p * s + F(-2.685381193529856e-2)
    p = p * s + F(1.128358514861418e-1)
    p = p * s + F(-3.761262582423300e-1)
    near = x * (p * s + F(1.128379165726710))
    q = ONE / max(a, HALF)
    y = q * q
    p = F(2.326819970068386e-2) * y + F(-1.387039388740657e-1)
    p = p * y + F(3.687424674597105e-1)
    p = p * y + F(-5.824733027278666e-1)
    p = p * y + F(6.210004621745983e-1)
    p = p * y + F(-4.944515323274145e-1)
    p = p * y + F(3.404879937665872e-1)
    p = p * y + F(-2.741127028184656e-1)
    p = p * y + F(5.638259427386472e-1)
    far = ONE - exp_inside(max(-s, -LIMIT)) * q * p
    far = ONE if a > F(4) else far
    far = -far if x < ZERO else far
    y = near if a < ONE else far
    return y if x == x else x


FAR = F(-200)  # x σ(x) and x φ(x) are 0 from here on; σ and φ as computed, never quite 0, must not meet a larger x
NONE, RELU, SIGMOID, TANH, SILU, GELU = -1, 0, 1, 2, 3, 4
ROOT_HALF, DENSITY = F(0.70710678118654752), F(0.39894228040143268)  # √½ and 1/√2π


@jit
def activate(x: Any, y: Any, f: int) -> None:
    """y = f(x), flat. (With y = x the compiler's SIMD loops would stand back for fear of overlap.)"""
    if f == RELU:
        for i in range(x.size):
            y[i] = x[i] if x[i] > ZERO or x[i] != x[i] else ZERO
    elif f == SIGMOID:
        for i in range(x.size):
            y[i] = sigmoid32(x[i])
    elif f == TANH:
        for i in range(x.size):
            y[i] = tanh32(x[i])
    elif f == SILU:
        for i in range(x.size):
            y[i] = max(x[i], FAR) * sigmoid32(x[i])
    elif f == GELU:
        for i in range(x.size):
            y[i] = x[i] * HALF * (ONE + erf32(x[i] * ROOT_HALF))


@jit
def slopes(dy: Any, saved: Any, f: int, dx: Any) -> None:
    """dx = dy · f′, flat; f′ is read off what the op saved: its input for SiLU and GELU, else its output."""
    if f == RELU:
        for i in range(dy.size):
            dx[i] = dy[i] if saved[i] > ZERO else ZERO
    elif f == SIGMOID:
        for i in range(dy.size):
            dx[i] = dy[i] * saved[i] * (ONE - saved[i])
    elif f == TANH:
        for i in range(dy.size):
            dx[i] = dy[i] * (ONE - saved[i] * saved[i])
    elif f == SILU:
        for i in range(dy.size):
            z = max(saved[i], FAR)
            s = sigmoid32(z)
            dx[i] = dy[i] * s * (ONE + z * (ONE - s))
    elif f == GELU:
        for i in range(dy.size):
            z = saved[i]
            density = DENSITY * exp_inside(max(-HALF * z * z, -LIMIT))
            dx[i] = dy[i] * (HALF * (ONE + erf32(z * ROOT_HALF)) + min(max(z, FAR), -FAR) * density)


@jit(parallel=True)
def _activate_shared(x: Any, y: Any, f: int, parts: int) -> None:
    length = (x.size + parts - 1) // parts
    for t in prange(parts):
        activate(x[t * length : (t + 1) * length], y[t * length : (t + 1) * length], f)


@jit(parallel=True)
def _slopes_shared(dy: Any, saved: Any, f: int, dx: Any, parts: int) -> None:
    length = (dy.size + parts - 1) // parts
    for t in prange(parts):
        a, b = t * length, (t + 1) * length
        slopes(dy[a:b], saved[a:b], f, dx[a:b])


def _elementwise(f: int, smallest: int) -> Kernel:
    """The kernel pair of an activation, for arrays of at least ``smallest`` elements."""

    def forward(ctx: Any, x: Any) -> Any:
        if not takes(x, smallest):
            return NotImplemented
        y = np.empty(x.shape, np.float32)
        if x.size < PARALLEL_FROM:
            activate(x.ravel(), y.ravel(), f)
        else:
            _activate_shared(x.ravel(), y.ravel(), f, get_num_threads())
        ctx.saved = (x,) if f in (SILU, GELU) else (y,)
        return y

    def backward(ctx: Any, dy: Any) -> Any:
        if not takes(dy, 0):
            return NotImplemented
        dx = np.empty(dy.shape, np.float32)
        if dy.size < PARALLEL_FROM:
            slopes(dy.ravel(), ctx.saved[0].ravel(), f, dx.ravel())
        else:
            _slopes_shared(dy.ravel(), ctx.saved[0].ravel(), f, dx.ravel(), get_num_threads())
        return dx

    return Kernel(forward, backward)


KERNELS = {
    "relu": _elementwise(RELU, 1024),
    "sigmoid": _elementwise(SIGMOID, 128),
    "tanh": _elementwise(TANH, 512),
    "silu": _elementwise(SILU, 128),
    "gelu": _elementwise(GELU, 128),
}
