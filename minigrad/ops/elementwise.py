"""Element-wise ops: each output element depends on the input elements at its own place.

For y = f(x) the chain rule is one product per element: dx = dy · f'(x). For two inputs that were broadcast against
each other, each gradient is summed back to its input's shape by :func:`minigrad.ops.common.sum_to`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.function import Op
from ..autograd.variable import Variable, namespace, wrap
from ..errors import DtypeError
from .common import cast, floating, meet, sum_to, tensor_of

_quiet: Any = {"all": "ignore"}  # log(0) is −inf and 0/0 is NaN without a warning, as in PyTorch


def _shape(x: Any) -> tuple[int, ...]:
    return getattr(x, "shape", ())


# --- arithmetic ------------------------------------------------------------------------------------------------------


class Add(Op, kernel="elementwise.add"):
    """y = a + b.   ∂y/∂a = ∂y/∂b = 1, so da = dy and db = dy."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = _shape(a), _shape(b)
        return a + b

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        a, b = ctx.shapes
        return sum_to(dy, a) if ctx.needs(0) else None, sum_to(dy, b) if ctx.needs(1) else None


class Sub(Op):
    """y = a − b.   da = dy, db = −dy."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = _shape(a), _shape(b)
        return a - b

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        a, b = ctx.shapes
        return sum_to(dy, a) if ctx.needs(0) else None, sum_to(-dy, b) if ctx.needs(1) else None


class Mul(Op):
    """y = a b.   ∂y/∂a = b and ∂y/∂b = a, so da = dy b and db = dy a."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = _shape(a), _shape(b)
        # Each factor is only kept if the other one needs it.
        ctx.saved = (a if ctx.needs(1) else None, b if ctx.needs(0) else None)
        return a * b

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        a, b = ctx.saved
        shape_a, shape_b = ctx.shapes
        return sum_to(dy * b, shape_a) if ctx.needs(0) else None, sum_to(dy * a, shape_b) if ctx.needs(1) else None


class Div(Op):
    """y = a / b.   ∂y/∂a = 1/b and ∂y/∂b = −a/b² = −y/b."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = _shape(a), _shape(b)
        ctx.saved = (a if ctx.needs(1) else None, b)
        with np.errstate(**_quiet):
            return a / b

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        a, b = ctx.saved
        shape_a, shape_b = ctx.shapes
        da = sum_to(dy / b, shape_a) if ctx.needs(0) else None
        db = sum_to(-dy * a / (b * b), shape_b) if ctx.needs(1) else None
        return da, db


class RoundedDiv(Op):
    """y = a / b rounded down ("floor") or towards 0 ("trunc").   Constant between its jumps: da = db = 0."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, mode: str) -> Any:
        ctx.shapes = _shape(a), _shape(b)
        _refuse_whole_zeros("div", a, b)
        with np.errstate(**_quiet):
            if mode == "floor":
                return np.floor_divide(a, b)  # not ⌊a / b⌋: 1 / 0.1 is a hair below 10, but rounds to 10
            if (a if hasattr(a, "dtype") else b).dtype.kind == "f":
                return np.trunc(a / b)
            down = np.floor_divide(a, b)
            return down + ((down < 0) & (down * b != a))

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return tuple(sum_to(dy * 0.0, s) if ctx.needs(i) else None for i, s in enumerate(ctx.shapes))


def _refuse_whole_zeros(name: str, a: Any, b: Any) -> None:
    """Integers have no infinity: refuse to divide them by 0."""
    kind = (a if hasattr(a, "dtype") else b).dtype.kind
    if kind != "f" and not (b.all() if hasattr(b, "dtype") else b):
        raise ZeroDivisionError(f"{name}: integers cannot be divided by 0; use .float() to get an infinity")


class Neg(Op):
    """y = −x.   dx = −dy."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return -x

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return -dy


class Square(Op):
    """y = x².   dx = dy · 2x."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        return x * x

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return dy * (x + x)


class PowScalar(Op):
    """y = xᵖ for a number p.   dx = dy · p xᵖ⁻¹, and 0 for p = 0 (where xᵖ is constant, also at x = 0)."""

    @staticmethod
    def forward(ctx: Any, x: Any, p: float) -> Any:
        ctx.p, ctx.saved = p, (x,)
        with np.errstate(**_quiet):
            return x**p

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        p = ctx.p
        return dy * 0.0 if p == 0 else dy * (p * x ** (p - 1))


class Pow(Op):
    """y = aᵇ.   ∂y/∂a = b aᵇ⁻¹ (0 where b = 0);   ∂y/∂b = aᵇ ln a (0 where a = 0 and b ≥ 0, its limit)."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = _shape(a), _shape(b)
        ctx.saved = a, b
        with np.errstate(**_quiet):
            return a**b

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        a, b = ctx.saved
        xp = namespace(dy)
        da = db = None
        if ctx.needs(0):
            da = sum_to(dy * xp.where(b == 0, 0.0, b * a ** xp.where(b == 0, 1.0, b - 1)), ctx.shapes[0])
        if ctx.needs(1):
            flat = (a == 0) & (b >= 0)
            log_a = xp.log(xp.where(flat, 1.0, a))
            db = sum_to(dy * xp.where(flat, 0.0, a**b * log_a), ctx.shapes[1])
        return da, db


# --- functions of one variable ---------------------------------------------------------------------------------------


class Exp(Op):
    """y = eˣ.   dx = dy · y."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        with np.errstate(**_quiet):
            y = np.exp(x)
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy * y


class Expm1(Op):
    """y = eˣ − 1, exact near 0.   dx = dy · (y + 1)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        with np.errstate(**_quiet):
            y = np.expm1(x)
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy * (y + 1.0)


class Log(Op):
    """y = ln x.   dx = dy / x."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        with np.errstate(**_quiet):
            return np.log(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return dy / x


class Log1p(Op):
    """y = ln(1 + x), exact near 0.   dx = dy / (1 + x)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        with np.errstate(**_quiet):
            return np.log1p(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return dy / (x + 1.0)


class Sqrt(Op):
    """y = √x.   dx = dy / (2y); infinite at x = 0, as the slope is."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        with np.errstate(**_quiet):
            y = np.sqrt(x)
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy / (y + y)


class Sin(Op):
    """y = sin x.   dx = dy · cos x."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        with np.errstate(**_quiet):
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
        with np.errstate(**_quiet):
            return np.cos(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return -dy * namespace(dy).sin(x)


class Tanh(Op, kernel="activation.tanh"):
    """y = tanh x = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ).   By the quotient rule dy/dx = 1 − y², so dx = dy (1 − y²)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = np.tanh(x)
        ctx.saved = (y,)
        return y

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


def erf_array(x: Any) -> Any:
    """erf of an array: NumPy has none, SciPy has."""
    if isinstance(x, (np.ndarray, np.generic)):
        from scipy.special import erf as f
    else:
        from cupyx.scipy.special import erf as f
    return f(x)


class Abs(Op):
    """y = |x|.   dx = dy · sign(x); 0 at x = 0, the middle of the slopes −1 and 1."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        return abs(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return dy * namespace(dy).sign(x)


class Sign(Op):
    """y = −1, 0 or 1.   Constant on both sides of its jump: dx = 0."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return np.sign(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy * 0.0


class Round(Op):
    """y = x rounded: ``how`` is NumPy's floor, ceil, trunc or rint.   Constant between its jumps: dx = 0."""

    @staticmethod
    def forward(ctx: Any, x: Any, how: Any) -> Any:
        return how(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy * 0.0


class Remainder(Op):
    """y = a − b ⌊a/b⌋ (the sign of b).   ∂y/∂a = 1, ∂y/∂b = −⌊a/b⌋ between the jumps."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = _shape(a), _shape(b)
        ctx.saved = a, b
        _refuse_whole_zeros("remainder", a, b)
        with np.errstate(**_quiet):
            return a % b

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        a, b = ctx.saved
        xp = namespace(dy)
        return (
            sum_to(dy, ctx.shapes[0]) if ctx.needs(0) else None,
            sum_to(-dy * xp.floor(a / b), ctx.shapes[1]) if ctx.needs(1) else None,
        )


# --- choices ---------------------------------------------------------------------------------------------------------


class Clamp(Op):
    """y = min(max(x, low), high), the bounds numbers or tensors.

    dx = dy where low ≤ x ≤ high, else 0. Where a bound holds, y is that bound: dlow = dy where x < low < high, and
    dhigh = dy where x > high or low > high (``high`` has the last word).
    """

    @staticmethod
    def forward(ctx: Any, x: Any, low: Any, high: Any) -> Any:
        ctx.shapes = _shape(x), _shape(low), _shape(high)
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
            sum_to(dy * part, shape) if ctx.needs(i) else None
            for i, (part, shape) in enumerate(zip(ctx.saved, ctx.shapes, strict=True))
        )


class Extremum(Op):
    """y = max(a, b) or min(a, b).   The winner gets dy; where a = b each gets half, as in PyTorch."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, pick: Any) -> Any:
        ctx.shapes = _shape(a), _shape(b)
        y = pick(a, b)
        ctx.saved = ((a == y) * y.dtype.type(1), (b == y) * y.dtype.type(1))
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        wins_a, wins_b = ctx.saved
        both = wins_a + wins_b
        both = both + (both == 0)  # NaN wins nowhere
        return (
            sum_to(dy * (wins_a / both), ctx.shapes[0]) if ctx.needs(0) else None,
            sum_to(dy * (wins_b / both), ctx.shapes[1]) if ctx.needs(1) else None,
        )


class Where(Op):
    """y = a where the condition holds, else b.   da = dy where it holds, db = dy where it does not."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, condition: Any) -> Any:
        ctx.shapes = _shape(a), _shape(b)
        ctx.saved = (condition,)
        return np.where(condition, a, b)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (condition,) = ctx.saved
        return (
            sum_to(dy * condition, ctx.shapes[0]) if ctx.needs(0) else None,
            sum_to(dy * ~condition, ctx.shapes[1]) if ctx.needs(1) else None,
        )


class Clone(Op):
    """y = x in memory of its own.   dx = dy."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.copy()

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy


# --- the functions users call ----------------------------------------------------------------------------------------


def binary(op: type[Op], a: Any, b: Any) -> Any:
    """Apply an op of two operands, tensors or numbers, in the dtype in which they meet."""
    # The usual pairs first: meet() would return them as they are.
    if isinstance(a, Variable):
        if isinstance(b, Variable):
            if a._array.dtype is b._array.dtype:
                return op.apply(a, b)
        elif (b.__class__ is float or b.__class__ is int) and a._array.dtype.kind == "f":
            return op.apply(a, b)
    elif (a.__class__ is float or a.__class__ is int) and b._array.dtype.kind == "f":
        return op.apply(a, b)
    a, b = meet(a, b)
    return NotImplemented if a is NotImplemented else op.apply(a, b)


def _named(name: str, op: type[Op], a: Any, b: Any) -> Any:
    result = binary(op, a, b)
    if result is NotImplemented:
        wrong = next(x for x in (a, b) if not isinstance(x, (Variable, int, float, np.generic, np.ndarray)))
        raise TypeError(f"{name}: expected tensors or numbers, got {type(wrong).__name__}")
    return result


def _arithmetic(name: str, a: Any, b: Any) -> None:
    if all(isinstance(x, bool) or (isinstance(x, Variable) and x._array.dtype.kind == "b") for x in (a, b)):
        raise DtypeError(f"{name}: not defined for two bool tensors; use logical_xor, or convert one with .int()")


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha · other."""
    return _named("add", Add, input, other if alpha == 1 else mul(other, alpha))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input − alpha · other."""
    _arithmetic("sub", input, other)
    return _named("sub", Sub, input, other if alpha == 1 else mul(other, alpha))


def mul(input: Any, other: Any) -> Any:
    """input · other, element by element."""
    return _named("mul", Mul, input, other)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; integers give floats. ``rounding_mode``: None, "trunc" (towards 0) or "floor" (downwards)."""
    if rounding_mode is None:
        a, b = (floating(x, "div") if isinstance(x, Variable) else x for x in (input, other))
        return _named("div", Div, a, b)
    if rounding_mode not in ("floor", "trunc"):
        raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")
    a, b = meet(input, other)
    if a is NotImplemented:
        raise TypeError(f"div: expected tensors or numbers, got {type(input).__name__} and {type(other).__name__}")
    return RoundedDiv.apply(a, b, rounding_mode)


def floor_divide(input: Any, other: Any) -> Any:
    """⌊input / other⌋."""
    return div(input, other, rounding_mode="floor")


def remainder(input: Any, other: Any) -> Any:
    """input − other · ⌊input / other⌋: Python's %, with the sign of ``other``."""
    return _named("remainder", Remainder, input, other)


def neg(input: Any) -> Any:
    """−input."""
    if tensor_of(input, "neg")._array.dtype.kind == "b":
        raise DtypeError("neg: not defined for a bool tensor; use logical_not or ~")
    return Neg.apply(input)


def square(input: Any) -> Any:
    """input²."""
    return Square.apply(tensor_of(input, "square"))


def pow(input: Any, exponent: Any) -> Any:
    """input to the power of ``exponent``; either may be a number."""
    if isinstance(input, Variable) and isinstance(exponent, (int, float)) and not isinstance(exponent, bool):
        kind = input._array.dtype.kind
        if kind == "f":
            return Square.apply(input) if exponent == 2 else PowScalar.apply(input, float(exponent))
        if isinstance(exponent, int):
            if exponent < 0:
                raise DtypeError(f"pow: integers to a negative power ({exponent}) are no integers; use .float()")
            return PowScalar.apply(input, exponent)
    if isinstance(input, Variable) or isinstance(exponent, Variable):
        a, b = meet(input, exponent)
        if a is not NotImplemented:
            a, b = (
                x if isinstance(x, Variable) else wrap(namespace(y._array).asarray(x, y._array.dtype))
                for x, y in ((a, b), (b, a))
            )
            return Pow.apply(a, b)
    raise TypeError(
        f"pow: expected a tensor and a tensor or number, got {type(input).__name__}, {type(exponent).__name__}"
    )


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
    return log(input) * (1.0 / float(np.log(2.0)))


def log10(input: Any) -> Any:
    """log₁₀ x = ln x / ln 10."""
    return log(input) * (1.0 / float(np.log(10.0)))


def sqrt(input: Any) -> Any:
    """√x."""
    return Sqrt.apply(floating(input, "sqrt"))


def rsqrt(input: Any) -> Any:
    """1 / √x."""
    return PowScalar.apply(floating(input, "rsqrt"), -0.5)


def reciprocal(input: Any) -> Any:
    """1 / x."""
    return Div.apply(1.0, floating(input, "reciprocal"))


def sin(input: Any) -> Any:
    """sin x, x in radians."""
    return Sin.apply(floating(input, "sin"))


def cos(input: Any) -> Any:
    """cos x, x in radians."""
    return Cos.apply(floating(input, "cos"))


def tan(input: Any) -> Any:
    """tan x = sin x / cos x, x in radians."""
    return sin(input) / cos(input)


def tanh(input: Any) -> Any:
    """tanh x."""
    return Tanh.apply(floating(input, "tanh"))


def erf(input: Any) -> Any:
    """The error function."""
    return Erf.apply(floating(input, "erf"))


def abs_(input: Any) -> Any:
    """|x|."""
    return Abs.apply(tensor_of(input, "abs"))


def sign(input: Any) -> Any:
    """−1, 0 or 1."""
    return Sign.apply(tensor_of(input, "sign"))


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
        scale = 10.0**decimals
        return _rounded(mul(input, scale), "round", np.rint) / scale
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
    a, b = meet(a, b)
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
    if condition._array.dtype.kind != "b":
        raise DtypeError(f"where: condition has dtype {condition._array.dtype}, expected bool")
    a, b = meet(input, other)
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


# --- comparisons and logic: bool tensors, without gradients ----------------------------------------------------------


def _compare(name: str, a: Any, b: Any, ufunc: Any) -> Any:
    a, b = meet(a, b)
    if a is NotImplemented:
        return NotImplemented
    return Compare.apply(a, b, ufunc)


class Compare(Op):
    """A bool for each pair of elements; no gradient."""

    differentiable = False

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, ufunc: Any) -> Any:
        return ufunc(a, b)


def eq(input: Any, other: Any) -> Any:
    """input == other, element by element."""
    return _compare("eq", input, other, np.equal)


def ne(input: Any, other: Any) -> Any:
    """input != other, element by element."""
    return _compare("ne", input, other, np.not_equal)


def lt(input: Any, other: Any) -> Any:
    """input < other, element by element."""
    return _compare("lt", input, other, np.less)


def le(input: Any, other: Any) -> Any:
    """input <= other, element by element."""
    return _compare("le", input, other, np.less_equal)


def gt(input: Any, other: Any) -> Any:
    """input > other, element by element."""
    return _compare("gt", input, other, np.greater)


def ge(input: Any, other: Any) -> Any:
    """input >= other, element by element."""
    return _compare("ge", input, other, np.greater_equal)


def logical_and(input: Any, other: Any) -> Any:
    """Whether both are true (not 0)."""
    return _compare("logical_and", input, other, np.logical_and)


def logical_or(input: Any, other: Any) -> Any:
    """Whether at least one is true (not 0)."""
    return _compare("logical_or", input, other, np.logical_or)


def logical_xor(input: Any, other: Any) -> Any:
    """Whether exactly one is true (not 0)."""
    return _compare("logical_xor", input, other, np.logical_xor)


def logical_not(input: Any) -> Any:
    """Whether it is false (0)."""
    return wrap(np.logical_not(tensor_of(input, "logical_not")._array))


def _bitwise(name: str, a: Any, b: Any, ufunc: Any) -> Any:
    for x in (a, b):
        if isinstance(x, float) or (isinstance(x, Variable) and x._array.dtype.kind == "f"):
            raise DtypeError(f"{name}: defined for bool and integer tensors, got a floating one")
    return _compare(name, a, b, ufunc)


def bitwise_and(input: Any, other: Any) -> Any:
    """input & other, for bools and integers."""
    return _bitwise("bitwise_and", input, other, np.bitwise_and)


def bitwise_or(input: Any, other: Any) -> Any:
    """input | other, for bools and integers."""
    return _bitwise("bitwise_or", input, other, np.bitwise_or)


def bitwise_xor(input: Any, other: Any) -> Any:
    """input ^ other, for bools and integers."""
    return _bitwise("bitwise_xor", input, other, np.bitwise_xor)


def bitwise_not(input: Any) -> Any:
    """~input, for bools and integers."""
    if tensor_of(input, "bitwise_not")._array.dtype.kind == "f":
        raise DtypeError("bitwise_not: defined for bool and integer tensors, got a floating one")
    return wrap(~input._array)


def isnan(input: Any) -> Any:
    """Whether it is NaN."""
    return wrap(np.isnan(tensor_of(input, "isnan")._array))


def isinf(input: Any) -> Any:
    """Whether it is +∞ or −∞."""
    return wrap(np.isinf(tensor_of(input, "isinf")._array))


def isfinite(input: Any) -> Any:
    """Whether it is neither NaN nor infinite."""
    return wrap(np.isfinite(tensor_of(input, "isfinite")._array))


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |input − other| ≤ atol + rtol · |other| everywhere."""
    a, b = tensor_of(input, "allclose")._array, tensor_of(other, "allclose", "other")._array
    return bool(namespace(a).allclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan))


def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Where |input − other| ≤ atol + rtol · |other|."""
    a, b = tensor_of(input, "isclose")._array, tensor_of(other, "isclose", "other")._array
    return wrap(namespace(a).isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan))


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same elements."""
    a, b = tensor_of(input, "equal")._array, tensor_of(other, "equal", "other")._array
    return bool(a.shape == b.shape and (a == b).all())
