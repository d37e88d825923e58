"""Packing: a matrix copied into panels, in the order in which a register tile reads its elements.

A panel holds ``width`` neighbouring rows or columns: for each k the ``width`` elements of index k, one after another.
The last panel is padded with zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine.compile import jit
from ..machine.simd import LANES
from ..machine.tile import copy_vector, multiples, transpose_square


@jit(inline=True, allocates=False)
def pack_columns(x: Any, first: int, count: int, start: int, depth: int, packed: Any, width: int) -> None:
    """Columns ``first`` … of x, rows ``start`` …: column i + j, row k go to packed[i·depth + k·width + j]."""
    flat, pitch = x.ravel(), x.shape[1]
    for i in range(0, count, width):
        there, panel = min(width, count - i), packed[i * depth :]
        # A vector may be longer than the panel is wide: it then writes too much, and the next row overwrites that.
        vectors = depth - 1 if there == width else 0
        for k in range(vectors):
            for j in range(0, width, LANES):
                copy_vector(flat, (start + k) * pitch + first + i + j, panel, k * width + j)
        if there < width:
            panel[: depth * width] = np.float32(0)
        for k in range(vectors, depth):
            line = x[start + k, first + i : first + i + there]
            for j in range(there):
                panel[k * width + j] = line[j]


@jit
def pack_rows(x: Any, first: int, count: int, start: int, depth: int, packed: Any, width: int) -> None:
    """Rows ``first`` … of x, columns ``start`` …: row i + j, column k go to packed[i·depth + k·width + j]."""
    flat, pitch, places = x.ravel(), x.shape[1], multiples(depth, width, depth)
    squares = (width + LANES - 1) // LANES * LANES
    for i in range(0, count, width):
        if depth >= LANES and first + i + squares <= x.shape[0]:
            # A square can have more rows than the panel: each of its columns then writes too much, and the next column
            # overwrites that.
            for j in range(0, width, LANES):
                for k in range(0, depth, LANES):
                    left = min(k, depth - LANES)
                    corner = (first + i + j) * pitch + start + left
                    transpose_square(flat, corner, pitch, packed, i * depth + j, places, left)
        else:
            for j in range(width):
                for k in range(depth):
                    element = x[first + i + j, start + k] if i + j < count else np.float32(0)
                    packed[i * depth + k * width + j] = element
