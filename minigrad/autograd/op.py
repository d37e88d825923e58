"""An op: its equation as a forward and a backward rule, and how applying it makes a node of the graph.

:class:`Op` is the base of the textbook's ops: its rules take arrays, and the backward rule Tensors too, for second
derivatives. Users' ops have PyTorch's signature (:mod:`.function`).
"""

from __future__ import annotations

from threading import get_ident
from typing import Any, ClassVar

import numpy as np

from .. import kernels
from .explain import explain
from .modes import modes, watch
from .node import Node, Output, Seen, next_order
from .variable import Variable, remember_view, wrap

_off, _watched = kernels.switch.off, watch.threads
_new_tuple = tuple.__new__


class Op(Node):
    """The base of minigrad's own ops. An op has a rule for each direction.

    Forward, either in one function::

        forward(ctx, *arrays_and_options)          computes, and keeps in ctx.saved the arrays that backward needs

    or in two, where a kernel may take the place of the first::

        compute(*arrays_and_options)               arithmetic alone: arrays (and what else backward needs) from arrays
        keep(ctx, result, *arrays_and_options)     keeps ctx.saved and ctx.options; returns the output

    Tensors come first among the arguments, and the output is an array or a tuple of them. Backward::

        backward(ctx, dy)                          one gradient per tensor argument, None for those that need none

    is written with operators, methods and ``xp = namespace(dy)`` functions that arrays and Tensors share, so that
    ``create_graph=True``, which hands it Tensors, needs no second rule. A kernel's gradients are computed from ``dy``,
    ``ctx.saved`` and ``ctx.options`` (see :class:`minigrad.kernels.Kernel`).

    ``check(*arrays_and_options)``, where given, explains a failure: it is only called once the forward rule has raised.
    """

    kernel_name: ClassVar[str | None] = None
    on_cpu: ClassVar[Any] = None  # the kernel for NumPy's arrays
    on_gpu: ClassVar[Any] = None  # the one for CuPy's
    is_view: ClassVar[bool] = False  # the result may show the first argument's memory
    differentiable: ClassVar[bool] = True

    def __init_subclass__(cls, kernel: str | None = None) -> None:
        cls.kernel_name = kernel
        cls.on_cpu = kernels.find(kernel, "cpu") if kernel else None
        cls.on_gpu = kernels.find(kernel, "gpu") if kernel else None

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        return ctx.keep(ctx, ctx.compute(*args), *args)

    @staticmethod
    def compute(*args: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def keep(ctx: Any, result: Any, *args: Any) -> Any:
        return result

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
        """The op's result on tensors and options; a node of the graph if any tensor requires a gradient."""
        ctx = cls()
        arrays, first, tracked = ctx.unwrap(args)
        try:
            out = ctx.run(ctx.choose(first), arrays)
        except Exception as error:
            explain(cls, arrays, error)
            raise
        if _watched and watch.level:
            ctx.noted(arrays, out)
        return ctx.record(args, out, tracked)

    def unwrap(self, args: tuple[Any, ...]) -> tuple[list[Any], Any, bool]:
        """The arrays and options, the first array, and whether a graph is recorded. Sets ``edges``."""
        arrays = []
        edges: list[Any] = []
        first = None
        tracked = False
        for a in args:
            if isinstance(a, Variable):
                array = a._array
                arrays.append(array)
                if first is None:
                    first = array
                if a._requires_grad:
                    tracked = True
                    edges.append(a._node or a)
                else:
                    edges.append(None)
            else:
                arrays.append(a)
                edges.append(None)
        if tracked and not (modes.grad and self.differentiable):
            tracked = False
            edges = [None] * len(edges)
        self.edges = edges
        return arrays, first, tracked

    def choose(self, first: Any) -> Any:
        """The kernel for arrays like the first; None where there is none, or where kernels are switched off."""
        kernel = self.on_cpu if first.__class__ is np.ndarray else self.on_gpu
        return None if kernel is None or (_off and get_ident() in _off) else kernel

    def run(self, kernel: Any, arrays: list[Any]) -> Any:
        """Compute, by the kernel if it takes these arrays, and keep what the backward rule needs."""
        if kernel is not None:
            result = kernel.compute(*arrays)
            if result is not NotImplemented:
                self.kernel = kernel
                return self.keep(self, result, *arrays)
        return self.forward(self, *arrays)

    def record(self, args: tuple[Any, ...], out: Any, tracked: bool) -> Any:
        """The output as a tensor that stands in the graph, if it is tracked, as the result of this node."""
        if out.__class__ is not np.ndarray:
            if out.__class__ is tuple:
                return self._record_several(args, out, tracked)
            if isinstance(out, np.generic):  # NumPy makes scalars of 0-d arrays
                scalar, out = out, np.asarray(out)
                if tracked:  # what was saved must be the very array that the tensor holds (see saved_as_tensors)
                    self.saved = tuple([out if s is scalar else s for s in self.saved])
        t = Variable._wrap(out)
        if tracked:
            t._node = self
            t._requires_grad = True
            self.order = next_order()
            if self.saved:
                self.watch_over(args, (t,))
        if self.is_view:
            remember_view(args[0], t, type(self), args[1:])
        return t

    def _record_several(self, args: tuple[Any, ...], arrays: tuple[Any, ...], tracked: bool) -> tuple[Any, ...]:
        """The same for several outputs; those with a floating dtype take part in the graph."""
        tensors = tuple(wrap(a) for a in arrays)
        if tracked:
            self.order = next_order()
            self.outputs = [(t._array.shape, t._array.dtype) for t in tensors]
            for i, t in enumerate(tensors):
                if t._array.dtype.kind == "f":
                    t._node = Output(self, i)
                    t._requires_grad = True
            if self.saved:
                self.watch_over(args, tensors)
        return tensors

    def watch_over(self, args: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """Note which arrays came in and which of those that came out are saved, and their versions (``Node.guard``)."""
        guard = []
        for a, edge in zip(args, self.edges, strict=True):
            if isinstance(a, Variable):
                version = a._version
                guard.append(_new_tuple(Seen, (id(a._array), version, version[0], edge)))
        for i, t in enumerate(outputs):
            array = t._array
            for s in self.saved:
                if s is array:
                    version = t._version
                    guard.append(_new_tuple(Seen, (id(array), version, version[0], i)))
                    break
        self.guard = guard


def keep_input(ctx: Any, result: Any, *args: Any) -> Any:
    """``keep`` of a function of one argument whose derivative is computed from its input."""
    ctx.saved, ctx.options = args[:1], args[1:]
    return result


def keep_output(ctx: Any, result: Any, *args: Any) -> Any:
    """``keep`` of a function of one argument whose derivative is computed from its output."""
    ctx.saved, ctx.options = (result,), args[1:]
    return result
