"""What the engine itself does with gradients, copying and adding up: large ones by all threads.

The kernels for that are used where they are loaded already; a program that has no use for Numba is not made to load it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

LARGE = 1 << 18  # elements from which threads pay


def _kernels(array: Any) -> Any:
    large = array.__class__ is np.ndarray and array.size >= LARGE
    return sys.modules.get("minigrad.kernels.pointwise.arithmetic") if large else None


def copy(array: Any) -> Any:
    """A C-contiguous copy of an array."""
    kernels = _kernels(array)
    if kernels is not None:
        return kernels.copy(array)
    return array.copy(order="C") if array.ndim else array.copy()


def add(a: Any, b: Any) -> Any:
    """a + b, arrays or Tensors."""
    kernels = _kernels(a)
    return a + b if kernels is None or not kernels.alike(a, b) else kernels.sum_(a, b)
