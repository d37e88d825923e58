"""A linear layer with its activation, each direction in one go: y = f(x Wᵀ + b) and its three gradients.

A small layer's products are over in 20 microseconds, so what stands between them counts: starting threads, passes for
bias and activation, bringing weights into the cache of the other core. Here a thread owns some of the outputs, forward
and backward, with everything that belongs to them: rows of W, rows of dW, entries of b, columns of y and dy. Its rows
of W so stay in the cache of one core. Only dx sums over all outputs; each thread makes a share, and the shares add up.

All three products are register tiles (``tile.py``) with W or dW as they lie in memory; the smaller factor is copied
into panels of a tile's width, where the tile reads it in one stream.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..machine.compile import jit
from ..machine.parallel_for import again, at_most
from ..machine.simd import COLUMNS, LANES, ROWS
from ..machine.sums import wide_zeros
from ..machine.tile import multiples, register_tile, transpose_square, zeros
from ..pointwise.activation import NONE, activate, activation_dx

WIDTH = COLUMNS * LANES
tile = register_tile(ROWS, COLUMNS)
adjacent_tile = register_tile(ROWS, COLUMNS, adjacent=True)


@jit
def _pack(x: Any, first: int, last: int, left: int, packed: Any) -> None:
    """Columns ``left`` … of rows ``first`` to ``last`` as a panel, with zeros beyond the last column."""
    width = min(WIDTH, x.shape[1] - left)
    for k in range(last - first):
        line, into = x[first + k, left : left + width], packed[k * WIDTH : k * WIDTH + width]
        for q in range(width):
            into[q] = line[q]
    if width < WIDTH:
        for k in range(last - first):
            packed[k * WIDTH + width : (k + 1) * WIDTH] = np.float32(0)


@jit
def _pack_transposed(x: Any, flat: Any, first: int, packed: Any, places: Any) -> None:
    """Rows ``first`` … of x as a panel of columns: x[first + j, k] goes to packed[k·WIDTH + j]; zeros beyond."""
    n, depth = x.shape
    rows = min(WIDTH, n - first)
    if rows == WIDTH and depth >= LANES:
        for j in range(0, WIDTH, LANES):
            for k in range(0, depth, LANES):
                left = min(k, depth - LANES)
                transpose_square(flat, (first + j) * depth + left, depth, packed, j, places, left)
    else:
        packed[:] = np.float32(0)
        for j in range(rows):
            for k in range(depth):
                packed[k * WIDTH + j] = x[first + j, k]


@jit(parallel=True)
def forward(x: Any, w: Any, b: Any, f: int, y: Any, parts: int) -> None:
    """y (N, out) = f(x (N, in) · w (out, in)ᵀ + b)."""
    n, depth = x.shape
    outputs = w.shape[0]
    flat_x, flat_w = x.ravel(), w.ravel()
    flat_y = y.ravel()
    before = at_most(parts)
    for t in prange(parts):
        first, last = t * outputs // parts, (t + 1) * outputs // parts
        mine = last - first
        blocks = (mine + ROWS - 1) // ROWS
        rows = multiples(blocks * ROWS, depth, mine - 1)  # a last tile repeats the last row
        into, zero = multiples(blocks * ROWS, WIDTH, mine + ROWS), multiples(1, 0, 0)
        places, samples = multiples(depth, WIDTH, depth), multiples(WIDTH, outputs, WIDTH)
        panel, z = np.empty(depth * WIDTH, np.float32), np.empty(blocks * ROWS * WIDTH, np.float32)
        line = np.empty(mine, np.float32)
        for left in range(0, n, WIDTH):
            _pack_transposed(x, flat_x, left, panel, places)
            for i in range(0, blocks * ROWS, ROWS):
                tile(flat_w, first * depth, rows, zero, 1, panel, 0, zero, WIDTH, 1, depth, z, 0, into, i, 0)
            width = min(WIDTH, n - left)
            if width == WIDTH and mine >= LANES:
                for o in range(0, mine, LANES):
                    top = min(o, mine - LANES)
                    for j in range(0, WIDTH, LANES):
                        transpose_square(z, top * WIDTH + j, WIDTH, flat_y, left * outputs + first + top, samples, j)
            else:
                for j in range(width):
                    for o in range(mine):
                        y[left + j, first + o] = z[o * WIDTH + j]
            for j in range(left, left + width):
                out = y[j, first:last]
                for o in range(mine):
                    line[o] = out[o] + b[first + o]
                if f == NONE:
                    out[:] = line
                else:
                    activate(line, out, f)
    again(before)


@jit(parallel=True)
def backward(
    dy: Any, y: Any, x: Any, w: Any, f: int, shares: Any, dx: Any, dw: Any, db: Any, parts: int, adders: int
) -> None:
    """dx = dz W, dW = dzᵀ x, db = Σ dz, with dz = dy · f′; no dx if its array is empty.

    ``shares`` holds what all threads but the first contribute to dx, (parts - 1, N, in); ``adders`` threads add it up.
    """
    n, outputs = dy.shape
    depth = x.shape[1]
    flat_dw = dw.ravel()
    before = at_most(parts)
    for t in prange(parts):
        first, last = t * outputs // parts, (t + 1) * outputs // parts
        mine = last - first
        blocks = (mine + ROWS - 1) // ROWS
        pitch = blocks * ROWS
        dz, bias = zeros(n * pitch), wide_zeros(mine)
        for i in range(n):
            line, given = dz[i * pitch : i * pitch + mine], dy[i, first:last]
            if f == NONE:
                line[:] = given
            else:
                activation_dx(given, y[i, first:last], f, line)
            for o in range(mine):
                bias[o] += line[o]
        db[first:last] = bias
        zero = multiples(1, 0, 0)
        panel = np.empty(max(n, mine) * WIDTH, np.float32)
        scratch = np.empty(max(pitch, n + ROWS) * WIDTH, np.float32)
        outs, whole, apart = multiples(pitch, 1, pitch), multiples(pitch, depth, mine), multiples(pitch, WIDTH, pitch)
        samples = (n + ROWS - 1) // ROWS * ROWS
        sources, results = multiples(samples, pitch, n - 1), multiples(samples, WIDTH, samples)
        for left in range(0, depth, WIDTH):
            width = min(WIDTH, depth - left)
            _pack(x, 0, n, left, panel)
            for i in range(0, pitch, ROWS):
                whole_tile = width == WIDTH and i + ROWS <= mine
                into, at, rows = (flat_dw, first * depth + left, whole) if whole_tile else (scratch, 0, apart)
                adjacent_tile(dz, 0, outs, zero, pitch, panel, 0, zero, WIDTH, 1, n, into, at, rows, i, 0)
                if not whole_tile:
                    for o in range(i, min(i + ROWS, mine)):
                        line, source = dw[first + o, left : left + width], scratch[o * WIDTH : o * WIDTH + width]
                        for q in range(width):
                            line[q] = source[q]
            if dx.size:
                _pack(w, first, last, left, panel)
                for i in range(0, samples, ROWS):
                    tile(dz, 0, sources, zero, 1, panel, 0, zero, WIDTH, 1, mine, scratch, 0, results, i, 0)
                share = dx if t == 0 else shares[t - 1]
                for i in range(n):
                    line, source = share[i, left : left + width], scratch[i * WIDTH : i * WIDTH + width]
                    for q in range(width):
                        line[q] = source[q]
    again(before)
    if dx.size:
        before = at_most(adders)
        for t in prange(adders):
            for i in range(t * n // adders, (t + 1) * n // adders):
                line = dx[i]
                for share in range(parts - 1):
                    more = shares[share, i]
                    for q in range(depth):
                        line[q] += more[q]
        again(before)
