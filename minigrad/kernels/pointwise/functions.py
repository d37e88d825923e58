"""Functions of one float32 that loops can be made of: e^x, ln x, σ, tanh, and the tail of the normal distribution.

The compiler turns a loop into SIMD, provided that nothing in it is a call: ``exp`` of the C library would be one per
element. So e^x is written out. Split x = n ln 2 + r with |r| ≤ ln 2 / 2; then e^x = 2ⁿ eʳ. A polynomial gives eʳ, and
2ⁿ is a float32 of which only the exponent, a field of bits of its own, has to be filled in. Coefficients: the degree-6
minimax fit of (eʳ − 1 − r)/r² (Cephes, S. Moshier); the error is below 2 units in the last place.

Choices are written so that NaN fails them and passes through: ``HIGH if x > HIGH else x``, not ``min(x, HIGH)``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..machine.compile import jit

F = np.float32
LOG2E = F(1.4426950408889634)
LN2_HIGH = F(0.693359375)  # few enough bits that n · LN2_HIGH is exact
LN2_LOW = F(-2.12194440e-4)
MAX_X = F(88.72283)  # ln of the largest float32
LEAST_X = F(-104)  # a little below ln of half the smallest subnormal float32: e^x is rounded to 0 there
ONE, HALF, ZERO, TWO = F(1), F(0.5), F(0), F(2)
C0, C1, C2 = F(1.9875691500e-4), F(1.3981999507e-3), F(8.3334519073e-3)
C3, C4, C5 = F(4.1665795894e-2), F(1.6666665459e-1), F(5.0000001201e-1)
# 1.5 · 2²³: adding it leaves no bits for a fraction, so the last bits of the sum are the other number, rounded.
ROUNDER, ROUNDER_BITS = F(12582912), np.int32(0x4B400000)
EXPONENT = np.int32(23)  # the first bit of the exponent in a float32


@intrinsic
def float_of_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 whose bit pattern is the given int32 (a register move, no conversion)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def bits_of_float(typing_context: Any, x: Any) -> Any:
    """The bit pattern of a float32 as an int32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), generate


@jit(inline=True)
def _split_exp(x: Any) -> Any:
    """(q, n) with e^x = 2ⁿ (1 + q), for x from LEAST_X to MAX_X. q is exact also where it is small."""
    n = np.int32(bits_of_float(x * LOG2E + ROUNDER) - ROUNDER_BITS)
    k = F(n)
    r = x - k * LN2_HIGH - k * LN2_LOW
    return (((((C0 * r + C1) * r + C2) * r + C3) * r + C4) * r + C5) * r * r + r, n


@jit(inline=True)
def _power_of_two(n: Any) -> Any:
    """2ⁿ for −126 ≤ n ≤ 127."""
    return float_of_bits(np.int32((n + np.int32(127)) << EXPONENT))


@jit(inline=True)
def exp32(x: Any) -> Any:
    """e^x for float32, also where it is subnormal: 2ⁿ, which then has no float32 of its own, is made in two steps."""
    inside = MAX_X if x > MAX_X else x
    q, n = _split_exp(LEAST_X if inside < LEAST_X else inside)
    half = np.int32(n >> np.int32(1))
    y = (q + ONE) * _power_of_two(half) * _power_of_two(np.int32(n - half))
    return F(np.inf) if x > MAX_X else y


@jit(inline=True)
def _exp_between(x: Any) -> Any:
    """e^x for LEAST_X ≤ x ≤ 0, cheaper than exp32: there 2ⁿ⁺³² always has a float32 of its own."""
    q, n = _split_exp(x)
    return (q + ONE) * _power_of_two(np.int32(n + np.int32(32))) * F(2.0**-32)


@jit(inline=True)
def exp_below(x: Any) -> Any:
    """e^x for x ≤ 0."""
    return _exp_between(LEAST_X if x < LEAST_X else x)


NORMAL = F(1.17549435e-38)  # the smallest normal float32


@jit(inline=True)
def log32(x: Any) -> Any:
    """ln x for float32: x = 2ⁿ m with √½ ≤ m < √2, and ln m by a polynomial in m − 1 (Cephes); −∞ for 0, NaN below."""
    tiny = x < NORMAL  # has no exponent of its own
    bits = bits_of_float(x * F(2.0**23) if tiny else x)
    n = (bits >> EXPONENT) - np.int32(149 if tiny else 126)
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
    y = F(-np.inf) if x == ZERO else y
    y = F(np.nan) if x < ZERO else y
    return x if x != x or x == F(np.inf) else y


@jit(inline=True)
def log1p32(x: Any) -> Any:
    """ln(1 + x) for −½ ≤ x ≤ 1, as 2 artanh s, s = x/(2 + x), |s| ≤ ⅓: nothing of a small x is lost in 1 + x."""
    s = x / (TWO + x)
    z = s * s
    p = F(1 / 15) * z + F(1 / 13)
    p = p * z + F(1 / 11)
    p = p * z + F(1 / 9)
    p = p * z + F(1 / 7)
    p = p * z + F(1 / 5)
    p = p * z + F(1 / 3)
    return TWO * (s + s * z * p)


@jit(inline=True)
def sigmoid32(x: Any) -> Any:
    """σ(x) = 1 / (1 + e⁻ˣ) for x ≥ 0, the same as eˣ / (1 + eˣ) for x < 0: neither exponential overflows."""
    e = exp_below(-abs(x))
    return (e if x < ZERO else ONE) / (ONE + e)


SURE = F(9.02)  # from here on tanh is 1 to float32's precision


@jit(inline=True)
def tanh32(x: Any) -> Any:
    """±(e²ᵃ − 1)/(e²ᵃ + 1), a = |x|. e²ᵃ − 1 = 2ⁿ q + (2ⁿ − 1) cancels nowhere: near 0, where n = 0, it is q."""
    a = abs(x)
    a = SURE if a > SURE else a
    q, n = _split_exp(a + a)
    scale = _power_of_two(n)
    less_one = scale * q + (scale - ONE)
    return math.copysign(less_one / (less_one + TWO), x)


FARTHEST = F(14.422)  # from here on Φ(−a) and its density are 0 in float32; a²/2 is 104
DENSITY = F(0.39894228040143268)  # 1/√2π
# Σ Tₖ tᵏ⁺¹ with t = 1/(1 + T a) is Φ(−a) e^(a²/2) for 0 ≤ a ≤ 13: a minimax fit of ours to SciPy's erfcx, to
# 5e-8 relative. Beyond 13 Φ(−a) is subnormal and has fewer digits than the fit.
T = F(0.23)
T0, T1, T2, T3 = F(0.09194261374634562), F(0.08865385651089186), F(0.1089124298569842), F(-0.009361521749363727)
T4, T5, T6, T7 = F(0.26892019358105246), F(-0.25075794351329667), F(0.27758821849601667), F(-0.0758978371933796)


@jit(inline=True)
def normal_tail(a: Any) -> Any:
    """(Φ(−a), e^(−a²/2)) of the normal distribution, for 0 ≤ a ≤ FARTHEST; the second is its density times √2π."""
    bell = _exp_between(-HALF * a * a)
    t = ONE / (ONE + T * a)
    p = ((((((T7 * t + T6) * t + T5) * t + T4) * t + T3) * t + T2) * t + T1) * t + T0
    return p * t * bell, bell
