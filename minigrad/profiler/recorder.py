"""Recording: what takes the place of the engine's entrances while a profiler watches.

Nothing in the engine knows of a profiler, so a program that is not watched pays nothing. While one is, these entrances
are replaced from outside, and put back at the end:

- ``Op.apply`` and ``Function.apply``, through which every op's forward pass goes;
- ``Walk.run``, the walk back. Before it starts, each node that it may come to gets a stand-in for its kernel and for
  its rule, which runs the real one and looks at the clock;
- ``Walk.deliver``, which hands the gradients to their leaves;
- ``step`` and ``zero_grad`` of every optimizer.

What happens is noted when it ends; who was called by whom is found afterwards, from the times
(:mod:`minigrad.profiler.events`). No array is kept, only shapes and sizes. All this happens twice per op, so it is
written flat, for speed, and leaves no new tuple behind: the notes are one long list, and equal shapes are one object.
Thousands of tuples a second would set off the garbage collector, which costs more than taking them.

A GPU is given work and returns before it is done. Where the GPU is watched, the clock is read only after it has come to
rest, before and after each op that works on its arrays: the time is then that of the work, at the price that ops no
longer overlap with the Python between them.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import cuda
from ..autograd.engine import Walk
from ..autograd.function import Function
from ..autograd.node import Node, Output
from ..autograd.op import Op
from ..autograd.variable import Variable
from ..optim import Optimizer
from .records import BACKWARD, DELIVER, ENGINE, FORWARD, KERNEL, OPTIMIZER, TEXTBOOK, USER, WALK, Record, Recording

_ABSENT = object()


class _Here(threading.local):
    """What a recorder knows of each thread."""

    def __init__(self, recorder: Recorder) -> None:
        self.made: Any = None  # the node made last
        self.inside: Any = None  # the optimizer's method that is running
        self.thread = next(recorder.numbers)
        recorder.threads[self.thread] = (threading.get_native_id(), threading.current_thread().name)


class Recorder:
    """Records from :meth:`start` to :meth:`stop`, once. At most one may be running in a process.

    Args:
        shapes: note the shapes of inputs.
        memory: note the bytes of what ops make.
        flops: note what the count of operations needs beside the shapes of inputs.
        gpu: let the GPU come to rest around each op on its arrays.
    """

    running: ClassVar[Recorder | None] = None

    def __init__(self, shapes: bool, memory: bool, flops: bool, gpu: bool) -> None:
        self.shapes, self.memory, self.flops, self.gpu = shapes, memory, flops, gpu
        self.gpu_seen = False
        self.noted: list[Any] = []  # the fields of Records, one record after the other
        self.known: dict[Any, Any] = {}  # shapes → the same
        self.numbers = itertools.count()
        self.threads: dict[int, tuple[int, str]] = {}
        self.here = _Here(self)
        self._replaced: list[tuple[Any, str, Any]] = []

    def start(self) -> None:
        try:
            self._replace(Op, "__init__", self._note_node())
            for kind in (Op, Function):
                self._replace(kind, "apply", classmethod(self._forward(vars(kind)["apply"].__func__)))
            self._replace(Walk, "run", self._walk(Walk.run))
            self._replace(Walk, "deliver", self._deliver(Walk.deliver))
            for kind in _family(Optimizer):
                for name in ("step", "zero_grad"):
                    if name in vars(kind):
                        self._replace(kind, name, self._optimizer(name, vars(kind)[name]))
        except BaseException:
            self._put_back()
            raise
        Recorder.running = self
        self.thread = self.here.thread
        self.begun = perf_counter_ns()

    def forget(self) -> None:
        """Begin anew, with everything in its place and warm."""
        self.noted.clear()
        self.begun = self.begin()

    def drop(self) -> None:
        """End without a recording."""
        Recorder.running = None
        self._put_back()

    def stop(self) -> Recording:
        ended = self.begin()
        self.drop()
        fields = iter(self.noted[:])  # other threads may still be ending ops
        records = [Record(*one) for one in zip(*[fields] * len(Record._fields), strict=True)]
        records = [r for r in records if r.start >= self.begun]  # not what began before forget()
        return Recording(records, self.begun, ended, self.thread, dict(self.threads), os.getpid())

    def _replace(self, owner: Any, name: str, new: Any) -> None:
        self._replaced.append((owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, new)

    def _put_back(self) -> None:
        while self._replaced:
            owner, name, old = self._replaced.pop()
            if old is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, old)

    # --- parts that take time, whatever they do -----------------------------------------------------------------------

    def begin(self) -> int:
        """The time at which something begins; the GPU, if it is watched and has been in use, is at rest then."""
        if self.gpu_seen:
            cuda.synchronize()
        return perf_counter_ns()

    def end(self, category: str, name: str, start: int, note: str | None = None) -> None:
        """Note what ends now."""
        if self.gpu_seen:
            cuda.synchronize()
        self.noted.extend(
            (category, name, self.here.thread, start, perf_counter_ns(), note, (), (), 0, "", 0, 0, False)
        )

    def _deliver(self, deliver: Callable[[Any], None]) -> Callable[[Any], None]:
        def run(walk: Any) -> None:
            start = self.begin()
            try:
                deliver(walk)
            finally:
                self.end(ENGINE, DELIVER, start)

        return run

    def _optimizer(self, method: str, function: Callable[..., Any]) -> Callable[..., Any]:
        here = self.here

        @functools.wraps(function)
        def run(optimizer: Any, *args: Any, **options: Any) -> Any:
            before, now = here.inside, (method, id(optimizer))
            if before == now:  # super().step() is part of the step that calls it
                return function(optimizer, *args, **options)
            here.inside = now
            start = self.begin()
            try:
                return function(optimizer, *args, **options)
            finally:
                self.end(OPTIMIZER, f"Optimizer.{method}#{type(optimizer).__name__}.{method}", start)
                here.inside = before

        return run

    # --- ops, forward -------------------------------------------------------------------------------------------------

    def _note_node(self) -> Callable[[Node], None]:
        """An ``__init__`` by which ``apply``'s node is known also where no tensor will lead to it."""
        here = self.here

        def note(node: Node) -> None:
            here.made = node

        return note

    def _forward(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        here, extend, known = self.here, self.noted.extend, self.known
        shapes, memory, flops, watch_gpu = self.shapes, self.memory, self.flops, self.gpu

        def run(kind: type[Op], *args: Any) -> Any:
            gpu = watch_gpu and self._wait_for(args)
            out = None
            start = perf_counter_ns()
            try:
                out = apply(kind, *args)
                return out
            finally:
                if gpu:
                    cuda.synchronize()
                end = perf_counter_ns()
                inputs = output = ()
                size = order = 0
                if shapes:
                    inputs = tuple([a._array.shape for a in args if isinstance(a, Variable)])
                    inputs = known.setdefault(inputs, inputs)
                if isinstance(out, Variable):
                    first, node = out, out._node
                    if node is not None:
                        order = node.order
                    if memory and out._base is None:
                        size = out._array.nbytes
                elif out is not None:
                    first = out[0]
                    order = min([t._node.node.order for t in out if t._node is not None], default=0)
                    size = sum([t._array.nbytes for t in out]) if memory else 0
                if flops and out is not None:
                    output = first._array.shape
                mine = here.__dict__
                made, mine["made"] = mine["made"], None
                ran_by = USER if kind.takes_tensors else TEXTBOOK if made is None or made.kernel is None else KERNEL
                name, thread = kind.__name__, mine["thread"]
                extend((FORWARD, name, thread, start, end, None, inputs, output, size, ran_by, order, 0, gpu))

        return run

    def _wait_for(self, values: Iterable[Any]) -> bool:
        """Whether the arrays are on the GPU, which then has come to rest."""
        if not _on_gpu(values):
            return False
        self.gpu_seen = True
        cuda.synchronize()
        return True

    # --- ops, backward ------------------------------------------------------------------------------------------------

    def _walk(self, run: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        # What of a node is watched now, and its real kernel. Another thread, or the walk that a walk runs in, may watch
        # some of the nodes already: these, and what lies behind them, are left to it.
        kernels: dict[Any, Any] = {}
        by_kernel, by_book, lock = self._rule(kernels), self._rule(None), threading.Lock()

        def watched(walk: Any, starts: list[tuple[Any, Any]]) -> None:
            nodes: list[Any] = []
            try:
                with lock:
                    edges = [edge for edge, _ in starts]
                    while edges:
                        edge = edges.pop()
                        node = edge.node if edge.__class__ is Output else edge
                        if isinstance(node, Node) and node not in kernels:
                            kernels[node] = kernel = node.kernel
                            node.backward = by_book  # type: ignore[attr-defined]
                            if kernel is not None:
                                node.kernel = _StandIn(functools.partial(by_kernel, node))
                            nodes.append(node)
                            edges += node.edges
                start = self.begin()
                try:
                    run(walk, starts)
                finally:
                    self.end(ENGINE, WALK, start)
            finally:
                for node in nodes:
                    kernel = kernels[node]
                    if kernel is not None:
                        node.kernel = kernel
                    del node.backward
                    del kernels[node]

        return watched

    def _rule(self, kernels: dict[Any, Any] | None) -> Callable[..., Any]:
        """What stands in for the rules of nodes: for those of their kernels, or, given None, for the textbook's."""
        here, extend, known = self.here, self.noted.extend, self.known
        shapes, memory, flops, watch_gpu = self.shapes, self.memory, self.flops, self.gpu

        def run(node: Any, *given: Any) -> Any:
            if kernels is None:
                rule, args, gs = type(node).backward, (node, *given), given
            else:  # another thread's walk may have given the node its kernel back since this one found the stand-in
                rule, args, gs = (kernels.get(node) or node.kernel).gradients, given, given[1:2]
            gpu = watch_gpu and self._wait_for(gs)
            made = None
            start = perf_counter_ns()
            try:
                made = rule(*args)
                return made
            finally:
                if gpu:
                    cuda.synchronize()
                end = perf_counter_ns()
                if made is not NotImplemented:  # a kernel that leaves the work to the textbook has done none
                    inputs = ()
                    size = products = 0
                    came = gs if gs[0].__class__ is np.ndarray else _arrays(gs)
                    if shapes:
                        inputs = tuple([g.shape for g in came])
                        inputs = known.setdefault(inputs, inputs)
                    if memory:
                        size = _bytes_made(made if made.__class__ is tuple else (made,), came)
                    if flops:
                        products = sum([edge is not None for edge in node.edges[:2]])
                    ran_by = KERNEL if kernels is not None else USER if node.takes_tensors else TEXTBOOK
                    name, thread, order = type(node).__name__, here.thread, node.order
                    extend((BACKWARD, name, thread, start, end, None, inputs, (), size, ran_by, order, products, gpu))

        return run


class _StandIn(NamedTuple):
    """What the walk takes for a node's kernel."""

    gradients: Callable[..., Any]


def _arrays(values: Iterable[Any]) -> list[Any]:
    """The arrays among the values and in their lists, those of Tensors too."""
    found: list[Any] = []
    for x in values:
        if isinstance(x, list):
            found += _arrays(x)
        elif x is not None:
            found.append(x._array if isinstance(x, Variable) else x)
    return found


def _bytes_made(made: Iterable[Any], given: Iterable[Any]) -> int:
    """The bytes of gradients that do not just show the memory of one that came in, as those of ``Add`` do."""
    total = 0
    for d in made:
        array = d if d.__class__ is np.ndarray else getattr(d, "_array", d)
        base = getattr(array, "base", None)
        for g in given:
            if array is g or (base is not None and (base is g or base is g.base)):
                break
        else:
            total += getattr(array, "nbytes", 0)  # None has none, nor has what a user's rule returned by mistake
    return total


def _on_gpu(values: Iterable[Any]) -> bool:
    """Whether the first array among the values is on a GPU; those of one op are all on one device."""
    for x in values:
        array = x._array if isinstance(x, Variable) else x
        if isinstance(array, (np.ndarray, np.generic)):
            return False
        if hasattr(array, "__cuda_array_interface__") or (isinstance(array, list) and _on_gpu(array)):
            return True
    return False


def _family(kind: type[Any]) -> list[type[Any]]:
    """A class and all that inherit from it."""
    return [kind, *(k for child in kind.__subclasses__() for k in _family(child))]
