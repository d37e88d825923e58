"""An op is a node of the graph: how one is applied, what it remembers, and how users write their own.

:class:`Op` is the base of the textbook's ops: its ``forward`` takes arrays, its ``backward`` arrays or, for second
derivatives, Tensors. :class:`Function` is the same thing with PyTorch's signature for ops made by users.
"""

from __future__ import annotations

import functools
import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from threading import get_ident
from typing import Any, ClassVar

import numpy as np

from .. import kernels
from ..errors import AnomalyError, DeviceError, DtypeError, GraphError, RuleError, ShapeError
from .modes import NUMBERS, modes, no_grad, watch
from .variable import Variable, line_text, user_line, wrap

_off, _watched = kernels.switch.off, watch.threads
_new = object.__new__

# Nodes are numbered downwards, so that a heap of these numbers gives the newest node first (see engine.py).
_next_order = itertools.count(-1, -1).__next__


class Node:
    """One applied op. It doubles as the ``ctx`` that its ``forward`` and ``backward`` share.

    Attributes:
        edges: for each argument of ``forward``, where its gradient goes: the node that made it, the leaf itself, or
            None for what needs no gradient.
        saved: the arrays that ``backward`` needs; None once the graph was freed.
        guard: (id of the array, its version list, the version seen, its edge) of each tensor argument, and the same of
            each output with the output's number in place of the edge.
    """

    order: int
    edges: Any = ()
    saved: Any = ()
    guard: Any = ()
    kernel: Any = None  # the kernel pair whose forward ran, if one did
    scratch: Any = None  # what that pair's backward needs beyond ``saved``
    outputs: Any = None  # for ops with several outputs: (shape, dtype) of each, else None
    hooks: Any = None  # {output number: [functions]} called with the gradient before this node's backward
    takes_tensors: ClassVar[bool] = False  # whether ``backward`` wants Tensors (user-made ops) instead of arrays
    called_at: str | None = None  # the user's line, under anomaly detection
    shapes: Any = None  # of the arguments of ``forward``, where rules are watched and in a user's op

    def needs(self, i: int) -> bool:
        """Whether argument ``i`` of ``forward`` needs a gradient."""
        return self.edges[i] is not None

    def name(self) -> str:
        return f"{type(self).__name__}Backward"

    def __repr__(self) -> str:
        return f"<{self.name()}>"

    def noted(self, arrays: list[Any], out: Any) -> None:
        """Where the thread is watched: remember what errors will have to say, and look at the result."""
        self.shapes = [getattr(a, "shape", None) for a in arrays]
        if watch.level == NUMBERS:
            self.called_at = user_line()
            look_for_anomaly(self, arrays, out)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """PyTorch's view of the graph: (node, output number) per argument; a leaf appears as an ``AccumulateGrad``."""
        found: list[tuple[Any, int]] = []
        for edge in self.edges:
            if isinstance(edge, Variable):
                found.append((AccumulateGrad(edge), 0))
            elif isinstance(edge, Output):
                found.append((edge.node, edge.index))
            elif edge is not None or not found:
                found.append((edge, 0))
        return tuple(found)

    def saved_as_tensors(self) -> tuple[Any, ...]:
        """The saved arrays as Tensors that stand where they stood in the graph, for rules of rules.

        An array that was an argument is tied to that argument's edge, one that was the output to this node. Other
        floating arrays become constant Tensors, so that a rule never meets a mixture; masks and indices stay arrays.
        """
        if self.saved is None:
            raise GraphError(freed_message(self))
        known: dict[int, Any] = {}
        for key, version, _, place in self.guard:
            if isinstance(place, int):
                place = self if self.outputs is None else Output(self, place)
            known[key] = place, version
        tensors = []
        for array in self.saved:
            place, version = known.get(id(array), (None, None))
            if isinstance(place, Variable) and place._array is array:
                tensors.append(place)
            elif getattr(getattr(array, "dtype", None), "kind", "") == "f" or (
                self.takes_tensors and array is not None
            ):
                t = wrap(array)
                t._node, t._requires_grad = place, place is not None
                if version is not None:
                    t._version = version  # a rule that changes it in place is seen by whoever else needs it
                tensors.append(t)
            else:
                tensors.append(array)
        return tuple(tensors)

    def check_versions(self) -> None:
        """Refuse if an array that ``backward`` needs was changed in place since ``forward`` saved it."""
        needed = {id(array) for array in self.saved}
        for key, box, seen, _ in self.guard:
            if box[0] != seen and key in needed:
                where = f", called at {self.called_at}" if self.called_at else ""
                change = f" by {box[1]} ({line_text(*box[2:])})" if len(box) > 1 else ""
                raise GraphError(
                    f"{type(self).__name__}{where}: an array that its backward rule needs was changed in place{change} "
                    f"after the op saved it (version {box[0]}, expected {seen}). Use the out-of-place form, or change "
                    "a clone()."
                    + ("" if where else " minigrad.autograd.detect_anomaly() shows where the op was called.")
                )


class Output:
    """Where gradients of one output of a many-output node arrive."""

    __slots__ = ("index", "node")

    def __init__(self, node: Node, index: int) -> None:
        self.node = node
        self.index = index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Output) and self.node is other.node and self.index == other.index

    def __hash__(self) -> int:
        return hash((id(self.node), self.index))

    def __repr__(self) -> str:
        return repr(self.node)


RETAIN = "retain_grad"  # the place of that one hook among those of its tensor: it runs last


def hooks_of(edge: Any, make: bool = False) -> dict[Any, Any]:
    """The hooks of the tensor that stands at an edge: what a node, or one output of it, calls before its rule runs."""
    node, index = (edge.node, edge.index) if isinstance(edge, Output) else (edge, 0)
    if not make:
        return (node.hooks or {}).get(index) or {}
    if node.hooks is None:
        node.hooks = {}
    return node.hooks.setdefault(index, OrderedDict())


class AccumulateGrad:
    """The end of a path through the graph, as ``next_functions`` shows it: a leaf that collects its gradient."""

    def __init__(self, variable: Any) -> None:
        self.variable = variable
        self.next_functions: tuple[Any, ...] = ()

    def name(self) -> str:
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return "<AccumulateGrad>"


class Op(Node):
    """The base of minigrad's own ops.

    A subclass has ``forward(ctx, *arrays_and_options)``, tensors first, which returns an array (or a tuple of them)
    and keeps in ``ctx.saved`` the arrays its rule needs; and ``backward(ctx, dy)``, which returns one gradient per
    tensor argument (or a tuple of them, None for those that need none). ``backward`` is written with operators,
    methods and ``xp = namespace(dy)`` functions that arrays and Tensors share. So ``create_graph=True``, which hands
    it Tensors, needs no second rule.

    ``check(*arrays_and_options)``, where given, explains a failure: it is only called once ``forward`` has raised.
    """

    kernel_name: ClassVar[str | None] = None
    fast: ClassVar[Any] = None  # the kernel pair for NumPy's arrays
    gpu: ClassVar[Any] = None  # the one for CuPy's
    is_view: ClassVar[bool] = False  # the result may show the first argument's memory
    differentiable: ClassVar[bool] = True

    def __init_subclass__(cls, kernel: str | None = None) -> None:
        cls.kernel_name = kernel
        cls.fast = kernels.lazy(kernel, cls) if kernel else None
        cls.gpu = kernels.lazy_on_gpu(kernel, cls) if kernel else None

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        raise NotImplementedError(f"{type(ctx).__name__} has no backward rule")

    @staticmethod
    def check(*args: Any) -> None:
        """Raise the error that explains why these arguments do not fit; return if they do."""

    @staticmethod
    def locked(*options: Any) -> str:
        """For a view op: why what it shows cannot be changed in place now; empty if it can."""
        return ""

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run ``forward`` on the arrays of ``args`` and record a node if any of them requires a gradient."""
        ctx = cls()
        arrays = []
        edges: list[Any] = []
        guard = []
        tracked = False
        for a in args:
            if isinstance(a, Variable):
                array = a._array
                edge = None
                if a._requires_grad:
                    tracked = True
                    edge = a._node or a
                arrays.append(array)
                edges.append(edge)
                version = a._version
                guard.append((id(array), version, version[0], edge))
            else:
                arrays.append(a)
                edges.append(None)
        if tracked and not (modes.grad and cls.differentiable):
            tracked = False
            edges = [None] * len(edges)
        ctx.edges = edges
        out: Any = NotImplemented
        try:
            fast = cls.fast
            if fast is not None and not (_off and get_ident() in _off):
                out = fast.forward(ctx, *arrays)
                if out is not NotImplemented:
                    ctx.kernel = cls.fast  # the lazy stand-in has put the real pair in its own place
                elif cls.gpu is not None and arrays[0].__class__ is not np.ndarray:
                    out = cls.gpu.forward(ctx, *arrays)
                    if out is not NotImplemented:
                        ctx.kernel = cls.gpu
            if out is NotImplemented:
                out = cls.forward(ctx, *arrays)
        except Exception as error:
            explain(cls, arrays, error)
            raise
        if _watched and watch.level:
            ctx.noted(arrays, out)
        if out.__class__ is not np.ndarray:
            if out.__class__ is tuple:
                return ctx._many(args, out, tracked)
            if isinstance(out, np.generic):  # NumPy makes scalars of 0-d arrays
                scalar, out = out, np.asarray(out)
                if tracked:  # what was saved must be the very array that the tensor holds (see saved_as_tensors)
                    ctx.saved = tuple([out if s is scalar else s for s in ctx.saved])
        t = _new(Variable.face)  # Variable._wrap, written out: this runs once per op
        t._array = out
        t._grad = t._base = t._views = t._hooks = None
        t._version = version = [0]
        if not tracked:
            t._node = None
            t._requires_grad = False
        else:
            t._node = ctx
            t._requires_grad = True
            ctx.order = _next_order()
            if ctx.saved:
                guard.append((id(out), version, 0, 0))
                ctx.guard = guard
        if cls.is_view:
            remember_view(args[0], t, cls, args[1:])
        return t

    def _watch(self, args: Any, outputs: Any) -> None:
        """Note which arrays came in and went out, and their versions (see ``Node.guard``)."""
        guard = []
        for a, edge in zip(args, self.edges, strict=True):
            if isinstance(a, Variable):
                version = a._version
                guard.append((id(a._array), version, version[0], edge))
        for i, t in enumerate(outputs):
            version = t._version
            guard.append((id(t._array), version, version[0], i))
        self.guard = guard

    def _many(self, args: Any, arrays: tuple[Any, ...], tracked: bool) -> tuple[Any, ...]:
        """Wrap several outputs; those with a floating dtype take part in the graph."""
        tensors = tuple(wrap(a) for a in arrays)
        if tracked:
            self.order = _next_order()
            self.outputs = [(t._array.shape, t._array.dtype) for t in tensors]
            for i, t in enumerate(tensors):
                if t._array.dtype.kind == "f":
                    t._node = Output(self, i)
                    t._requires_grad = True
            if self.saved:
                self._watch(args, tensors)
        return tensors


def remember_view(source: Any, view: Any, cls: Any, options: tuple[Any, ...]) -> None:
    """If ``view`` shows ``source``'s memory: share the version, and note how to make the view again."""
    if not isinstance(source, Variable):
        return
    a, b = source._array, view._array
    if b.base is None or (b.base is not a and b.base is not a.base):
        return  # NumPy had to copy
    view._version = source._version
    base, steps = source._base if source._base is not None else (source, ())
    view._base = (base, (*steps, (cls, options)))
    if base._node is None and base._requires_grad:
        return  # a leaf that requires a gradient refuses in-place changes, so its views never have to be found again
    if base._views is None:
        base._views = []
    elif len(base._views) >= 32 and len(base._views) & (len(base._views) - 1) == 0:
        base._views = [r for r in base._views if r() is not None]
    base._views.append(weakref.ref(view))


class Function(Op):
    """The base of ops made by users, with PyTorch's signature.

    ``forward(ctx, *args)`` gets and returns Tensors and runs without recording; ``backward(ctx, *grads)`` gets a
    Tensor per output and returns one gradient (or None) per argument of ``forward``. Call the op by ``.apply(...)``.
    ``setup_context(ctx, inputs, output)`` beside a ``forward`` without ctx works as well.

        class Double(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2
            @staticmethod
            def backward(ctx, dy):
                return dy * 2

    ctx has ``save_for_backward``, ``saved_tensors``, ``needs_input_grad``, ``mark_non_differentiable``,
    ``mark_dirty``, ``set_materialize_grads``. Source: torch.autograd.Function.
    """

    takes_tensors: ClassVar[bool] = True
    materialize = True
    _to_save: tuple[Any, ...] = ()
    _constant: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        raise NotImplementedError

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for ``backward``; it finds them, in this order, in ``ctx.saved_tensors``."""
        for t in tensors:
            if t is not None and not isinstance(t, Variable):
                raise TypeError(
                    f"{type(self).__name__}.save_for_backward: takes tensors or None, got {type(t).__name__}; "
                    "keep other things as attributes of ctx"
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        if self._to_save:  # still inside forward
            return self._to_save
        if self.saved is None:
            raise GraphError(freed_message(self))
        return self.saved_as_tensors()

    @property
    def needs_input_grad(self) -> tuple[bool, ...]:
        """For each argument of ``forward``: does it need a gradient?"""
        return tuple(edge is not None for edge in self.edges)

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """Say that these outputs (indices, masks) carry no gradient."""
        self._constant = outputs

    def mark_dirty(self, *inputs: Any) -> None:
        """Say that ``forward`` changed these inputs in place."""
        self._dirty = inputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` gets zeros (True, the default) or None for outputs that nothing depended on."""
        self.materialize = value

    @classmethod
    def apply(cls, *args: Any) -> Any:
        if isinstance(cls.__dict__.get("forward"), type(lambda: 0)):
            raise TypeError(f"{cls.__name__}: forward and backward must be static methods (add @staticmethod)")
        ctx = cls()
        tensors = [a for a in args if isinstance(a, Variable)]
        tracked = modes.grad and any(t._requires_grad for t in tensors)
        ctx.edges = [(a._node or a) if isinstance(a, Variable) and a._requires_grad and tracked else None for a in args]
        with no_grad():
            if cls.setup_context is Function.setup_context:
                result = cls.forward(ctx, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
        outputs = result if isinstance(result, tuple) else (result,)
        for i, y in enumerate(outputs):
            if not isinstance(y, Variable):
                raise TypeError(f"{cls.__name__}.forward: output {i} is a {type(y).__name__}, expected a Tensor")
        if _watched and watch.level:
            arrays = [a._array if isinstance(a, Variable) else a for a in args]
            ctx.noted(arrays, tuple(y._array for y in outputs))
        for x in ctx._dirty:
            x._bump(cls.__name__)
            if tracked:
                _refuse_dirty(x, cls.__name__)
        # An output that is an argument or shows its memory becomes a tensor of its own, unless it was changed in place:
        # a later change of it would otherwise reach the argument past this op's rule.
        fresh = tuple(
            y
            if any(y is d for d in ctx._dirty) or (y._base is None and not any(y is t for t in tensors))
            else wrap(y._array.copy())
            for y in outputs
        )
        if tracked:
            ctx.order = _next_order()
            if len(fresh) > 1:
                ctx.outputs = [(y._array.shape, y._array.dtype) for y in fresh]
            ctx.saved = tuple(None if t is None else t._array for t in ctx._to_save)
            ctx._watch(args, fresh)
            known = {entry[0] for entry in ctx.guard}
            for t in ctx._to_save:  # what was made in between may not change either
                if t is not None and id(t._array) not in known:
                    ctx.guard.append((id(t._array), t._version, t._version[0], None))
            for i, (y, original) in enumerate(zip(fresh, outputs, strict=True)):
                if y._array.dtype.kind == "f" and not any(original is c for c in ctx._constant):
                    y._node = ctx if ctx.outputs is None else Output(ctx, i)
                    y._requires_grad = True
            ctx.shapes = [a._array.shape if isinstance(a, Variable) else None for a in args]
        ctx._to_save = ctx._constant = ctx._dirty = ()  # these would tie the node to its own outputs
        return fresh if isinstance(result, tuple) else fresh[0]

    def checked(self, grads: Any) -> tuple[Any, ...]:
        """What a user's ``backward`` returned, as one entry per argument. Raises if count or shapes are wrong."""
        name = type(self).__name__
        grads = grads if isinstance(grads, tuple) else (grads,)
        if len(grads) > len(self.edges) and all(g is None for g in grads[len(self.edges) :]):
            grads = grads[: len(self.edges)]
        if len(grads) != len(self.edges):
            raise RuleError(
                f"{name}.backward: returned {len(grads)} gradient(s), expected {len(self.edges)}: one per argument of "
                "forward, None for those that are not tensors"
            )
        for i, (g, edge, shape) in enumerate(zip(grads, self.edges, self.shapes, strict=True)):
            if edge is None or g is None:
                continue
            if not isinstance(g, Variable):
                raise TypeError(f"{name}.backward: gradient {i} is a {type(g).__name__}, expected a Tensor or None")
            if g._array.shape != shape:
                raise RuleError(
                    f"{name}.backward: gradient {i} has shape {g._array.shape}, but argument {i} of forward has "
                    f"shape {shape}; a gradient always has the shape of what it belongs to"
                )
        return grads


def _refuse_dirty(x: Any, name: str) -> None:
    """Whether a tensor that a user's op changed in place may stand for the op's result."""
    what = ""
    if x._node is None and x._requires_grad:
        what = "a leaf that requires a gradient"
    elif x._base is not None or any(view() is not None for view in x._views or ()):
        what = "a view, or a tensor of which views are in use"
    if what:
        raise GraphError(f"{name}: it changed {what} in place (mark_dirty); give it a clone() instead")


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a ``Function``'s ``backward`` as not to be differentiated again: asking for it is an error that says so."""

    @functools.wraps(backward)
    def wrapped(ctx: Any, *grads: Any) -> Any:
        if modes.grad and any(isinstance(g, Variable) and g._requires_grad for g in grads):
            raise GraphError(
                f"{type(ctx).__name__}: its backward is marked once_differentiable, so create_graph=True and second "
                "derivatives cannot go through it"
            )
        with no_grad():
            return backward(ctx, *grads)

    return wrapped


def freed_message(node: Node) -> str:
    return (
        f"backward: the graph through {type(node).__name__} was already walked and its saved arrays freed. "
        "Call the first backward with retain_graph=True to walk it a second time."
    )


def look_for_anomaly(ctx: Node, arrays: list[Any], out: Any) -> None:
    """Raise if finite inputs gave a NaN or an infinity, or if a NaN that came in with the data is passed on.

    An infinity among the inputs is no fault: masks put −∞ before a softmax.
    """
    name = type(ctx).__name__
    for y in out if isinstance(out, tuple) else (out,):
        if _all_finite(y):
            continue
        if all(_all_finite(a) for a in arrays):
            raise AnomalyError(f"{name}: forward made a {_kind_of(y)} out of finite numbers, called at {ctx.called_at}")
        for i, a in enumerate(arrays):
            if _kind_of(y) == "NaN" and not _all_finite(a) and _kind_of(a) == "NaN":
                raise AnomalyError(
                    f"{name}: argument {i} (shape {np.shape(a)}) holds a NaN already, at index {_first_nan(a)}: it "
                    f"came in with the data, or from before anomaly detection began; called at {ctx.called_at}"
                )


def _first_nan(x: Any) -> tuple[int, ...]:
    return tuple(int(i[0]) for i in np.isnan(x).nonzero()) if np.ndim(x) else ()


def _all_finite(x: Any) -> bool:
    if isinstance(x, float):
        return bool(np.isfinite(x))
    return getattr(getattr(x, "dtype", None), "kind", "") != "f" or bool(np.isfinite(x).all())


def _kind_of(x: Any) -> str:
    return "NaN" if bool(np.isnan(x).any()) else "infinity"


def explain(cls: type[Op], arrays: list[Any], error: Exception) -> None:
    """Turn NumPy's or CuPy's error into one that names the op, what came and what was expected."""
    if isinstance(error, (ShapeError, DtypeError, DeviceError, GraphError)):
        return
    held = [a for a in arrays if hasattr(a, "dtype") and not isinstance(a, np.generic)]  # a NumPy scalar goes anywhere
    held += [i for a in arrays if isinstance(a, tuple) for i in a if hasattr(i, "__cuda_array_interface__")]
    places = ["cpu" if isinstance(a, np.ndarray) else "cuda" for a in held]
    op = next((a.__name__ for a in arrays if isinstance(a, np.ufunc)), cls.__name__)  # Compare by "greater"
    if len(set(places)) > 1:
        raise DeviceError(
            f"{op}: its tensors are on different devices ({', '.join(places)}); move them together with .to(device)"
        ) from None
    if not isinstance(error, (ValueError, TypeError, IndexError)):
        return  # a kernel that fails to import or to compile, or memory that ran out, says best itself what is wrong
    cls.check(*arrays)
    shapes = [a.shape for a in arrays if hasattr(a, "shape")]
    if isinstance(error, ValueError) and len(shapes) > 1:
        raise ShapeError(broadcast_message(op, shapes) or f"{op}: {error} (shapes {shapes})") from None
    if isinstance(error, ValueError) and not isinstance(error, RuntimeError):
        raise ShapeError(f"{op}: {error} (shapes {shapes})") from None


def broadcast_message(op: str, shapes: list[tuple[int, ...]]) -> str | None:
    """Why shapes do not broadcast, or None if they do."""
    try:
        np.broadcast_shapes(*shapes)
        return None
    except ValueError:
        pass
    for axis in range(-1, -1 - max(len(s) for s in shapes), -1):
        sizes = {s[axis] for s in shapes if len(s) >= -axis} - {1}
        if len(sizes) > 1:
            listed = " and ".join(str(s) for s in shapes)
            return (
                f"{op}: shapes {listed} do not broadcast: aligned from the right, axis {axis} has sizes "
                f"{' and '.join(map(str, sorted(sizes)))}, which must be equal or 1"
            )
    return None
