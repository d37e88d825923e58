"""Which threads run the kernels' parallel loops: our own, or a threading layer of Numba's.

A parallel loop ends when its last share is done. OpenMP gives each thread its share beforehand; if another program
keeps a core busy, the loop waits until the system lets that thread run, 4 to 30 ms at a time. In our pool (``pool.py``)
and under TBB whoever is free takes the next share, so that what a late thread has not begun is done without it; ours
starts a loop in a microsecond, TBB and OpenMP in two to five. The workqueue is built into Numba and takes 50; it ends
the process when two threads enter it, so ``parallel_for.py`` lets in one at a time.

The numbers do not depend on the choice: what a share is depends on the shapes and on the number of threads alone.
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

OWN = "minigrad"
LAYERS = (OWN, "tbb", "workqueue", "omp")
VARIABLE = "MINIGRAD_THREADING_LAYER"
_TBB = {"linux": "libtbb.so.12", "darwin": "libtbb.12.dylib", "win32": "tbb12.dll"}.get(sys.platform, "libtbb.so.12")


class ThreadingLayer(NamedTuple):
    """``name``: "minigrad", or Numba's "tbb", "workqueue" or "omp"; ``reason``: why it is this one."""

    name: str
    reason: str


_chosen: ThreadingLayer | None = None


def choose() -> ThreadingLayer:
    """Choose the layer, and start Numba's threads if it is one of Numba's, once in a process. Loads Numba.

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
        if asked != OWN and not _there(asked):
            raise RuntimeError(f"{VARIABLE}={asked}: the library of this layer cannot be loaded{_advice(asked)}")
        name, reason = asked, f"{VARIABLE} asks for it"
    elif config.THREADING_LAYER != "default" or "NUMBA_THREADING_LAYER_PRIORITY" in os.environ:
        _there("tbb")  # where Numba is told to look for it
        name, reason = "", "Numba's own setting asks for it"
    else:
        name, reason = OWN, "it starts a loop soonest, and waits for no late thread"
    if name:
        # Numba counts threads and divides loops in its layer's library; with threads of our own, its simplest one.
        config.THREADING_LAYER = "workqueue" if name == OWN else name
    numba.set_num_threads(config.NUMBA_NUM_THREADS)  # starts Numba's threads
    return ThreadingLayer(name or numba.threading_layer(), reason)


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
