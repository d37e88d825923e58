"""Change in place: ``x += y``, ``x.clamp_(0)``, ``x[i] = v``.

The memory changes at once. What the graph makes of it: ``x`` stands from now on for the new value, so its node becomes
that of the op that computed the new value, whose edge leads to what ``x`` stood for before. Two things can go wrong,
and both are refused: changing a leaf that requires a gradient (its ``grad`` would belong to a value that is gone), and
changing an array that a rule still needs (each array's version is checked when its rule runs).

A view shares its base's memory, so changing it changes the base: the base becomes "its old self with the view's part
replaced", and every view of the base is found again from the new base. Arrows lead from an op to what it was computed
from, and a name in front of an op is the tensor that stands for its result:

    x = a + 1, v = x[0]        x.mul_(2)                      then v.exp_()

    x: Add ──▶ a               x: Mul ──▶ Add ──▶ a           x: ReplacePart ──▶ Mul ──▶ Add ──▶ a
       ▲                          ▲                                 ▲      └───▶ Exp ──▶ GetItem ──▶ Mul
    v: GetItem                 v: GetItem (a new one)         v: GetItem (a new one)

Tensors computed from x before the change keep their edges to the old nodes: their gradients do not pass through it.
"""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np

from . import drawing, dtypes, random
from .autograd.hooks import RETAIN, hooks_of
from .autograd.modes import modes
from .autograd.node import Output, next_order
from .autograd.op import Op
from .autograd.variable import Variable, namespace, overlapping, wrap
from .devices import of_array
from .errors import DtypeError, GraphError, ShapeError
from .ops import arithmetic, elementwise, indexing
from .ops.common import axis_of, cast, promote, same_device


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


_VIEW_OF_A_LEAF = "a view of a leaf that requires a gradient"


def _refuse(x: Any, name: str, filled: bool = False) -> None:
    """Refuse to change what cannot be changed: see the module's docstring. What is expanded can only be ``filled``."""
    if not filled and overlapping(x._array):
        raise ShapeError(f"{name}: elements of an expanded tensor share their memory; change its clone()")
    if not modes.grad:
        return
    base, steps = x._base or (x, ())
    for op, options in steps:
        if reason := op.locked(*options):
            raise GraphError(f"{name}: {reason}")
    if (x._requires_grad and x._node is None) or (base._requires_grad and base._node is None):
        what = "a leaf that requires a gradient" if x._node is None and x._requires_grad else _VIEW_OF_A_LEAF
    elif steps and _origin(x, len(steps)) is not _edge_of(base):
        if not x._requires_grad:
            raise GraphError(
                f"{name}: this view was made under no_grad(), so the graph does not know what it shows; make the view "
                "outside, or change it under no_grad() as well"
            )
        what = _VIEW_OF_A_LEAF
    else:
        return
    raise GraphError(
        f"{name}: {what} cannot be changed in place while the graph is recorded; do it under minigrad.no_grad(), "
        "or use the out-of-place form"
    )


def _edge_of(x: Any) -> Any:
    """Where a tensor stands in the graph: what edges to it hold."""
    return (x._node or x) if x._requires_grad else None


def _origin(view: Any, steps: int) -> Any:
    """Where the graph says that a view of so many steps comes from. It need not be where its memory does: views are
    made under no_grad(), and of views that became leaves."""
    edge = _edge_of(view)
    while steps and edge is not None and not isinstance(edge, Variable):
        edge = edge.node.edges[edge.index] if isinstance(edge, Output) else edge.edges[0]
        steps -= 1
    return edge


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
        node.edges = [_edge_of(base), _edge_of(result), None]
        node.steps = steps
        node.order = next_order()
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
        seen._replace(key=id(old), version=[0], changes=0) if seen.key == id(array) else seen for seen in node.seen
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
        _, b = promote(x, other)
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
        _, value = promote(x, value)
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
    _refuse(x, name, filled=isinstance(values, (bool, int, float)))
    if _recorded(x):
        return replace(x, indexing.SetItem.apply(x, values, ...), name)
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
        if not src._requires_grad:
            return _constant(self, "copy_", moved._array)
        result = indexing.SetItem.apply(self, moved, ...)  # which sends zeros to the old value, as PyTorch does
        return replace(self, result, "copy_")

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
        """Filled with draws from N(mean, std²)."""
        return _drawn(self, "normal_", drawing.normal, generator, mean, std)

    def uniform_(self, a: float = 0.0, b: float = 1.0, *, generator: Any = None, **bounds: float) -> Any:
        """Filled with draws from U[a, b) (PyTorch's names ``from`` and ``to`` work as keywords too)."""
        return _drawn(self, "uniform_", drawing.uniform, generator, *_from_to("uniform_", a, b, bounds))

    def log_normal_(self, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Any:
        """Filled with eᶻ for draws z from N(mean, std²)."""
        return _drawn(self, "log_normal_", drawing.log_normal, generator, mean, std)

    def exponential_(self, lambd: float = 1.0, *, generator: Any = None) -> Any:
        """Filled with draws of density λ e^(−λx) over x > 0."""
        return _drawn(self, "exponential_", drawing.exponential, generator, lambd)

    def cauchy_(self, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Any:
        """Filled with draws of density σ / (π (σ² + (x − median)²))."""
        return _drawn(self, "cauchy_", drawing.cauchy, generator, median, sigma)

    def geometric_(self, p: float, *, generator: Any = None) -> Any:
        """Filled with the number of trials until the first success, each of probability ``p``."""
        return _drawn(self, "geometric_", drawing.geometric, generator, p)

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Any:
        """Filled with 1 with probability ``p`` (a number, or a tensor that broadcasts to this one), else 0."""
        p = p._array if isinstance(p, Variable) else p
        drawing.probability("bernoulli_", p)
        return _constant(self, "bernoulli_", _draws(self, generator).random(self._array.shape) < p)  # type: ignore[attr-defined]

    def random_(self, low: Any = None, high: Any = None, *, generator: Any = None, **bounds: Any) -> Any:
        """Filled with whole numbers.

        ``random_(to)`` draws from 0 … to − 1, ``random_(from, to)`` from from … to − 1. Without an end: up to the
        dtype's largest number, for a floating dtype below 2^digits (float16: 2¹¹, float32: 2²⁴, float64: 2⁵³).
        """
        low, high = _from_to("random_", low, high, bounds)
        if high is None and "from" not in bounds:
            low, high = 0, low
        if high is None:
            return _drawn(self, "random_", drawing.any_integers, generator, low)
        return _drawn(self, "random_", drawing.integers, generator, 0 if low is None else low, high)


def _from_to(name: str, low: Any, high: Any, bounds: dict[str, Any]) -> tuple[Any, Any]:
    """Bounds under PyTorch's names, the first of which is a word of Python's own."""
    if unknown := set(bounds) - {"from", "to"}:
        raise TypeError(f"{name}: there is no argument {', '.join(sorted(unknown))}")
    return bounds.get("from", low), bounds.get("to", high)


def _drawn(x: Any, name: str, distribution: Any, generator: Any, *parameters: Any) -> Any:
    """``x`` filled with draws from one of :mod:`minigrad.drawing`."""
    array = x._array
    return _constant(x, name, distribution(name, _draws(x, generator), array.shape, array.dtype, *parameters))


def _draws(x: Any, generator: Any) -> Any:
    return random.draws(generator, of_array(x._array).type)
