"""The speed, beside the textbook.

An op in :mod:`minigrad.ops` is complete without anything from here. A kernel takes the place of its arithmetic for one
device, dtype and layout, and computes the same numbers. It is a plain function of arrays and options that knows nothing
of the graph: what the backward pass needs is kept by the op, whoever has computed. An op names its kernel
(``class ReLU(Op, kernel="pointwise.activation.relu")``), and :mod:`.registry` finds it.

    machine/          what all kernels share: compiling, threads, memory, vectors, register tiles, launching on GPUs
    attention/ conv/ indexing/ matmul/ normalization/ pointwise/ pooling/      a folder a family of ops
    optim/            the optimizers' rules

``with minigrad.kernels.disabled():`` runs the textbook alone.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from threading import get_ident

from .machine import memory
from .machine.threading_layer import ThreadingLayer, choose
from .machine.threads import get_num_threads, set_num_threads
from .registry import Kernel, find

__all__ = [
    "Kernel",
    "disabled",
    "enabled",
    "find",
    "get_num_threads",
    "load",
    "memory",
    "set_num_threads",
    "threading_layer",
]


class _Switch:
    """Whether this thread's ops use kernels. ``off`` is empty nearly always, which is all that an op has to look at."""

    def __init__(self) -> None:
        self.off: set[int] = set()  # the threads that do without, by number

    @property
    def on(self) -> bool:
        return not self.off or get_ident() not in self.off

    @on.setter
    def on(self, value: bool) -> None:
        (self.off.discard if value else self.off.add)(get_ident())


switch = _Switch()


def enabled() -> bool:
    """Whether kernels are in use in this thread."""
    return switch.on


@contextlib.contextmanager
def disabled() -> Iterator[None]:
    """A context in which every op of this thread runs the plain array mathematics of :mod:`minigrad.ops`."""
    before = switch.on
    switch.on = False
    try:
        yield
    finally:
        switch.on = before


def load() -> None:
    """Load Numba now, rather than when an op needs a kernel; it takes a good part of a second."""
    importlib.import_module(f"{__name__}.machine.compile")


def threading_layer() -> ThreadingLayer:
    """Which threads kernels run on, and why: ``ThreadingLayer(name="minigrad", reason="it starts a loop soonest …")``.

    They are our own (``machine/pool.py``). The environment variable ``MINIGRAD_THREADING_LAYER`` ("tbb",
    "workqueue" or "omp") chooses a layer of Numba's before kernels are first used, and so does Numba's own
    ``NUMBA_THREADING_LAYER``. Loads Numba.
    """
    load()
    return choose()
