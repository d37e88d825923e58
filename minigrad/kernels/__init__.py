"""The speed, beside the textbook.

An op in :mod:`minigrad.ops` is complete without anything from here. A kernel *replaces* its forward and backward for
one device, dtype and layout: it computes the same numbers from the same saved values. An op names its kernel
(``kernel = "activation.relu"``: the pair ``relu`` of ``kernels/cpu/activation.py``), and the pair is loaded when an
array first asks for it, since importing Numba takes half a second. A few families have a pair for CuPy's arrays too,
under the same name in ``kernels/gpu``.

``with minigrad.kernels.disabled():`` runs the textbook alone.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np

from .large import LARGE
from .threading_layer import ThreadingLayer, choose
from .threads import get_num_threads, set_num_threads

__all__ = ["Kernel", "disabled", "enabled", "find", "get_num_threads", "load", "set_num_threads", "threading_layer"]


class Kernel(NamedTuple):
    """A pair ``forward(ctx, *arrays)``, ``backward(ctx, dy)``.

    ``forward`` returns ``NotImplemented`` for what it does not take (device, dtype, layout, size); the textbook then
    does the work. It sets ``ctx.saved`` exactly as the textbook's forward does, so either backward can follow it;
    what its own backward needs beyond that goes into ``ctx.scratch``.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]


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


# The families whose kernels leave small arrays to NumPy, and the fewest elements that any of them takes.
_FEWEST = {"activation": 128, "custom": 128, "softmax": 64, "elementwise": 1024, "reduction": LARGE}


class _Lazy:
    """Stands in for a kernel until an array comes that it may serve, then loads it in its own place.

    Whether it may serve depends on the arguments alone: an op's answer must not depend on what ran before it. (Nor on
    the threads of NumPy's BLAS, of which loading leaves one: so a float64 product loads, though the textbook does it.)
    """

    def __init__(self, name: str, owner: Any) -> None:
        self.name = name
        self.owner = owner
        self.fewest = _FEWEST.get(name.partition(".")[0], 0)

    def forward(self, ctx: Any, *args: Any) -> Any:
        if not any(type(a) is np.ndarray and a.dtype.kind == "f" and a.size >= self.fewest for a in args):
            return NotImplemented
        kernel = find(self.name)
        self.owner.fast = kernel
        return kernel.forward(ctx, *args)


def load() -> None:
    """Load Numba now, rather than when an op needs a kernel; it takes a good part of a second."""
    importlib.import_module(f"{__name__}.compile")


def threading_layer() -> ThreadingLayer:
    """The layer of threads that kernels run on, and why: ``ThreadingLayer(name="tbb", reason="its library is there")``.

    TBB where its library is there, else Numba's workqueue, else OpenMP. The environment variable
    ``MINIGRAD_THREADING_LAYER`` ("tbb", "workqueue" or "omp") chooses another one before kernels are first used, and so
    does Numba's own ``NUMBA_THREADING_LAYER``. Loads Numba.
    """
    load()
    return choose()


def lazy(name: str, owner: Any) -> Any:
    """A stand-in for the kernel ``"family.name"`` that becomes ``owner.fast`` when first used."""
    return _Lazy(name, owner)


_ON_GPU = ("activation", "conv", "normalization", "pooling")  # the families of kernels/gpu


class _LazyOnGPU:
    """Stands in for a GPU kernel until the first array that is not NumPy's arrives, then loads it in its own place."""

    def __init__(self, name: str, owner: Any) -> None:
        self.name = name
        self.owner = owner

    def forward(self, ctx: Any, *args: Any) -> Any:
        try:
            self.owner.gpu = find(self.name, "gpu")
        except KeyError:  # a family need not have all its kernels on both devices
            self.owner.gpu = None
            return NotImplemented
        return self.owner.gpu.forward(ctx, *args)


def lazy_on_gpu(name: str, owner: Any) -> Any:
    """A stand-in for the GPU kernel ``"family.name"`` that becomes ``owner.gpu``; None without such a family."""
    return _LazyOnGPU(name, owner) if name.partition(".")[0] in _ON_GPU else None


def find(name: str, device: str = "cpu") -> Kernel:
    """The kernel ``"family.name"`` of a device. Raises ``KeyError`` naming what there is if there is no such kernel."""
    family, _, short = name.partition(".")
    module = importlib.import_module(f"{__name__}.{device}.{family}")
    kernels: dict[str, Kernel] = module.KERNELS
    if short not in kernels:
        raise KeyError(f"kernels: no kernel {name!r}; {family} has {', '.join(sorted(kernels))}")
    return kernels[short]
