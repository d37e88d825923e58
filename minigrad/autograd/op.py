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
from .node import Node, Output, next_order
from .variable import Variable, remember_view, wrap

_off, _watched, _wrap = kernels.switch.off, watch.threads, Variable._wrap


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
        arrays, kernel, guard = ctx.unwrap(args)
        try:
            out = ctx.run(kernel, arrays)
        except Exception as error:
            explain(cls, arrays, error)
            raise
        if _watched and watch.level:
            ctx.noted(arrays, out)
        return ctx.record(args, out, guard)

    def unwrap(self, args: tuple[Any, ...]) -> tuple[list[Any], Any, list[Any] | None]:
        """The arrays and options; the kernel for their device, if there is one; and what ``Node.guard`` says of the
        tensors, None if no graph is recorded. Sets ``edges``."""
        arrays = []
        edges: list[Any] = []
        guard: list[Any] = []
        first = None
        tracked = False
        for a in args:
            if isinstance(a, Variable):
                array = a._array
                if first is None:
                    first = array
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
        if tracked and not (modes.grad and self.differentiable):
            tracked = False
            edges = [None] * len(edges)
        self.edges = edges
        kernel = self.on_cpu if first.__class__ is np.ndarray else self.on_gpu
        if _off and get_ident() in _off:
            kernel = None
        return arrays, kernel, guard if tracked else None

    def run(self, kernel: Any, arrays: list[Any]) -> Any:
        """Compute, by the kernel if it takes these arrays, and keep what the backward rule needs."""
        if kernel is None:
            return self.forward(self, *arrays)
        result = kernel.compute(*arrays)
        if result is NotImplemented:
            result = self.compute(*arrays)
        else:
            self.kernel = kernel
        return self.keep(self, result, *arrays)

    def record(self, args: tuple[Any, ...], out: Any, guard: list[Any] | None) -> Any:
        """The output as a tensor; it stands in the graph as the result of this node if there is a guard."""
        if out.__class__ is not np.ndarray:
            if out.__class__ is tuple:
                return self._record_several(out, guard)
            if isinstance(out, np.generic):  # NumPy makes scalars of 0-d arrays
                scalar, out = out, np.asarray(out)
                if (
                    guard is not None
                ):  # what was saved must be the very array that the tensor holds (see saved_as_tensors)
                    self.saved = tuple([out if s is scalar else s for s in self.saved])
        t = _wrap(out)
        if guard is not None:
            t._node = self
            t._requires_grad = True
            self.order = next_order()
            if self.saved:
                guard.append((id(out), t._version, 0, 0))
                self.guard = guard
        if self.is_view:
            remember_view(args[0], t, type(self), args[1:])
        return t

    def _record_several(self, arrays: tuple[Any, ...], guard: list[Any] | None) -> tuple[Any, ...]:
        """The same for several outputs; those with a floating dtype take part in the graph."""
        tensors = tuple(wrap(a) for a in arrays)
        if guard is not None:
            self.order = next_order()
            self.outputs = [(t._array.shape, t._array.dtype) for t in tensors]
            for i, t in enumerate(tensors):
                if t._array.dtype.kind == "f":
                    t._node = Output(self, i)
                    t._requires_grad = True
            if self.saved:
                self.guard = guard + [(id(t._array), t._version, 0, i) for i, t in enumerate(tensors)]
        return tensors


def keep_input(ctx: Any, result: Any, *args: Any) -> Any:
    """``keep`` of a function of one argument whose derivative is computed from its input."""
    ctx.saved, ctx.options = args[:1], args[1:]
    return result


def keep_output(ctx: Any, result: Any, *args: Any) -> Any:
    """``keep`` of a function of one argument whose derivative is computed from its output."""
    ctx.saved, ctx.options = (result,), args[1:]
    return result
