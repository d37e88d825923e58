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

from ..machine.compile import jit
from ..machine.shared import share, shared
from ..machine.simd import COLUMNS, LANES, ROWS
from ..machine.tile import WIDTH, multiples, register_tile, transpose_square
from ..pointwise.activation import NONE, activate_with_bias, activation_dx
from .pack import pack_columns, pack_rows

tile = register_tile(ROWS, COLUMNS)
adjacent_tile = register_tile(ROWS, COLUMNS, adjacent=True)


@shared
def forward(t: int, parts: int, x: Any, w: Any, b: Any, f: int, y: Any) -> None:
    """y (N, out) = f(x (N, in) · w (out, in)ᵀ + b)."""
    n, depth = x.shape
    outputs = w.shape[0]
    flat_w, flat_y = w.ravel(), y.ravel()
    first, last = share(t, parts, outputs)
    mine = last - first
    blocks = (mine + ROWS - 1) // ROWS
    rows = multiples(blocks * ROWS, depth, mine - 1)  # a last tile repeats the last row
    into, zero = multiples(blocks * ROWS, WIDTH, mine + ROWS), multiples(1, 0, 0)
    samples = multiples(WIDTH, outputs, WIDTH)
    panel, z = np.empty(depth * WIDTH, np.float32), np.empty(blocks * ROWS * WIDTH, np.float32)
    line = np.empty(mine, np.float32)
    for left in range(0, n, WIDTH):
        width = min(WIDTH, n - left)
        pack_rows(x, left, width, 0, depth, panel, WIDTH)
        for i in range(0, blocks * ROWS, ROWS):
            tile(flat_w, first * depth, rows, zero, 1, panel, 0, zero, WIDTH, 1, depth, z, 0, into, i, 0)
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
            activate_with_bias(y[j, first:last], b[first:last], f, line)


@jit(allocates=False)
def _dz(dy: Any, y: Any, f: int, dz: Any, bias: Any) -> None:
    """dz = dy · f′ of one sample, and ``bias`` grows by it."""
    if f == NONE:
        for o in range(dz.size):
            dz[o] = dy[o]
    else:
        activation_dx(dy, y, f, dz)
    for o in range(dz.size):
        bias[o] += dz[o]


@jit(allocates=False)
def _unpack(panel: Any, count: int, x: Any, top: int, left: int, width: int) -> None:
    """The first ``count`` rows of a panel, ``width`` elements each, into x from (top, left) on."""
    for i in range(count):
        line, source = x[top + i, left : left + width], panel[i * WIDTH : i * WIDTH + width]
        for q in range(width):
            line[q] = source[q]


@shared
def _gradients(
    t: int, parts: int, dy: Any, y: Any, x: Any, w: Any, f: int, shares: Any, dx: Any, dw: Any, db: Any
) -> None:
    """dW and db of some outputs, and what these contribute to dx: in ``dx`` itself, or in ``shares``."""
    n, outputs = dy.shape
    depth = x.shape[1]
    flat_dw = dw.ravel()
    first, last = share(t, parts, outputs)
    mine = last - first
    blocks = (mine + ROWS - 1) // ROWS
    pitch = blocks * ROWS
    dz, bias = np.zeros(n * pitch, np.float32), np.zeros(mine)
    for i in range(n):
        _dz(dy[i, first:last], y[i, first:last], f, dz[i * pitch : i * pitch + mine], bias)
    db[first:last] = bias
    zero = multiples(1, 0, 0)
    panel = np.empty(max(n, mine) * WIDTH, np.float32)
    scratch = np.empty(max(pitch, n + ROWS) * WIDTH, np.float32)
    outs, whole, apart = multiples(pitch, 1, pitch), multiples(pitch, depth, mine), multiples(pitch, WIDTH, pitch)
    samples = (n + ROWS - 1) // ROWS * ROWS
    sources, results = multiples(samples, pitch, n - 1), multiples(samples, WIDTH, samples)
    for left in range(0, depth, WIDTH):
        width = min(WIDTH, depth - left)
        pack_columns(x, left, width, 0, n, panel, WIDTH)
        for i in range(0, pitch, ROWS):
            if width == WIDTH and i + ROWS <= mine:
                start = first * depth + left
                adjacent_tile(dz, 0, outs, zero, pitch, panel, 0, zero, WIDTH, 1, n, flat_dw, start, whole, i, 0)
            else:
                adjacent_tile(dz, 0, outs, zero, pitch, panel, 0, zero, WIDTH, 1, n, scratch, 0, apart, i, 0)
                _unpack(scratch[i * WIDTH :], min(ROWS, mine - i), dw, first + i, left, width)
        if dx.size:
            pack_columns(w, left, width, first, mine, panel, WIDTH)
            for i in range(0, samples, ROWS):
                tile(dz, 0, sources, zero, 1, panel, 0, zero, WIDTH, 1, mine, scratch, 0, results, i, 0)
            _unpack(scratch, n, dx if t == 0 else shares[t - 1], 0, left, width)


@shared(allocates=False)
def _add_shares(t: int, parts: int, shares: Any, dx: Any) -> None:
    first, last = share(t, parts, dx.shape[0])
    for i in range(first, last):
        line = dx[i]
        for k in range(shares.shape[0]):
            more = shares[k, i]
            for q in range(line.size):
                line[q] += more[q]


@jit
def backward(parts: int, adders: int, arguments: Any) -> None:
    """dx = dz W, dW = dzᵀ x, db = Σ dz, with dz = dy · f′; no dx if its array is empty.

    ``shares`` holds what all threads but the first contribute to dx, (parts - 1, N, in); ``adders`` threads add it up.
    """
    dy, y, x, w, f, shares, dx, dw, db = arguments
    _gradients(parts, (dy, y, x, w, f, shares, dx, dw, db))
    if dx.size and parts > 1:
        _add_shares(adders, (shares, dx))
