"""Sums of float32 numbers on the CPU that keep their digits.

A running float32 sum rounds at every step, by more the larger it has grown. So numbers are added up in blocks, within
which the SIMD lanes are running sums of their own, and the blocks' sums in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import jit

BLOCK = 128  # rows whose float32 sums go into float64 together
RUN = 1 << 10  # numbers side by side, likewise. (A loop over a slice of them becomes SIMD; one from j0 to j1 does not.)
ZERO = np.float32(0)


@jit
def wide_zeros(n: int) -> Any:
    """A float64 array of zeros, filled by the thread that asks for it."""
    return np.zeros(n)


@jit
def sum_of(x: Any) -> Any:
    """Σ x of a vector, in float64."""
    total: Any = 0.0
    for start in range(0, x.size, RUN):
        piece, s = x[start : start + RUN], ZERO
        for j in range(piece.size):
            s += piece[j]
        total += s
    return total


@jit
def dot_of(x: Any, y: Any) -> Any:
    """Σ x y of two vectors, in float64."""
    total: Any = 0.0
    for start in range(0, x.size, RUN):
        a, b, s = x[start : start + RUN], y[start : start + RUN], ZERO
        for j in range(a.size):
            s += a[j] * b[j]
        total += s
    return total


@jit
def add_rows(x: Any, i0: int, i1: int, total: Any) -> None:
    """Rows i0 to i1 added to ``total`` (float64), four at a time."""
    width = x.shape[1]
    part = np.zeros(width, np.float32)
    for start in range(i0, i1, BLOCK):
        rows = x[start : min(start + BLOCK, i1)]
        whole = rows.shape[0] - rows.shape[0] % 4
        for i in range(0, whole, 4):
            x0, x1, x2, x3 = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
            for c in range(width):
                part[c] += (x0[c] + x1[c]) + (x2[c] + x3[c])
        for i in range(whole, rows.shape[0]):
            x0 = rows[i]
            for c in range(width):
                part[c] += x0[c]
        for c in range(width):
            total[c] += part[c]
            part[c] = ZERO


@jit
def deviations_of(x: Any, near: Any) -> Any:
    """(Σ d, Σ d²) of d = x − near, in float64."""
    first: Any = 0.0
    second: Any = 0.0
    for start in range(0, x.size, RUN):
        piece, s, q = x[start : start + RUN], ZERO, ZERO
        for j in range(piece.size):
            d = piece[j] - near
            s += d
            q += d * d
        first += s
        second += q
    return first, second


@jit
def wide_deviations_of(x: Any, near: Any) -> Any:
    """The same where float32 has no room for the squares."""
    first: Any = 0.0
    second: Any = 0.0
    for j in range(x.size):
        d = np.float64(x[j]) - near
        first += d
        second += d * d
    return first, second
