"""A stand-in for CuPy on machines without a GPU.

``cuda_double.install(monkeypatch)`` puts it where ``import cupy`` finds it, and ``device="cuda"`` then works: the
"device memory" is a NumPy array that only this package touches. It proves that no call on the path to the GPU is
NumPy's alone, since an array of the double

- is no ``numpy.ndarray``, refuses to become one, and never mixes with one;
- has the methods that CuPy 14 gives its arrays and takes their arguments, nothing more;
- answers NumPy's functions by CuPy's rules for ``__array_ufunc__`` and ``__array_function__``, and only those that
  CuPy has;
- gives 0-d arrays where NumPy gives scalars, and wraps indices out of range round instead of refusing them.

It proves nothing about numbers: NumPy computes them. The exception are our own CUDA kernels: their sources are
compiled as C++ and run thread by thread (``raw.py``); where there is no g++, the ops do without them.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from . import cupy, raw


def install(monkeypatch: Any) -> ModuleType:
    """Let ``import cupy`` and ``import cupyx.scipy.special`` find the double until the patch is undone."""
    from minigrad import cuda, random
    from minigrad.kernels.machine import gpu as launch

    special = ModuleType("cupyx.scipy.special")
    special.erf = cupy.special_erf  # type: ignore[attr-defined]
    special.erfc = cupy.special_erfc  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    for name in ("cupyx", "cupyx.scipy"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "cupyx.scipy.special", special)
    monkeypatch.setattr(random, "_generators", dict(random._generators))
    if not raw.available():
        monkeypatch.setattr(launch, "_DTYPES", {})
    _forget()
    return cupy


def uninstall() -> None:
    """Forget the answer to "is there a GPU", once the patch is undone."""
    _forget()


def _forget() -> None:
    from minigrad import cuda
    from minigrad.kernels.machine import gpu as launch

    cuda._find.cache_clear()
    launch._kernel.cache_clear()
    launch._elementwise.cache_clear()
