"""Which threading layer runs the kernels' parallel loops: TBB, else Numba's workqueue, else OpenMP.

A parallel region ends when its last share is done. OpenMP gives each thread its share beforehand; if another program
keeps a core busy, the region waits until the system lets that thread run, 4 to 30 ms at a time. Under TBB whoever is
free takes the next share, so that what a late thread has not begun is done without it. The workqueue is built into
Numba and is slow to wake its threads, but takes up no core while it waits; it ends the process when two threads enter
it, so ``parallel_for.py`` lets in one at a time. OpenMP comes last.

The numbers do not depend on the layer: what a share is depends on the shapes and on the number of threads alone.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

LAYERS = ("tbb", "workqueue", "omp")  # Numba's names, the preferred ones first
VARIABLE = "MINIGRAD_THREADING_LAYER"
_TBB = {"linux": "libtbb.so.12", "darwin": "libtbb.12.dylib", "win32": "tbb12.dll"}.get(sys.platform, "libtbb.so.12")


class ThreadingLayer(NamedTuple):
    """``name``: "tbb", "workqueue" or "omp"; ``reason``: a sentence."""

    name: str
    reason: str


_chosen: ThreadingLayer | None = None


def choose() -> ThreadingLayer:
    """Choose the layer and start its threads, once in a process. Loads Numba.

    Raises:
        ValueError: ``MINIGRAD_THREADING_LAYER`` names no layer.
        RuntimeError: it names one whose library is not there.
    """
    global _chosen
    if _chosen is None:
        _chosen = _choose()
    return _chosen


def _choose() -> ThreadingLayer:
    import numba
    from numba.np.ufunc import parallel

    if parallel._is_initialized:
        return ThreadingLayer(numba.threading_layer(), "Numba had started its threads before the kernels were loaded")
    config, asked = numba.config, os.environ.get(VARIABLE, "").strip().lower()
    if asked:
        if asked not in LAYERS:
            raise ValueError(f"{VARIABLE}: expected one of {', '.join(LAYERS)}; got {asked!r}")
        if not _there(asked):
            raise RuntimeError(f"{VARIABLE}={asked}: the library of this layer cannot be loaded{_advice(asked)}")
        config.THREADING_LAYER, reason = asked, f"{VARIABLE} asks for it"
    elif config.THREADING_LAYER != "default" or "NUMBA_THREADING_LAYER_PRIORITY" in os.environ:
        _there("tbb")  # where Numba is told to look for it
        reason = "Numba's own setting asks for it"
    else:
        found = next(name for name in LAYERS if _there(name))
        config.THREADING_LAYER = found
        missing = LAYERS[: LAYERS.index(found)]
        reason = f"{' and '.join(missing)} cannot be loaded" if missing else "its library is there"
    numba.set_num_threads(config.NUMBA_NUM_THREADS)  # starts them
    return ThreadingLayer(numba.threading_layer(), reason)


def _there(name: str) -> bool:
    """Whether a layer can be loaded. TBB's library is loaded from where pip puts it, where Numba does not look."""
    module = f"numba.np.ufunc.{'workqueue' if name == 'workqueue' else name + 'pool'}"
    for library in (None, *(_tbb_libraries() if name == "tbb" else ())):
        try:
            if library is not None:
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            importlib.import_module(module)
        except (ImportError, OSError):
            continue
        return True
    return False


def _tbb_libraries() -> Iterator[Path]:
    try:
        files = metadata.files("tbb") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == _TBB:
            yield Path(str(file.locate()))
    for folder in ("lib", "Library/bin"):
        if (path := Path(sys.prefix, folder, _TBB)).exists():
            yield path


def _advice(name: str) -> str:
    return "; pip install tbb" if name == "tbb" else ""
