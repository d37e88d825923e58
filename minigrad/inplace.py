"""Change in place: ``x += y``, ``x.clamp_(0)``, ``x[i] = v``.

The memory changes at once. What the graph makes of it: ``x`` stands from now on for the new value, so its node becomes
that of the op that computed the new value, whose edge leads to what ``x`` stood for before. Two things can go wrong,
and both are refused: changing a leaf that requires a gradient (its ``grad`` would belong to a value that is gone), and
changing an array that a rule still needs (each array's version is checked when its rule runs).

A view shares its base's memory, so changing it changes the base: the base becomes "its old self with the view's part
replaced", and every view of the base is found again from the new base.
"""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np

from . import dtypes, random
from .autograd.function import RETAIN, Op, _next_order, hooks_of
from .autograd.modes import modes
from .autograd.variable import Variable, namespace, wrap
from .devices import of_array
from .errors import DtypeError, GraphError, ShapeError
from .ops import arithmetic, elementwise, indexing
from .ops.common import axis_of, cast, meet, same_device


class ReplacePart(Op):
    """y = x with the part that a chain of views shows replaced by v.   dv = that part of dy; dx = dy without it."""

    steps: Any

    @staticmethod
    def forward(ctx: Any, x: Any, v: Any, steps: Any) -> Any:
        raise AssertionError("ReplacePart is recorded by write(), which has changed the memory already")

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        # Which elements the views lead to is found by leading their numbers there. Zeros written through the views of
        # dy would not do: where dy lies in memory in another order than x did, a reshape among them is a copy.
        xp = namespace(dy._array if isinstance(dy, Variable) else dy)
        numbers = _show(xp.arange(math.prod(dy.shape)).reshape(dy.shape), ctx.steps)
        untouched = xp.ones(dy.shape, dtype=bool)
        untouched.reshape(-1)[numbers.reshape(-1)] = False
        return namespace(dy).where(untouched, dy, 0.0), _show(dy, ctx.steps)


def _show(x: Any, steps: Any) -> Any:
    """The view of ``x`` that a chain of view ops gives."""
    for op, options in steps:
        x = op.apply(x, *options) if isinstance(x, Variable) else op.forward(op(), x, *options)
    return x


def _refuse(x: Any, name: str) -> None:
    """Refuse to change what cannot be changed: see the module's docstring."""
    a = x._array
    if 0 in a.strides and a.size and any(step == 0 and n > 1 for step, n in zip(a.strides, a.shape, strict=True)):
        raise ShapeError(f"{name}: elements of an expanded tensor share their memory; change its clone()")
    if not modes.grad:
        return
    owner = x if x._base is None or (x._requires_grad and x._node is None) else x._base[0]
    if not owner._requires_grad:
        return
    if owner._node is None:
        what = "a leaf that requires a gradient" if owner is x else "a view of a leaf that requires a gradient"
        raise GraphError(
            f"{name}: {what} cannot be changed in place while the graph is recorded; do it under minigrad.no_grad(), "
            "or use the out-of-place form"
        )
    if not x._requires_grad:
        raise GraphError(
            f"{name}: this view was made under no_grad(), so the graph does not know what it shows; make the view "
            "outside, or change it under no_grad() as well"
        )


def _refuse_read_only(x: Any, name: str) -> None:
    if not x._array.flags.writeable:
        raise GraphError(f"{name}: this tensor shows the memory of a read-only array; change its clone()")


def _stand_for(x: Any, result: Any) -> None:
    """Give ``x`` the place of ``result`` in the graph. A ``retain_grad`` goes along, hooks stay with the old value."""
    retained = x._node is not None and hooks_of(x._node).pop(RETAIN, None) is not None
    x._node, x._requires_grad = result._node, result._requires_grad
    if retained and x._requires_grad:
        x.retain_grad()


def adopt(x: Any, result: Any) -> None:
    """Let ``x``, whose memory already holds ``result``'s values, take ``result``'s place in the graph."""
    if not (result._requires_grad or x._requires_grad) or not modes.grad:
        return
    if x._base is None:
        _stand_for(x, result)
        base = x
    else:
        base, steps = x._base
        node = ReplacePart()
        node.edges = [(base._node or base) if base._requires_grad else None, result._node or result, None]
        if not result._requires_grad:
            node.edges[1] = None
        node.steps = steps
        node.order = _next_order()
        whole = wrap(base._array)
        whole._node, whole._requires_grad = node, True
        _stand_for(base, whole)
    # Finding a view again adds to this very list, so the live ones are taken out first.
    views = [view for reference in base._views or () if (view := reference()) is not None]
    base._views = None
    for view in views:
        _stand_for(view, _show(base, view._base[1]))
    base._views = [weakref.ref(view) for view in views]


def replace(x: Any, result: Any, name: str) -> Any:
    """Write ``result`` into ``x``'s memory and let ``x`` stand for it."""
    _refuse(x, name)
    if result._array.shape != x._array.shape:
        raise ShapeError(
            f"{name}: the result has shape {result._array.shape}, which does not fit in place of {x._array.shape}"
        )
    if not dtypes.can_cast(result._array.dtype, x._array.dtype):
        raise DtypeError(
            f"{name}: a result of {dtypes.of_array(result._array)} cannot be written into a tensor of "
            f"{dtypes.of_array(x._array)}"
        )
    result = cast(result, x._array.dtype)
    _keep_old_value(result._node, x._array)
    x._array[...] = result._array
    x._bump(name)
    adopt(x, result)
    return x


def _keep_old_value(node: Any, array: Any) -> None:
    """If the op that computes the new value saved the old one, give it a copy that the change does not reach."""
    if node is None or not any(s is array for s in node.saved):
        return
    old = array.copy()
    node.saved = tuple(old if s is array else s for s in node.saved)
    node.guard = [
        (id(old), [0], 0, place) if key == id(array) else (key, v, n, place) for key, v, n, place in node.guard
    ]


def _recorded(x: Any, other: Any = None) -> bool:
    return modes.grad and (x._requires_grad or (isinstance(other, Variable) and other._requires_grad))


def _arithmetic(x: Any, other: Any, name: str, op: type[Op], ufunc: Any) -> Any:
    """x ← x op other: NumPy's own in-place form where no graph is recorded, else through the op."""
    _refuse(x, name)
    if _recorded(x, other):
        result = arithmetic.binary(op, x, other)
        if result is NotImplemented:
            raise TypeError(f"{name}: expected a tensor or a number, got {type(other).__name__}")
        return replace(x, result, name)
    a = x._array
    if isinstance(other, Variable):
        b = other._array
        if b.dtype is not a.dtype and not dtypes.can_cast(dtypes.result_type(a, b), a.dtype):
            raise DtypeError(f"{name}: a result of {dtypes.of_array(b)} cannot be written into {dtypes.of_array(a)}")
    elif other.__class__ is float and a.dtype.kind == "f":
        b = other
    else:
        _, b = meet(x, other)
        if b is NotImplemented:
            raise TypeError(f"{name}: expected a tensor or a number, got {type(other).__name__}")
        b = b._array if isinstance(b, Variable) else b
        if not dtypes.can_cast(dtypes.result_type(a, b), a.dtype):
            raise DtypeError(f"{name}: a floating number cannot be written into {dtypes.of_array(a)}")
    try:
        ufunc(a, b, out=a, casting="unsafe")  # can_cast() has decided
    except (TypeError, ValueError) as error:
        if isinstance(other, Variable):
            same_device(name, input=x, other=other)
        if isinstance(error, TypeError):
            raise
        _refuse_read_only(x, name)
        raise ShapeError(f"{name}: a tensor of shape {b.shape} does not broadcast into shape {a.shape}") from None
    x._bump(name)
    return x


def write(x: Any, index: Any, value: Any) -> None:
    """x[index] = value."""
    _refuse(x, "setitem")
    indexing.refuse_outside(x, index)
    steps = indexing.integers_first(index)
    if steps is not None:
        write(indexing.GetItem.apply(x, steps[0]), steps[1], value)
        return
    if not isinstance(value, Variable):
        if isinstance(value, (list, tuple)):
            value = np.asarray(value)
        _, value = meet(x, value)
        if value is NotImplemented:
            raise TypeError("setitem: the value must be a tensor, an array or a number")
    if isinstance(value, Variable) and isinstance(value._array, np.ndarray) is not isinstance(x._array, np.ndarray):
        value = value.to(of_array(x._array))  # type: ignore[attr-defined]
    if _recorded(x, value):
        value = cast(value, x._array.dtype) if isinstance(value, Variable) else x._array.dtype.type(value)
        replace(x, indexing.SetItem.apply(x, value, indexing.own_index(index, x, value)), "setitem")
        return
    raw = value._array if isinstance(value, Variable) else value
    try:
        x._array[index] = raw
    except ValueError:
        _refuse_read_only(x, "setitem")
        shape = getattr(raw, "shape", ())
        raise ShapeError(
            f"setitem: a value of shape {shape} cannot be written where the index gives {x._array[index].shape}"
        ) from None
    x._bump("setitem")


def _constant(x: Any, name: str, values: Any) -> Any:
    """x ← values (an array or number) that depend on nothing: no gradient reaches x's past."""
    _refuse(x, name)
    if _recorded(x):
        result = arithmetic.Mul.apply(x, 0.0)
        result._array[...] = values
        return replace(x, result, name)
    x._array[...] = values
    x._bump(name)
    return x


class InPlace:
    """The methods of :class:`minigrad.Tensor` that end in an underscore, and its ``+=``, ``-=``, ``*=``, ``/=``."""

    __slots__ = ()

    def _replace(self, result: Any, name: str) -> Any:
        return replace(self, result, name)

    def add_(self, other: Any, *, alpha: Any = 1) -> Any:
        other = other if alpha == 1 else arithmetic.mul(other, alpha) if isinstance(other, Variable) else other * alpha
        return _arithmetic(self, other, "add_", arithmetic.Add, np.add)

    def sub_(self, other: Any, *, alpha: Any = 1) -> Any:
        other = other if alpha == 1 else arithmetic.mul(other, alpha) if isinstance(other, Variable) else other * alpha
        return _arithmetic(self, other, "sub_", arithmetic.Sub, np.subtract)

    def mul_(self, other: Any) -> Any:
        return _arithmetic(self, other, "mul_", arithmetic.Mul, np.multiply)

    def div_(self, other: Any, *, rounding_mode: str | None = None) -> Any:
        if rounding_mode is not None:
            return replace(self, arithmetic.div(self, other, rounding_mode=rounding_mode), "div_")
        if self._array.dtype.kind != "f":  # type: ignore[attr-defined]
            raise DtypeError(f"div_: the quotient is floating and cannot be written into {self.dtype}")  # type: ignore[attr-defined]
        return _arithmetic(self, other, "div_", arithmetic.Div, np.true_divide)

    def pow_(self, exponent: Any) -> Any:
        return replace(self, arithmetic.pow(self, exponent), "pow_")

    __iadd__ = add_
    __isub__ = sub_
    __imul__ = mul_
    __itruediv__ = div_
    __ipow__ = pow_

    def addcmul_(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
        """self ← self + value · tensor1 · tensor2."""
        return self.add_(arithmetic.mul(tensor1, tensor2), alpha=value)

    def addcdiv_(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
        """self ← self + value · tensor1 / tensor2."""
        return self.add_(arithmetic.div(tensor1, tensor2), alpha=value)

    def lerp_(self, end: Any, weight: Any) -> Any:
        """self ← self + weight · (end − self)."""
        return self.add_(arithmetic.mul(arithmetic.sub(end, self), weight))

    def neg_(self) -> Any:
        return replace(self, arithmetic.neg(self), "neg_")

    def exp_(self) -> Any:
        return replace(self, elementwise.exp(self), "exp_")

    def log_(self) -> Any:
        return replace(self, elementwise.log(self), "log_")

    def sqrt_(self) -> Any:
        return replace(self, elementwise.sqrt(self), "sqrt_")

    def abs_(self) -> Any:
        return replace(self, elementwise.abs_(self), "abs_")

    def tanh_(self) -> Any:
        return replace(self, elementwise.tanh(self), "tanh_")

    def sigmoid_(self) -> Any:
        return replace(self, self.sigmoid(), "sigmoid_")  # type: ignore[attr-defined]

    def relu_(self) -> Any:
        return replace(self, self.relu(), "relu_")  # type: ignore[attr-defined]

    def clamp_(self, min: Any = None, max: Any = None) -> Any:
        return replace(self, elementwise.clamp(self, min, max), "clamp_")

    def round_(self, *, decimals: int = 0) -> Any:
        return replace(self, elementwise.round_(self, decimals=decimals), "round_")

    def floor_(self) -> Any:
        return replace(self, elementwise.floor(self), "floor_")

    def ceil_(self) -> Any:
        return replace(self, elementwise.ceil(self), "ceil_")

    def sign_(self) -> Any:
        return replace(self, elementwise.sign(self), "sign_")

    def square_(self) -> Any:
        return replace(self, arithmetic.square(self), "square_")

    def reciprocal_(self) -> Any:
        return replace(self, arithmetic.reciprocal(self), "reciprocal_")

    def masked_fill_(self, mask: Any, value: Any) -> Any:
        return replace(self, indexing.masked_fill(self, mask, value), "masked_fill_")

    def scatter_(self, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
        return replace(self, indexing.scatter(self, dim, index, src, value=value, reduce=reduce), "scatter_")

    def scatter_add_(self, dim: int, index: Any, src: Any) -> Any:
        return replace(self, indexing.scatter_add(self, dim, index, src), "scatter_add_")

    def index_fill_(self, dim: int, index: Any, value: Any) -> Any:
        """The slices along ``dim`` that ``index`` names ← value."""
        axis = axis_of(dim, self._array.ndim, "index_fill_")  # type: ignore[attr-defined]
        write(self, (slice(None),) * axis + (indexing.as_index(index, ()),), value)
        return self

    def zero_(self) -> Any:
        return _constant(self, "zero_", 0)

    def fill_(self, value: Any) -> Any:
        if isinstance(value, Variable):
            if value._array.ndim:
                raise ShapeError(f"fill_: takes a number or a tensor without axes, got shape {value._array.shape}")
            return self.copy_(value)
        return _constant(self, "fill_", value)

    def copy_(self, src: Any, non_blocking: bool = False) -> Any:
        """self ← src, broadcast, converted to this tensor's dtype and moved to its device."""
        src = src if isinstance(src, Variable) else wrap(np.asarray(src))
        shape = self._array.shape  # type: ignore[attr-defined]
        if src._array.shape != shape:
            try:
                fits = np.broadcast_shapes(src._array.shape, shape) == shape
            except ValueError:
                fits = False
            if not fits:
                raise ShapeError(f"copy_: a tensor of shape {src._array.shape} does not broadcast into shape {shape}")
        if not _recorded(self, src):
            here = of_array(self._array)  # type: ignore[attr-defined]
            moved = src.to(here) if of_array(src._array).type != here.type else src
            return _constant(self, "copy_", moved._array)
        _refuse(self, "copy_")
        moved = src.to(self.device, self.dtype)  # type: ignore[attr-defined]
        result = elementwise.clone(moved.expand(shape))
        if not src._requires_grad:
            return _constant(self, "copy_", result._array)
        return replace(self, result, "copy_")

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
        """Filled with draws from N(mean, std²)."""
        draw = _draws(self, generator).standard_normal(self._array.shape, dtype=_float_kind(self))  # type: ignore[attr-defined]
        return _constant(self, "normal_", draw * std + mean)

    def uniform_(self, a: float = 0.0, b: float = 1.0, *, generator: Any = None, **bounds: float) -> Any:
        """Filled with draws from U[a, b) (PyTorch's names ``from`` and ``to`` work as keywords too)."""
        a, b = bounds.get("from", a), bounds.get("to", b)
        draw = _draws(self, generator).random(self._array.shape, dtype=_float_kind(self))  # type: ignore[attr-defined]
        return _constant(self, "uniform_", draw * (b - a) + a)

    def bernoulli_(self, p: float = 0.5, *, generator: Any = None) -> Any:
        """Filled with 1 with probability ``p``, else 0."""
        return _constant(self, "bernoulli_", _draws(self, generator).random(self._array.shape) < p)  # type: ignore[attr-defined]

    def random_(self, low: int = 0, high: int | None = None, *, generator: Any = None) -> Any:
        """Filled with integers from ``low`` to ``high`` − 1."""
        low, high = (0, low) if high is None and low else (low, high)
        top = 2**24 if high is None else high
        return _constant(self, "random_", _draws(self, generator).integers(low, top, self._array.shape))  # type: ignore[attr-defined]


def _draws(x: Any, generator: Any) -> Any:
    return random.draws(generator, of_array(x._array).type)


def _float_kind(x: Any) -> Any:
    if x._array.dtype.kind != "f":
        raise DtypeError(f"random fill: expected a floating tensor, got {dtypes.of_array(x._array)}")
    return x._array.dtype if x._array.dtype in (np.float32, np.float64) else np.float32
