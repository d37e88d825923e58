"""The matrix product of float32 matrices on the CPU: C = A B, and f(A B + bias) for a layer.

A register tile (``tile.py``) makes ROWS × WIDTH elements of C at the speed of the multipliers, if only its factors come
fast enough. A processor has a small fast memory, a larger slower one, and so on; each level holds the piece that is
used again soonest (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008):

    for each piece of the depth k, DEPTH long:
        lay B's rows of this piece out in panels of WIDTH columns            (by all threads together)
        for each block of BLOCK rows of A:                                   (shared out over threads)
            lay the block out in panels of ROWS rows                         (stays in the second-level cache)
            for each panel of B:                                             (stays in the first-level cache)
                for each panel of A: one tile; add it to C

In panels (``pack.py``) the tile reads both factors from front to back: every byte of a cache line is used, and rows
whose addresses differ by a power of two cannot evict each other. A transposed factor costs nothing more, as it is
transposed while it is copied. The last panels are padded with zeros; what a tile would write beyond C goes to a scratch
tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..machine import memory
from ..machine.compile import jit
from ..machine.shared import share, shared
from ..machine.simd import LANES, ROWS
from ..machine.threads import shares
from ..machine.tile import WIDTH, panel_tile
from ..pointwise.activation import NONE, activate_with_bias
from .pack import pack_columns, pack_rows

DEPTH = 6144 // WIDTH  # of one walk of the tile: a panel of B takes 24 KB
BLOCK = 96  # rows of A at a time: 74 to 295 KB
FEW = 4 * ROWS  # rows of C below which B is read where it lies: it is not used often enough to be copied
WIDE = 512  # columns from which a tile with empty rows still beats BLAS
SMALLEST = 1 << 17  # multiply-adds from which this beats the shorter way to BLAS
COST = 0.04  # nanoseconds a multiply-add takes, and its share of copying
TOGETHER_FROM = 1 << 17  # elements of B packed more than once, from which threads pack it together, and wait
NO_BIAS = np.empty(0, np.float32)


@jit
def _fill(b: Any, b_turned: bool, start: int, depth: int, first: int, last: int, panels: Any) -> None:
    """Panels ``first`` to ``last`` of the columns of B."""
    left, place = first * WIDTH, panels[first * depth * WIDTH :]
    columns = min(last * WIDTH, b.shape[0 if b_turned else 1]) - left
    if b_turned:
        pack_rows(b, left, columns, start, depth, place, WIDTH)
    else:
        pack_columns(b, left, columns, start, depth, place, WIDTH)


@jit
def _share(
    a: Any, a_turned: bool, b: Any, direct: int, panels: Any, start: int, depth: int, c: Any, top: int, bottom: int,
    first: int, last: int, add: int, bias: Any, f: int,
) -> None:  # fmt: skip
    """One piece of the depth for rows ``top`` to ``bottom`` of C and its panels of columns ``first`` to ``last``.

    ``direct`` panels of B are read from ``b`` itself, the others from ``panels``. A bias comes with the last piece.
    """
    n = c.shape[1]
    flat_b, flat_c = b.ravel(), c.ravel()
    packed, scratch = np.empty(BLOCK * depth + LANES, np.float32), np.empty(ROWS * WIDTH, np.float32)
    left, right = first * WIDTH, min(n, last * WIDTH)
    shifted = np.empty(right - left if bias.size else 0, np.float32)
    for block in range(top, bottom, BLOCK):
        rows = min(BLOCK, bottom - block)
        if a_turned:
            pack_columns(a, block, rows, start, depth, packed, ROWS)
        else:
            pack_rows(a, block, rows, start, depth, packed, ROWS)
        for p in range(first, last):
            j = p * WIDTH
            columns = min(WIDTH, n - j)
            source, at, step = (flat_b, start * n + j, n) if p < direct else (panels, p * depth * WIDTH, WIDTH)
            for i in range(0, rows, ROWS):
                # Four tiles fetch the next panel, a quarter each. Beyond the last there is none; asking does no harm.
                ahead = at if p < direct else ((p + 1) * WIDTH + i // ROWS % 4 * (WIDTH // 4)) * depth
                if columns == WIDTH and i + ROWS <= rows:
                    panel_tile(packed, i * depth, source, at, step, ahead, depth, flat_c, (block + i) * n + j, n, add)
                else:
                    panel_tile(packed, i * depth, source, at, step, ahead, depth, scratch, 0, WIDTH, 0)
                    for r in range(min(ROWS, rows - i)):
                        for q in range(columns):
                            old = c[block + i + r, j + q] if add else np.float32(0)
                            c[block + i + r, j + q] = old + scratch[r * WIDTH + q]
        if bias.size:
            for i in range(block, block + rows):
                activate_with_bias(c[i, left:right], bias[left:right], f, shifted)


@jit
def alone(
    a: Any, a_turned: bool, b: Any, b_turned: bool, begin: int, end: int, c: Any, top: int, bottom: int, first: int,
    last: int, bias: Any, f: int,
) -> None:  # fmt: skip
    """An area of C = f(A B + bias) by one thread, summed from ``begin`` to ``end``. Without a bias (size 0) C = A B."""
    n = c.shape[1]
    direct = max(first, min(last, n // WIDTH)) if c.shape[0] < FEW and not b_turned else 0
    pieces = (end - begin + DEPTH - 1) // DEPTH
    length = (end - begin + pieces - 1) // pieces
    panels = np.empty(last * length * WIDTH if direct < last else 0, np.float32)
    for start in range(begin, end, length):
        depth = min(length, end - start)
        now = bias if start + depth == end else bias[:0]
        _fill(b, b_turned, start, depth, max(first, direct), last, panels)
        _share(a, a_turned, b, direct, panels, start, depth, c, top, bottom, first, last, start - begin, now, f)


@shared
def _apart(
    t: int, parts: int, a: Any, a_turned: bool, b: Any, b_turned: bool, c: Any, bias: Any, f: int, by_rows: bool
) -> None:
    """C's rows, or its columns, shared out over threads, each of which makes its own panels."""
    m, n = c.shape
    end = b.shape[1] if b_turned else b.shape[0]
    last, blocks = (n + WIDTH - 1) // WIDTH, (m + ROWS - 1) // ROWS
    top, bottom = (t * blocks // parts * ROWS, min(m, (t + 1) * blocks // parts * ROWS)) if by_rows else (0, m)
    left, right = (0, last) if by_rows else share(t, parts, last)
    alone(a, a_turned, b, b_turned, 0, end, c, top, bottom, left, right, bias, f)


@jit(parallel=True)
def _together(a: Any, a_turned: bool, b: Any, b_turned: bool, c: Any, bias: Any, f: int, parts: int) -> None:
    """C's rows shared out over threads, which make the panels of B together and wait for each other to have them."""
    m, n = c.shape
    end = b.shape[1] if b_turned else b.shape[0]
    last, blocks = (n + WIDTH - 1) // WIDTH, (m + ROWS - 1) // ROWS
    pieces = (end + DEPTH - 1) // DEPTH
    length = (end + pieces - 1) // pieces
    panels = np.empty(last * length * WIDTH, np.float32)
    for start in range(0, end, length):
        depth = min(length, end - start)
        now = bias if start + depth == end else bias[:0]
        for t in prange(parts):
            _fill(b, b_turned, start, depth, t * last // parts, (t + 1) * last // parts, panels)
        for t in prange(parts):
            top, bottom = t * blocks // parts * ROWS, min(m, (t + 1) * blocks // parts * ROWS)
            _share(a, a_turned, b, 0, panels, start, depth, c, top, bottom, 0, last, start, now, f)


@jit(parallel=True)
def _by_depth(a: Any, a_turned: bool, b: Any, b_turned: bool, c: Any, bias: Any, f: int, sums: Any) -> None:
    """The depth shared out over threads, for a small C: their products add up."""
    m, n = c.shape
    end, parts = b.shape[1] if b_turned else b.shape[0], sums.shape[0]
    last = (n + WIDTH - 1) // WIDTH
    for t in prange(parts):
        begin, behind = t * end // parts, (t + 1) * end // parts
        alone(a, a_turned, b, b_turned, begin, behind, sums[t], 0, m, 0, last, bias[:0], NONE)
    for i in range(m):
        line, total = c[i], sums[0, i]
        for t in range(1, parts):
            for j in range(n):
                total[j] += sums[t, i, j]
        line[:] = total
        if bias.size:
            activate_with_bias(line, bias, f, total)


def product(a: Any, a_turned: bool, b: Any, b_turned: bool, bias: Any = NO_BIAS, f: int = NONE) -> Any:
    """C = A B as a new array, or f(A B + bias). A is ``a``, or aᵀ if ``a_turned``, and B likewise.

    Both are contiguous, neither empty. The threads' shares of the work, and so all rounding, depend on nothing but the
    sizes and the number of threads.
    """
    (m, depth), n = a.shape[:: -1 if a_turned else 1], b.shape[0 if b_turned else 1]
    c = memory.empty((m, n))
    parts = shares(COST * m * n * depth, m * n * depth)
    if parts == 1 or m >= parts * 3 * ROWS:
        # Rows of a weight (or of its gradient) go to the same core as in the other products and in the optimizer, and
        # lie in its own cache.
        if depth * n * (parts - 1) > TOGETHER_FROM * parts:
            _together.launch(a, a_turned, b, b_turned, c, bias, f, parts)
        else:
            _apart.launch(parts, (a, a_turned, b, b_turned, c, bias, f, True))
    elif depth >= parts * 64 and m * n <= depth * 128:
        sums = np.empty((parts, m, n), np.float32)
        _by_depth.launch(a, a_turned, b, b_turned, c, bias, f, sums)  # B's rows, for the same reason
    else:
        _apart.launch(parts, (a, a_turned, b, b_turned, c, bias, f, False))
    return c


def _pays(rows: int, depth: int, columns: int) -> bool:
    """Whether the tile is worth filling; BLAS does the rest, on one thread: such products are small."""
    enough = rows >= ROWS or (rows >= ROWS // 2 and columns >= WIDE)
    return enough and columns >= LANES and depth >= LANES // 2 and rows * depth * columns > SMALLEST


def times(a: Any, b: Any) -> Any:
    """A B for contiguous float32 matrices (m, k), (k, n)."""
    (m, k), n = a.shape, b.shape[1]
    return product(a, False, b, False) if _pays(m, k, n) else a @ b


def transposed_times(a: Any, b: Any) -> Any:
    """Aᵀ B for contiguous float32 matrices (k, m), (k, n)."""
    (k, m), n = a.shape, b.shape[1]
    return product(a, True, b, False) if _pays(m, k, n) else a.T @ b


def times_transposed(a: Any, b: Any) -> Any:
    """A Bᵀ for contiguous float32 matrices (m, k), (n, k)."""
    (m, k), n = a.shape, b.shape[0]
    return product(a, False, b, True) if _pays(m, k, n) else a @ b.T
