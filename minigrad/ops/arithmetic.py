"""Arithmetic: the four operations, powers and remainders, on tensors and numbers.

Operands are broadcast against each other, so an element of one may be used many times, and each gradient is summed back
to its operand's shape by :func:`minigrad.ops.common.sum_to`. This is the place to see what an op is: an equation, a
forward pass, and the backward pass that follows from it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace, wrap
from ..errors import DtypeError
from .common import QUIET, cast, floating, promote, select, shape_of, sum_to, tensor_of


def _keep_shapes(ctx: Any, result: Any, *args: Any) -> Any:
    a, b = args
    ctx.options = shape_of(a), shape_of(b)
    return result


class Add(Op, kernel="pointwise.arithmetic.add"):
    """y = a + b.   ∂y/∂a = ∂y/∂b = 1, so da = dy and db = dy."""

    @staticmethod
    def compute(a: Any, b: Any) -> Any:
        return a + b

    keep = staticmethod(_keep_shapes)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        a, b = ctx.options
        return sum_to(dy, a) if ctx.needs(0) else None, sum_to(dy, b) if ctx.needs(1) else None


class Sub(Op, kernel="pointwise.arithmetic.sub"):
    """y = a − b.   da = dy, db = −dy."""

    @staticmethod
    def compute(a: Any, b: Any) -> Any:
        return a - b

    keep = staticmethod(_keep_shapes)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        a, b = ctx.options
        return sum_to(dy, a) if ctx.needs(0) else None, sum_to(-dy, b) if ctx.needs(1) else None


class Mul(Op, kernel="pointwise.arithmetic.mul"):
    """y = a b.   ∂y/∂a = b and ∂y/∂b = a, so da = dy b and db = dy a."""

    @staticmethod
    def compute(a: Any, b: Any) -> Any:
        return a * b

    @staticmethod
    def keep(ctx: Any, y: Any, a: Any, b: Any) -> Any:
        # Each factor is only kept if the other one needs it.
        ctx.saved = (a if ctx.needs(1) else None, b if ctx.needs(0) else None)
        ctx.options = shape_of(a), shape_of(b)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (a, b), (shape_a, shape_b) = ctx.saved, ctx.options
        return sum_to(dy * b, shape_a) if ctx.needs(0) else None, sum_to(dy * a, shape_b) if ctx.needs(1) else None


class Div(Op, kernel="pointwise.arithmetic.div"):
    """y = a / b.   ∂y/∂a = 1/b and ∂y/∂b = −(a/b)/b; b², which may overflow, is never formed."""

    @staticmethod
    def compute(a: Any, b: Any) -> Any:
        with np.errstate(**QUIET):
            return a / b

    @staticmethod
    def keep(ctx: Any, y: Any, a: Any, b: Any) -> Any:
        ctx.saved = (a if ctx.needs(1) else None, b)
        ctx.options = shape_of(a), shape_of(b)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (a, b), (shape_a, shape_b) = ctx.saved, ctx.options
        da = sum_to(dy / b, shape_a) if ctx.needs(0) else None
        db = sum_to(-dy * (a / b / b), shape_b) if ctx.needs(1) else None
        return da, db


class RoundedDiv(Op):
    """y = a / b rounded down ("floor") or towards 0 ("trunc").   Constant between its jumps: da = db = 0."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, mode: str) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        _refuse_whole_zeros("div", a, b)
        with np.errstate(**QUIET):
            if mode == "floor":
                # Not ⌊a / b⌋: 1 / 0.1 is a hair below 10, but rounds to 10.
                return _whole_and_rest(a, b)[0] if _divides_first(a, b) else np.floor_divide(a, b)
            if (a if hasattr(a, "dtype") else b).dtype.kind == "f":
                return np.trunc(a / b)
            down = np.floor_divide(a, b)
            return down + ((down < 0) & (down * b != a))

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        zero = namespace(dy).zeros_like(dy)
        return tuple(sum_to(zero, s) if ctx.needs(i) else None for i, s in enumerate(ctx.shapes))


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
        with np.errstate(**QUIET):
            return x**p

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        p = ctx.p
        return namespace(dy).zeros_like(dy) if p == 0 else dy * (p * x ** (p - 1))


class Pow(Op):
    """y = aᵇ.   ∂y/∂a = b aᵇ⁻¹ (0 where b = 0);   ∂y/∂b = aᵇ ln a (0 where a = 0 and b ≥ 0, its limit).

    Of integers, y is rounded towards 0: with b < 0 it is 0 unless a is 1 or −1.
    """

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        ctx.saved = a, b
        if b.dtype.kind == "i":
            unit = (a == 1) | (a == -1)
            return np.where((b >= 0) | unit, a ** np.where(b < 0, b & 1, b), 0)
        with np.errstate(**QUIET):
            return a**b

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        a, b = ctx.saved
        xp = namespace(dy)
        da = db = None
        if ctx.needs(0):
            power = a ** xp.where(b == 0, 1.0, b - 1)
            da = sum_to(select(b != 0, dy * (b * power)), ctx.shapes[0])
        if ctx.needs(1):
            flat = (a == 0) & (b >= 0)
            log_a = xp.log(xp.where(flat, 1.0, a))
            db = sum_to(select(~flat, dy * (a**b * log_a)), ctx.shapes[1])
        return da, db


class Remainder(Op):
    """y = a − b ⌊a/b⌋ (the sign of b).   ∂y/∂a = 1, ∂y/∂b = −⌊a/b⌋ between the jumps."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        ctx.saved = a, b
        _refuse_whole_zeros("remainder", a, b)
        with np.errstate(**QUIET):
            return _whole_and_rest(a, b)[1] if _divides_first(a, b) else a % b

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        a, b = ctx.saved
        da = sum_to(dy, ctx.shapes[0]) if ctx.needs(0) else None
        if not ctx.needs(1):
            return da, None
        # Not ⌊a / b⌋ of the rounded quotient, which may be the next integer
        divide = RoundedDiv.apply if isinstance(dy, Variable) else partial(RoundedDiv.forward, Op())
        return da, sum_to(-dy * divide(a, b, "floor"), ctx.shapes[1])


def _divides_first(a: Any, b: Any) -> bool:
    """Whether // and % of these go by ⌊a / b⌋: CuPy's do for floats, and so make 10 of 1 // 0.1 and NaN of 1 % ∞."""
    array = a if hasattr(a, "dtype") else b
    return not isinstance(array, (np.ndarray, np.generic)) and array.dtype.kind == "f"


def _whole_and_rest(a: Any, b: Any) -> tuple[Any, Any]:
    """(⌊a / b⌋, a − b ⌊a / b⌋) of CuPy's arrays and numbers, by fmod: the exact rest, with a's sign."""
    array = a if hasattr(a, "dtype") else b
    a, b = (x if hasattr(x, "dtype") else namespace(array).asarray(x, array.dtype) for x in (a, b))
    rest = np.fmod(a, b)
    whole = np.rint((a - rest) / b)
    below = (rest != 0) & ((rest < 0) != (b < 0))  # fmod has rounded towards 0, and that was upwards
    return np.where(b == 0, a / b, whole - below), np.where(below, rest + b, rest)


def _refuse_whole_zeros(name: str, a: Any, b: Any) -> None:
    """Integers have no infinity: refuse to divide them by 0."""
    kind = (a if hasattr(a, "dtype") else b).dtype.kind
    if kind != "f" and not (b.all() if hasattr(b, "dtype") else b):
        raise ZeroDivisionError(f"{name}: integers cannot be divided by 0; use .float() to get an infinity")


# --- the functions users call -----------------------------------------------------------------------------------------


def binary(op: type[Op], a: Any, b: Any) -> Any:
    """Apply an op of two operands, tensors or numbers, in the dtype in which they meet."""
    # The usual pairs first: promote() would return them as they are.
    if isinstance(a, Variable):
        if isinstance(b, Variable):
            if a._array.dtype is b._array.dtype:
                return op.apply(a, b)
        elif (b.__class__ is float or b.__class__ is int) and a._array.dtype.kind == "f":
            return op.apply(a, b)
    elif (a.__class__ is float or a.__class__ is int) and isinstance(b, Variable) and b._array.dtype.kind == "f":
        return op.apply(a, b)
    a, b = promote(a, b)
    return NotImplemented if a is NotImplemented else op.apply(a, b)


def _named(name: str, op: type[Op], a: Any, b: Any) -> Any:
    known = (Variable, np.ndarray)
    result = binary(op, a, b) if isinstance(a, known) or isinstance(b, known) else NotImplemented
    if result is NotImplemented:
        kinds = " and ".join(type(x).__name__ for x in (a, b))
        raise TypeError(f"{name}: expected tensors, or a tensor and a number, got {kinds}")
    return result


def _arithmetic(name: str, a: Any, b: Any) -> None:
    if all(isinstance(x, bool) or (isinstance(x, Variable) and x._array.dtype.kind == "b") for x in (a, b)):
        raise DtypeError(f"{name}: not defined for two bool tensors; use logical_xor, or convert one with .int()")


def _scaled(other: Any, alpha: Any) -> Any:
    if alpha.__class__ is int and alpha == 1:
        return other
    return mul(other, alpha) if isinstance(other, Variable) else other * alpha


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha · other."""
    return _named("add", Add, input, _scaled(other, alpha))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input − alpha · other."""
    _arithmetic("sub", input, other)
    return _named("sub", Sub, input, _scaled(other, alpha))


def mul(input: Any, other: Any) -> Any:
    """input · other, element by element."""
    return _named("mul", Mul, input, other)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; integers give floats. ``rounding_mode``: None, "trunc" (towards 0) or "floor" (downwards)."""
    if rounding_mode is None:
        if any(isinstance(x, Variable) and x._array.dtype.kind != "f" for x in (input, other)):
            a, b = promote(input, other)
            if a is not NotImplemented:
                input, other = (floating(x, "div") if isinstance(x, Variable) else x for x in (a, b))
        return _named("div", Div, input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")
    a, b = promote(input, other)
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
    return pow(tensor_of(input, "square"), 2)


def pow(input: Any, exponent: Any) -> Any:
    """input to the power of ``exponent``; either may be a number."""
    if isinstance(input, Variable) and isinstance(exponent, (int, float)) and not isinstance(exponent, bool):
        kind = input._array.dtype.kind
        if kind == "f":
            return Square.apply(input) if exponent == 2 else PowScalar.apply(input, float(exponent))
        if isinstance(exponent, int):
            if exponent < 0:
                raise DtypeError(f"pow: integers to a negative power ({exponent}) are no integers; use .float()")
            return PowScalar.apply(input if kind != "b" else cast(input, np.dtype(np.int64)), exponent)
    if isinstance(input, Variable) or isinstance(exponent, Variable):
        a, b = promote(input, exponent)
        if a is not NotImplemented:
            a, b = (
                x if isinstance(x, Variable) else wrap(namespace(y._array).asarray(x, y._array.dtype))
                for x, y in ((a, b), (b, a))
            )
            return Pow.apply(a, b)
    raise TypeError(
        f"pow: expected a tensor and a tensor or number, got {type(input).__name__}, {type(exponent).__name__}"
    )


def reciprocal(input: Any) -> Any:
    """1 / x."""
    return Div.apply(1.0, floating(input, "reciprocal"))
