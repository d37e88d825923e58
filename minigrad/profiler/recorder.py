"""Recording: what takes the place of the engine's entrances while a profiler watches.

Nothing in the engine knows of a profiler, so a program that is not watched pays nothing. While one is, these entrances
are replaced from outside, and put back at the end:

- ``Op.apply`` and ``Function.apply``, through which every op's forward pass goes;
- ``_Walk.run``, the walk back. Before it starts, each node that it may come to gets a stand-in for its kernel and for
  its rule, which runs the real one and looks at the clock;
- ``_Walk.deliver``, which hands the gradients to their leaves;
- ``step`` and ``zero_grad`` of every optimizer.

What happens is noted when it ends, by one append to a list; who was called by whom is found afterwards, from the times
(:mod:`minigrad.profiler.events`). No array is kept, only shapes and sizes. All this happens once or twice per op, so
it is written flat, for speed.

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
from ..autograd.engine import _Walk
from ..autograd.function import Function, Node, Op, Output
from ..autograd.variable import Variable
from ..optim import Optimizer
from .records import (
    BACKWARD,
    DELIVER,
    ENGINE,
    FORWARD,
    KERNEL,
    OPTIMIZER,
    TEXTBOOK,
    USER,
    WALK,
    Record,
    Recording,
)

_ABSENT = object()


class _Here(threading.local):
    """What a recorder knows of each thread."""

    made: Any = None  # the node made last
    inside: Any = None  # the optimizer's method that is running

    def __init__(self, recorder: Recorder) -> None:
        self.thread = next(recorder.numbers)
        recorder.threads[self.thread] = (threading.get_native_id(), threading.current_thread().name)


class Recorder:
    """Records from :meth:`start` to :meth:`stop`, once. At most one may be running in a process.

    Args:
        shapes: note the shapes of inputs and outputs.
        memory: note the bytes of what ops make.
        gpu: let the GPU come to rest around each op on its arrays.
    """

    running: ClassVar[Recorder | None] = None

    def __init__(self, shapes: bool, memory: bool, gpu: bool) -> None:
        self.shapes, self.memory, self.gpu = shapes, memory, gpu
        self.gpu_seen = False
        self.noted: list[tuple[Any, ...]] = []  # the fields of Records: making one takes five times as long
        self.numbers = itertools.count()
        self.threads: dict[int, tuple[int, str]] = {}
        self.here = _Here(self)
        self._replaced: list[tuple[Any, str, Any]] = []

    def start(self) -> None:
        try:
            self._replace(Op, "__init__", self._note_node())
            for kind in (Op, Function):
                self._replace(kind, "apply", classmethod(self._forward(vars(kind)["apply"].__func__)))
            self._replace(_Walk, "run", self._walk(_Walk.run))
            self._replace(_Walk, "deliver", self._deliver(_Walk.deliver))
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

    def stop(self) -> Recording:
        ended = self.begin()
        Recorder.running = None
        self._put_back()
        records = [Record(*fields) for fields in list(self.noted)]  # other threads may still be ending ops
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
        self.noted.append((category, name, self.here.thread, start, perf_counter_ns(), note))

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
        here, append, shapes, memory, watch_gpu = self.here, self.noted.append, self.shapes, self.memory, self.gpu

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
                node, here.made = here.made, None
                ran_by = USER if kind.takes_tensors else TEXTBOOK if node is None or node.kernel is None else KERNEL
                inputs = tuple([a._array.shape for a in args if isinstance(a, Variable)]) if shapes else ()
                if isinstance(out, Variable):
                    output = out._array.shape
                    size = out._array.nbytes if memory and out._base is None else 0
                    order = _order_of(out._node)
                else:
                    outputs = out or ()  # of an op that failed
                    output = outputs[0]._array.shape if outputs else ()
                    size = sum([t._array.nbytes for t in outputs]) if memory else 0
                    order = min([_order_of(t._node) for t in outputs], default=0)
                append(
                    (FORWARD, kind.__name__, here.thread, start, end, None, inputs, output, size, ran_by, order, 0, gpu)
                )

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
        lock, by_book = threading.Lock(), self._rule(None)

        def watched(walk: Any, starts: list[tuple[Any, Any]]) -> None:
            kernels: dict[Any, Any] = {}  # node → its real kernel
            by_kernel = _StandIn(self._rule(kernels))
            try:
                with lock:
                    _watch([edge for edge, _ in starts], kernels, by_kernel, by_book)
                start = self.begin()
                try:
                    run(walk, starts)
                finally:
                    self.end(ENGINE, WALK, start)
            finally:
                for node, kernel in kernels.items():
                    node.kernel = kernel
                    if node.backward is by_book:
                        del node.backward

        return watched

    def _rule(self, kernels: dict[Any, Any] | None) -> Callable[..., Any]:
        """What stands in for the rules of nodes: for those of their kernels, or, given None, for the textbook's."""
        here, append, shapes, memory, watch_gpu = self.here, self.noted.append, self.shapes, self.memory, self.gpu

        def run(node: Any, *gs: Any) -> Any:
            rule = type(node).backward if kernels is None else kernels[node].backward
            gpu = watch_gpu and self._wait_for(gs)
            made = None
            start = perf_counter_ns()
            try:
                made = rule(node, *gs)
                return made
            finally:
                if gpu:
                    cuda.synchronize()
                end = perf_counter_ns()
                if made is not NotImplemented:  # a kernel that leaves the work to the textbook has done none
                    given = gs if gs[0].__class__ is np.ndarray else _arrays(gs)
                    inputs = tuple([g.shape for g in given]) if shapes else ()
                    size = _bytes_made(made if made.__class__ is tuple else (made,), given) if memory else 0
                    ran_by = KERNEL if kernels is not None else USER if node.takes_tensors else TEXTBOOK
                    name, order, edges = type(node).__name__, node.order, node.edges
                    products = (edges[0] is not None) + (edges[1] is not None) if len(edges) > 1 else 1
                    append(
                        (BACKWARD, name, here.thread, start, end, None, inputs, (), size, ran_by, order, products, gpu)
                    )

        return run


class _StandIn(NamedTuple):
    """What the walk takes for a node's kernel."""

    backward: Callable[[Any, Any], Any]


def _watch(edges: list[Any], kernels: dict[Any, Any], by_kernel: _StandIn, by_book: Callable[..., Any]) -> None:
    """Give stand-ins to every node that a walk from these edges may come to, and note their real kernels.

    What lies behind a node that is watched already, by a walk of another thread or the one that this walk runs in, is
    watched too.
    """
    while edges:
        edge = edges.pop()
        node = edge.node if edge.__class__ is Output else edge
        if isinstance(node, Node) and node.backward is not by_book:  # type: ignore[attr-defined]
            kernels[node] = kernel = node.kernel
            node.backward = by_book  # type: ignore[attr-defined]
            if kernel is not None:
                node.kernel = by_kernel
            edges += node.edges


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
        array = d._array if isinstance(d, Variable) else d
        size = getattr(array, "nbytes", 0)  # None has none, nor has what a user's rule returned by mistake
        if size:
            base = array.base
            for g in given:
                if array is g or (base is not None and (base is g or base is g.base)):
                    break
            else:
                total += size
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


def _order_of(edge: Any) -> int:
    """The number of the node that made a tensor; 0 for none."""
    if edge is None:
        return 0
    return int(edge.node.order if edge.__class__ is Output else edge.order)


def _family(kind: type[Any]) -> list[type[Any]]:
    """A class and all that inherit from it."""
    return [kind, *(k for child in kind.__subclasses__() for k in _family(child))]
