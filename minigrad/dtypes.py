"""Element types, under PyTorch's names, and the rule that picks the type of a mixed operation.

A Python scalar never changes a tensor's dtype within its kind (``int32 tensor + 2`` stays int32, ``float32 tensor
* 2.5`` stays float32); a Python float meets an integer tensor in the default dtype. Two tensors meet in the wider
type of the higher kind (bool < integer < float), where a 0-dimensional tensor only counts if its kind is higher.
Source: PyTorch's documentation of tensor attributes, "type promotion".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import DtypeError


class dtype:
    """An element type. ``minigrad.float32.numpy`` is NumPy's name for it; it compares equal to that as well."""

    def __init__(self, name: str, *, is_floating_point: bool = False, is_signed: bool = True) -> None:
        self.name = name
        self.numpy = np.dtype(name)
        self.dtype = self.numpy  # lets NumPy take this object wherever it takes a dtype
        self.itemsize = self.numpy.itemsize
        self.is_floating_point = is_floating_point
        self.is_complex = False
        self.is_signed = is_signed

    def __repr__(self) -> str:
        return f"minigrad.{self.name}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, dtype):
            return self is other
        try:
            return self.numpy == np.dtype(other)  # type: ignore[call-overload]
        except TypeError:
            return NotImplemented

    def __hash__(self) -> int:
        return hash(self.numpy)

    def __reduce__(self) -> tuple[Any, ...]:
        return as_dtype, (self.name,)

    def __deepcopy__(self, memo: dict[int, Any]) -> dtype:
        return self


float16 = half = dtype("float16", is_floating_point=True)
float32 = dtype("float32", is_floating_point=True)
float64 = double = dtype("float64", is_floating_point=True)
uint8 = dtype("uint8", is_signed=False)
int8 = dtype("int8")
int16 = short = dtype("int16")
int32 = dtype("int32")
int64 = long = dtype("int64")
bool_ = dtype("bool", is_signed=False)

_BY_NUMPY = {d.numpy: d for d in (float16, float32, float64, uint8, int8, int16, int32, int64, bool_)}
_BY_TYPE = {float: float32, int: int64, bool: bool_}

_default = float32


def as_dtype(spec: Any) -> dtype:
    """The :class:`dtype` for a minigrad, NumPy or Python type, or a name. Raises :class:`DtypeError` if none fits."""
    if isinstance(spec, dtype):
        return spec
    if spec is float:
        return _default
    if spec in _BY_TYPE:
        return _BY_TYPE[spec]
    try:
        return _BY_NUMPY[np.dtype(spec)]
    except (TypeError, KeyError):
        names = ", ".join(d.name for d in _BY_NUMPY.values())
        raise DtypeError(f"dtype: minigrad has no element type {spec!r}; it has {names}") from None


def of_array(array: Any) -> dtype:
    """The :class:`dtype` of a NumPy or CuPy array."""
    found = _BY_NUMPY.get(array.dtype)
    return found if found is not None else as_dtype(array.dtype)


def get_default_dtype() -> dtype:
    """The dtype of tensors made from Python floats: ``float32`` unless changed."""
    return _default


def set_default_dtype(d: Any) -> None:
    """Set the dtype of tensors made from Python floats. It must be a floating type."""
    global _default
    chosen = as_dtype(d)
    if not chosen.is_floating_point:
        raise DtypeError(f"set_default_dtype: only floating types can be the default, got {chosen}")
    _default = chosen


def _kind(d: np.dtype[Any]) -> int:
    return {"b": 0, "u": 1, "i": 1, "f": 2}[d.kind]


def _wider(a: np.dtype[Any] | None, b: np.dtype[Any]) -> np.dtype[Any]:
    """The wider of two types of one kind, else the one of the higher kind in its own width: int64 and float16 meet in
    float16 (NumPy would say float64)."""
    if a is None or _kind(b) > _kind(a):
        return b
    return a if _kind(a) > _kind(b) else np.promote_types(a, b)


def result_type(*operands: Any) -> np.dtype[Any]:
    """The NumPy dtype to which arrays and Python scalars promote, by the rule in this module's docstring."""
    full: np.dtype[Any] | None = None  # arrays with at least one axis
    zero: np.dtype[Any] | None = None  # 0-dimensional arrays
    scalar: np.dtype[Any] | None = None  # Python scalars
    for x in operands:
        if isinstance(x, (bool, int, float)):
            kind = bool_ if isinstance(x, bool) else int64 if isinstance(x, int) else _default
            scalar = _wider(scalar, kind.numpy)
        elif x.ndim:
            full = _wider(full, x.dtype)
        else:
            zero = _wider(zero, x.dtype)
    chosen = full
    for weaker in (zero, scalar):
        if weaker is not None and (chosen is None or _kind(weaker) > _kind(chosen)):
            chosen = weaker
    assert chosen is not None, "result_type: no operands"
    return chosen


def can_cast(source: Any, target: Any) -> bool:
    """Whether values of ``source`` may be written in place into ``target``: never from a higher kind to a lower."""
    return _kind(as_dtype(source).numpy) <= _kind(as_dtype(target).numpy)
