"""Functions of each element, and choices between elements.

For y = f(x) the chain rule is one product per element: dx = dy · f′(x).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.op import Op, keep_input, keep_output
from ..autograd.variable import Variable, namespace, wrap
from ..errors import DtypeError
from .arithmetic import mul
from .common import QUIET, applied, cast, floating, promote, select, shape_of, sum_to, tensor_of


class Exp(Op, kernel="pointwise.arithmetic.exp"):
    """y = eˣ.   dx = dy · y."""

    @staticmethod
    def compute(x: Any) -> Any:
        with np.errstate(**QUIET):
            return np.exp(x)

    keep = staticmethod(keep_output)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy * y


class Expm1(Op):
    """y = eˣ − 1, exact near 0.   dx = dy · eˣ, not written y + 1, of which little is left where y is near −1."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        with np.errstate(**QUIET):
            return np.expm1(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return dy * namespace(dy).exp(x)


class Log(Op, kernel="pointwise.arithmetic.log"):
    """y = ln x.   dx = dy / x."""

    @staticmethod
    def compute(x: Any) -> Any:
        with np.errstate(**QUIET):
            return np.log(x)

    keep = staticmethod(keep_input)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return dy / x


class Log1p(Op):
    """y = ln(1 + x), exact near 0.   dx = dy / (1 + x)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        with np.errstate(**QUIET):
            return np.log1p(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return dy / (x + 1.0)


class Log2(Op):
    """y = log₂ x, exact for powers of 2.   dx = dy / (x ln 2)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        with np.errstate(**QUIET):
            return np.log2(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return dy / x * (1.0 / math.log(2.0))


class Log10(Op):
    """y = log₁₀ x, exact for powers of 10.   dx = dy / (x ln 10)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        with np.errstate(**QUIET):  # NumPy's loop for float32 makes 2.0000002 of log₁₀ 100
            return np.log10(x.astype(np.float64, copy=False)).astype(x.dtype, copy=False)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return dy / x * (1.0 / math.log(10.0))


class Sqrt(Op, kernel="pointwise.arithmetic.sqrt"):
    """y = √x.   dx = dy / (2y); infinite at x = 0, as the derivative is."""

    @staticmethod
    def compute(x: Any) -> Any:
        with np.errstate(**QUIET):
            return np.sqrt(x)

    keep = staticmethod(keep_output)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy / (y + y)


class Rsqrt(Op):
    """y = 1/√x.   dy/dx = −½ x^(−3/2) = −y³/2, so dx = −dy y³ / 2."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        with np.errstate(**QUIET):
            y = 1.0 / np.sqrt(x)
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy * -0.5 * y * y * y


class Sin(Op):
    """y = sin x.   dx = dy · cos x."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        with np.errstate(**QUIET):
            return np.sin(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return dy * namespace(dy).cos(x)


class Cos(Op):
    """y = cos x.   dx = −dy · sin x."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        with np.errstate(**QUIET):
            return np.cos(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return -dy * namespace(dy).sin(x)


class Tan(Op):
    """y = tan x = sin x / cos x.   By the quotient rule dy/dx = 1 + y², so dx = dy (1 + y²)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        with np.errstate(**QUIET):
            y = np.tan(x)
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy * (y * y + 1.0)


class Tanh(Op, kernel="pointwise.activation.tanh"):
    """y = tanh x = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ).   By the quotient rule dy/dx = 1 − y², so dx = dy (1 − y²)."""

    @staticmethod
    def compute(x: Any) -> Any:
        return np.tanh(x)

    keep = staticmethod(keep_output)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy * (1.0 - y * y)


class Erf(Op):
    """y = erf x = 2/√π ∫₀ˣ e^(−t²) dt.   dx = dy · 2/√π · e^(−x²)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        return erf_array(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return dy * (namespace(dy).exp(-x * x) * (2.0 / np.pi**0.5))


class Erfc(Op):
    """y = erfc x = 1 − erf x, exact also where erf is close to 1.   dx = −dy · 2/√π · e^(−x²)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        return erfc_array(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return -dy * (namespace(dy).exp(-x * x) * (2.0 / np.pi**0.5))


def erf_array(x: Any) -> Any:
    """erf of an array."""
    return _special(x).erf(x).astype(x.dtype, copy=False)  # for float16 SciPy answers in a wider type


def erfc_array(x: Any) -> Any:
    """1 − erf of an array."""
    return _special(x).erfc(x).astype(x.dtype, copy=False)


def _special(x: Any) -> Any:
    """Functions that NumPy and CuPy lack."""
    if isinstance(x, (np.ndarray, np.generic)):
        from scipy import special
    else:
        from cupyx.scipy import special
    return special


class Abs(Op):
    """y = |x|.   dx = dy where x > 0, −dy where x < 0; 0 at x = 0, the middle of the derivatives −1 and 1."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        return abs(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return select(x > 0, dy) - select(x < 0, dy)


class Sign(Op):
    """y = −1, 0 or 1 (0 for NaN, as in PyTorch).   Constant on both sides of its jump: dx = 0."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return np.sign(x) if x.dtype.kind != "f" else (x > 0).astype(x.dtype) - (x < 0)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return namespace(dy).zeros_like(dy)


class Round(Op):
    """y = x rounded: ``how`` is NumPy's floor, ceil, trunc or rint.   Constant between its jumps: dx = 0."""

    @staticmethod
    def forward(ctx: Any, x: Any, how: Any) -> Any:
        return how(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return namespace(dy).zeros_like(dy)


# --- choices ----------------------------------------------------------------------------------------------------------


class Clamp(Op):
    """y = min(max(x, low), high), the bounds numbers or tensors.

    dx = dy where low ≤ x ≤ high, else 0. Where a bound holds, y is that bound: dlow = dy where x < low < high, and
    dhigh = dy where x > high or low > high (``high`` has the last word).
    """

    @staticmethod
    def forward(ctx: Any, x: Any, low: Any, high: Any) -> Any:
        ctx.shapes = shape_of(x), shape_of(low), shape_of(high)
        inside, below, above = True, False, False
        y = x
        if low is not None:
            y, inside, below = np.maximum(y, low), x >= low, x < low
        if high is not None:
            y, inside, above = np.minimum(y, high), inside & (x <= high), x > high
            if low is not None and (ctx.needs(1) or ctx.needs(2)):
                below, above = below & (low < high), above | (low > high)
        ctx.saved = (inside, below if ctx.needs(1) else None, above if ctx.needs(2) else None)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return tuple(
            sum_to(select(part, dy), shape) if ctx.needs(i) else None
            for i, (part, shape) in enumerate(zip(ctx.saved, ctx.shapes, strict=True))
        )


class Extremum(Op):
    """y = max(a, b) or min(a, b).   The loser gets 0, the winner dy; where a = b each gets half, as in PyTorch.

    Beside a NaN neither has lost, and both get dy: a NaN passes here as it passes in y.
    """

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, pick: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        y = pick(a, b)
        if y.dtype.kind != "f":
            return y
        not_below, not_above = ~(a < b), ~(a > b)
        share = y.dtype.type(1) - (a == b) * y.dtype.type(0.5)
        ctx.saved = (not_below, not_above, share) if pick is np.maximum else (not_above, not_below, share)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        keeps_a, keeps_b, share = ctx.saved
        dy = dy * share
        return (
            sum_to(select(keeps_a, dy), ctx.shapes[0]) if ctx.needs(0) else None,
            sum_to(select(keeps_b, dy), ctx.shapes[1]) if ctx.needs(1) else None,
        )


class Where(Op):
    """y = a where the condition holds, else b.   da = dy where it holds, db = dy where it does not."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, condition: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        ctx.saved = (condition,)
        return np.where(condition, a, b)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (condition,) = ctx.saved
        return (
            sum_to(select(condition, dy), ctx.shapes[0]) if ctx.needs(0) else None,
            sum_to(select(~condition, dy), ctx.shapes[1]) if ctx.needs(1) else None,
        )


class Clone(Op):
    """y = x in memory of its own.   dx = dy."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.copy()

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy


# --- the functions users call -----------------------------------------------------------------------------------------


def exp(input: Any) -> Any:
    """eˣ."""
    return Exp.apply(floating(input, "exp"))


def expm1(input: Any) -> Any:
    """eˣ − 1, exact near 0."""
    return Expm1.apply(floating(input, "expm1"))


def log(input: Any) -> Any:
    """ln x."""
    return Log.apply(floating(input, "log"))


def log1p(input: Any) -> Any:
    """ln(1 + x), exact near 0."""
    return Log1p.apply(floating(input, "log1p"))


def log2(input: Any) -> Any:
    """log₂ x = ln x / ln 2."""
    return Log2.apply(floating(input, "log2"))


def log10(input: Any) -> Any:
    """log₁₀ x = ln x / ln 10."""
    return Log10.apply(floating(input, "log10"))


def sqrt(input: Any) -> Any:
    """√x."""
    return Sqrt.apply(floating(input, "sqrt"))


def rsqrt(input: Any) -> Any:
    """1 / √x."""
    return Rsqrt.apply(floating(input, "rsqrt"))


def sin(input: Any) -> Any:
    """sin x, x in radians."""
    return Sin.apply(floating(input, "sin"))


def cos(input: Any) -> Any:
    """cos x, x in radians."""
    return Cos.apply(floating(input, "cos"))


def tan(input: Any) -> Any:
    """tan x, x in radians."""
    return Tan.apply(floating(input, "tan"))


def tanh(input: Any) -> Any:
    """tanh x."""
    return applied(Tanh, floating(input, "tanh"))


def erf(input: Any) -> Any:
    """The error function."""
    return Erf.apply(floating(input, "erf"))


def abs_(input: Any) -> Any:
    """|x|."""
    return Abs.apply(tensor_of(input, "abs"))


def sign(input: Any) -> Any:
    """−1, 0 or 1."""
    return Sign.apply(input) if tensor_of(input, "sign")._array.dtype.kind != "b" else clone(input)


def _rounded(input: Any, name: str, how: Any) -> Any:
    tensor_of(input, name)
    return Round.apply(input, how) if input._array.dtype.kind == "f" else Clone.apply(input)


def floor(input: Any) -> Any:
    """⌊x⌋."""
    return _rounded(input, "floor", np.floor)


def ceil(input: Any) -> Any:
    """⌈x⌉."""
    return _rounded(input, "ceil", np.ceil)


def trunc(input: Any) -> Any:
    """x without its fraction."""
    return _rounded(input, "trunc", np.trunc)


def round_(input: Any, *, decimals: int = 0) -> Any:
    """x to the nearest integer (halves to even), or to ``decimals`` decimal places."""
    if decimals:
        scale, kind = 10.0**decimals, tensor_of(input, "round")._array.dtype
        x = cast(input, np.dtype(np.float32)) if kind == np.float16 else input  # x · 10ᵏ may not fit into float16
        return cast(_rounded(mul(x, scale), "round", np.rint) / scale, kind)
    return _rounded(input, "round", np.rint)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """min(max(x, min), max); either bound may be a number, a tensor, or left out."""
    tensor_of(input, "clamp")
    if min is None and max is None:
        raise ValueError("clamp: give min, max or both")
    bounds = [b._array if isinstance(b, Variable) else b for b in (min, max) if b is not None]
    common = dtypes.result_type(input._array, *bounds)
    low, high = (cast(b, common) if isinstance(b, Variable) else b for b in (min, max))
    return Clamp.apply(cast(input, common), low, high)


def _extremum(name: str, a: Any, b: Any, pick: Any) -> Any:
    tensor_of(a, name)
    tensor_of(b, name, "other")
    a, b = promote(a, b)
    return Extremum.apply(a, b, pick)


def maximum(input: Any, other: Any) -> Any:
    """The larger of two tensors, element by element; NaN wins."""
    return _extremum("maximum", input, other, np.maximum)


def minimum(input: Any, other: Any) -> Any:
    """The smaller of two tensors, element by element; NaN wins."""
    return _extremum("minimum", input, other, np.minimum)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """``input`` where the bool tensor ``condition`` holds, else ``other``; with the condition alone, its indices."""
    if not isinstance(condition, Variable) and hasattr(condition, "dtype"):
        condition = wrap(condition)
    tensor_of(condition, "where", "condition")
    if input is None and other is None:
        return tuple(wrap(i) for i in condition._array.nonzero())
    if condition._array.dtype == np.uint8:  # how PyTorch wrote masks before it had bools
        condition = wrap(condition._array != 0)
    if condition._array.dtype.kind != "b":
        raise DtypeError(f"where: condition has dtype {condition._array.dtype}, expected bool")
    a, b = promote(input, other)
    if a is NotImplemented:
        raise TypeError(f"where: expected tensors or numbers, got {type(input).__name__} and {type(other).__name__}")
    if not isinstance(a, Variable) and not isinstance(b, Variable):
        a = wrap(namespace(condition._array).asarray(a, dtype=dtypes.as_dtype(type(a)).numpy))
    kind = next(x for x in (a, b) if isinstance(x, Variable))._array.dtype
    # np.where, unlike the operators, would let a Python number decide the dtype.
    a, b = (x if isinstance(x, Variable) else kind.type(x) for x in (a, b))
    return Where.apply(a, b, condition)


def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy in memory of its own, still part of the graph."""
    return Clone.apply(tensor_of(input, "clone"))
