"""What every family of ops uses: dtype promotion, axes, and broadcasting undone."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..autograd.op import Op
from ..autograd.variable import Variable, namespace, wrap
from ..devices import of_array
from ..errors import DeviceError, DtypeError, ShapeError
from .sums import total


class values_indices(NamedTuple):
    """What ``max(dim)``, ``sort`` and their like return: values, and where along the axis they were found."""

    values: Any
    indices: Any


# For np.errstate: log(0) is −inf and 0/0 is NaN without a warning, as in PyTorch
QUIET: Any = {"all": "ignore"}


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array, () of a number."""
    return getattr(x, "shape", ())


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum ``g`` over the axes along which a tensor of ``shape`` was repeated.

    If y = x broadcast to a larger shape, each element of x was used once per copy, and gradients of uses add up.
    """
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1)
    if not axes:
        return g.reshape(shape)
    summed = total(g, axes)
    return summed if summed.shape == shape else summed.reshape(shape)


BITS: dict[int, Any] = {2: np.dtype(np.int16), 4: np.dtype(np.int32), 8: np.dtype(np.int64)}


def select(mask: Any, g: Any) -> Any:
    """``g`` where the bool ``mask`` holds, else 0.

    What is left out of a gradient is selected away, never multiplied by a mask: 0 · ∞ and 0 · NaN are NaN, and one such
    element would spoil what an input that did not act at all receives. Arrays of NumPy's are multiplied after all, but
    as the integers that their bits are, which know no NaN: np.where takes ten times as long where the mask is random.
    """
    if isinstance(g, (np.ndarray, np.generic)):
        bits = BITS[g.itemsize]
        out = np.empty(g.shape if g.shape == mask.shape else np.broadcast_shapes(g.shape, mask.shape), g.dtype)
        np.multiply(g.view(bits), mask, out=out.view(bits))
        return out
    return namespace(g).where(mask, g, 0.0)


def fill(value: Any, shape: tuple[int, ...]) -> Any:
    """``value`` broadcast to ``shape``, in memory of its own for arrays (what comes next wants it contiguous)."""
    if isinstance(value, Variable):
        return Variable.namespace.broadcast_to(value, shape)
    out = namespace(value).empty(shape, value.dtype)
    out[...] = value
    return out


class Cast(Op):
    """y = x in another floating dtype; the gradient comes back in x's own."""

    @staticmethod
    def forward(ctx: Any, x: Any, to: np.dtype[Any]) -> Any:
        ctx.source = x.dtype
        with np.errstate(all="ignore"):
            return x.astype(to)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return Cast.apply(dy, ctx.source) if isinstance(dy, Variable) else dy.astype(ctx.source)


def cast(x: Any, to: np.dtype[Any]) -> Any:
    """A tensor in the NumPy dtype ``to``: itself if it has it already."""
    if x._array.dtype == to:
        return x
    if to.kind != "f" or not x._requires_grad:
        with np.errstate(all="ignore"):  # what does not fit becomes infinite without a warning, as in PyTorch
            return wrap(x._array.astype(to))
    return Cast.apply(x, to)


HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)


def in_single(function: Any, x: Any, *tensors: Any) -> Any:
    """``function(x, *tensors)`` of float16 numbers, worked out in float32: a sum of squares soon passes 65,504."""
    wide = [t if t is None or t._array.dtype != HALF else cast(t, SINGLE) for t in tensors]
    return cast(function(cast(x, SINGLE), *wide), HALF)


def applied(op: type[Op], x: Any, *options: Any) -> Any:
    """``op`` of x and options. Of float16 numbers in float32, rounded once at the end, as in PyTorch: what an equation
    forms on its way may be too large or too small for float16, or nearly cancel."""
    return in_single(lambda t: op.apply(t, *options), x) if x._array.dtype == HALF else op.apply(x, *options)


def tensor_of(x: Any, name: str, argument: str = "input") -> Any:
    """``x`` if it is a tensor; an error that says what came instead if it is not."""
    if isinstance(x, Variable):
        return x
    raise TypeError(f"{name}: {argument} must be a Tensor, got {type(x).__name__}; make one with minigrad.tensor(...)")


def floating(x: Any, name: str) -> Any:
    """A floating tensor: ``x`` itself, or integers and bools in the default dtype, as PyTorch's functions take them."""
    if not isinstance(x, Variable):
        tensor_of(x, name)
    return x if x._array.dtype.kind == "f" else cast(x, dtypes.get_default_dtype().numpy)


def same_device(name: str, **tensors: Any) -> None:
    """Raise a :class:`DeviceError` that says which tensor is where unless all are on one kind of device."""
    if len({isinstance(t._array, np.ndarray) for t in tensors.values()}) > 1:
        where = ", ".join(f"{argument} on {of_array(t._array)}" for argument, t in tensors.items())
        raise DeviceError(
            f"{name}: its tensors are on different devices ({where}); move them together with .to(device)"
        )


def require_floating(x: Any, name: str, argument: str = "input") -> Any:
    """``x`` if it is a floating tensor; an error otherwise."""
    if not isinstance(x, Variable):
        tensor_of(x, name, argument)
    if x._array.dtype.kind != "f":
        raise DtypeError(
            f"{name}: {argument} has dtype {dtypes.of_array(x._array)}, expected a floating one; "
            "convert it with .float()"
        )
    return x


def promote(x: Any, y: Any) -> tuple[Any, Any]:
    """Two operands in the dtype in which they meet. Tensors stay tensors, Python scalars stay scalars; arrays and
    lists become tensors. Returns ``NotImplemented`` twice for what is no number."""
    x, y = _operand(x), _operand(y)
    if x is NotImplemented or y is NotImplemented:
        return NotImplemented, NotImplemented
    raw_x, raw_y = (a._array if isinstance(a, Variable) else a for a in (x, y))
    common = dtypes.result_type(raw_x, raw_y)
    return tuple(cast(a, common) if isinstance(a, Variable) else _number(a, common) for a in (x, y))


def _number(x: Any, common: np.dtype[Any]) -> Any:
    """A Python number as it is in a dtype: integers that do not fit wrap round, as in C and PyTorch."""
    if common.kind in "iu" and isinstance(x, int):
        return np.asarray(x).astype(common).item()
    return common.type(x).item()


def _operand(x: Any) -> Any:
    if isinstance(x, Variable):
        return x
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, (bool, int, float)):
        return x
    if isinstance(x, np.ndarray) or (hasattr(x, "__cuda_array_interface__") and hasattr(x, "dtype")):
        dtypes.of_array(x)  # an error for strings, objects, complex numbers
        return wrap(x)
    return NotImplemented


DOUBLE = np.dtype(np.float64)


def in_dtype(x: Any, dtype: Any) -> Any:
    """An array or Tensor in a floating dtype; what does not fit becomes infinite."""
    if isinstance(x, Variable):
        return cast(x, dtypes.as_dtype(dtype).numpy)
    with np.errstate(all="ignore"):
        return x.astype(dtype, copy=False)


def axis_of(dim: Any, ndim: int, name: str) -> int:
    """An axis number counted from the front. Raises if there is no such axis (IndexError, as PyTorch)."""
    try:
        axis = operator.index(dim)
    except TypeError:
        raise TypeError(f"{name}: dim must be an integer, got {dim!r}") from None
    bound = max(ndim, 1)
    if not -bound <= axis < bound:
        raise IndexError(f"{name}: dim {axis} is out of range for {ndim} axes; expected {-bound} to {bound - 1}")
    return axis % bound


def axes_of(dim: Any, ndim: int, name: str) -> tuple[int, ...] | None:
    """Axis numbers counted from the front; None for all of them (a tensor without axes has only "all": dim 0 or -1)."""
    if dim is None:
        return None
    dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    axes = tuple(axis_of(d, ndim, name) for d in dims)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: dim {dims} names an axis twice")
    return axes if axes and ndim else None


def kept(shape: tuple[int, ...], axes: tuple[int, ...] | None) -> tuple[int, ...]:
    """``shape`` with the reduced axes kept as 1."""
    return tuple([1 if axes is None or i in axes else n for i, n in enumerate(shape)])


def pick(dim: Any, axis: Any, keepdim: Any, keepdims: Any) -> tuple[Any, Any]:
    """PyTorch's ``dim``/``keepdim`` or NumPy's ``axis``/``keepdims``, whichever was given."""
    return (dim if axis is None else axis), (keepdim if keepdims is None else keepdims)
