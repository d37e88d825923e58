"""Comparisons and logic: a bool for each pair of elements. Nothing here carries a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace, wrap
from ..errors import DtypeError
from .common import promote, tensor_of

_ORDER = frozenset([np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal])


def _compare(name: str, a: Any, b: Any, ufunc: Any) -> Any:
    if ufunc in _ORDER:
        # Integers are compared as the numbers they are: 3 > -1 also for a uint8, into which -1 does not go.
        for x, y in ((a, b), (b, a)):
            if isinstance(x, Variable) and y.__class__ is int and x._array.dtype.kind in "iu":
                return Compare.apply(a, b, ufunc)
    a, b = promote(a, b)
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


def _check_tolerances(name: str, rtol: float, atol: float) -> None:
    if rtol < 0 or atol < 0:
        raise ValueError(f"{name}: rtol and atol must not be negative, got {rtol} and {atol}")


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |input − other| ≤ atol + rtol · |other| everywhere."""
    a, b = tensor_of(input, "allclose")._array, tensor_of(other, "allclose", "other")._array
    _check_tolerances("allclose", rtol, atol)
    return bool(namespace(a).allclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan))


def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Where |input − other| ≤ atol + rtol · |other|."""
    a, b = tensor_of(input, "isclose")._array, tensor_of(other, "isclose", "other")._array
    _check_tolerances("isclose", rtol, atol)
    return wrap(namespace(a).isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan))


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same elements."""
    a, b = tensor_of(input, "equal")._array, tensor_of(other, "equal", "other")._array
    return bool(a.shape == b.shape and (a == b).all())
