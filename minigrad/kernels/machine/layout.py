"""Which arrays a kernel takes: float32, row-major, in the machine's byte order, of a size that pays."""

from __future__ import annotations

from typing import Any

import numpy as np

FLOAT32 = np.dtype(np.float32)


def takes(x: Any, smallest: int = 0) -> bool:
    """Whether ``x`` is a C-contiguous float32 NumPy array of at least ``smallest`` elements."""
    return type(x) is np.ndarray and x.dtype is FLOAT32 and x.size >= smallest and x.flags.c_contiguous
