"""Ops made by users: :class:`Function`, with PyTorch's signature."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from ..errors import GraphError, RuleError
from .modes import modes, no_grad, watch
from .node import Output, Seen, freed_message, next_order
from .op import Op
from .variable import Variable, wrap

_watched = watch.threads


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
            ctx.order = next_order()
            if len(fresh) > 1:
                ctx.outputs = [(y._array.shape, y._array.dtype) for y in fresh]
            ctx.saved = tuple(None if t is None else t._array for t in ctx._to_save)
            places = [*zip(args, ctx.edges, strict=True), *((t, i) for i, t in enumerate(fresh))]
            ctx.guard = [
                Seen(id(t._array), t._version, t._version[0], place) for t, place in places if isinstance(t, Variable)
            ]
            known = {seen.key for seen in ctx.guard}
            for t in ctx._to_save:  # what was made in between may not change either
                if t is not None and id(t._array) not in known:
                    ctx.guard.append(Seen(id(t._array), t._version, t._version[0], None))
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
