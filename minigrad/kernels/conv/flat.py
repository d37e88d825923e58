"""Convolution with few output channels and stride 1, on planes as they are.

``direct.py`` puts output channels into the lanes of a vector. Six channels would leave ten of sixteen lanes empty,
so here a vector holds pixels. In a padded image with rows of Wp pixels, the output (h, w) is number l = h·Wp + w, and
the tap (c, i, j) reads the plane c at l + i·Wp + j: one shift for all pixels. So a tap times a whole line of pixels is
"one number times one vector", the register tile again, with channels as rows and pixels as columns. At the end of each
row a few columns are computed and thrown away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..machine.compile import jit
from ..machine.parallel_for import again, at_most
from ..machine.simd import COLUMNS, LANES, ROWS
from ..machine.sums import wide_zeros
from ..machine.tile import copy_vector, copy_vector_above, dot_tile, multiples, register_tile, zeros
from ..pointwise.activation import NONE
from .direct import add_parts, add_plane_sums, all_finite, through_activation

FEW = ROWS // 2  # output channels of a tile
WIDTH = 2 * COLUMNS * LANES  # pixels of a tile
TAPS = 4 if ROWS == 12 else 3  # of a tile of dot products
TOGETHER = 1024  # pixels: images smaller than that are stacked, for full tiles
flat_tile = register_tile(FEW, 2 * COLUMNS)
dots = dot_tile(FEW, TAPS)


@jit
def _pad(x: Any, start: int, planes: int, h: int, w: int, top: int, left: int, high: int, wide: int, y: Any) -> None:
    """Planes (h, w) of x, at ``start``, into the middle of planes (high, wide) of y."""
    for c in range(planes):
        for i in range(h):
            a, b = start + (c * h + i) * w, (c * high + i + top) * wide + left
            if w >= LANES:
                for j in range(0, w, LANES):
                    at = min(j, w - LANES)  # the last vector steps back
                    copy_vector(x, a + at, y, b + at)
            else:
                line, into = x[a : a + w], y[b : b + w]
                for j in range(w):
                    into[j] = line[j]


@jit(parallel=True)
def correlate(
    x: Any, w: Any, bias: Any, floor: Any, y: Any, active: Any, geometry: Any, starts: Any, images: int, parts: int,
    f: int,
) -> None:  # fmt: skip
    """y = max(x ⋆ w + bias, floor); the arguments are those of :func:`~.direct.correlate`."""
    x_images, to_source, to_result, flip, sources, results, h, wd, top, left, oh, ow, y_images = geometry[:13]
    kh, kw, dh, dw = geometry[13:]
    x_start, w_start, o_start, y_start = starts
    # Padding is shared: a row's left zeros are the previous row's right zeros, an image's upper ones the previous
    # image's lower ones.
    wide, tall = max(ow, wd + left), max(oh, h + top)
    group = max(1, min(images // parts, TOGETHER // (tall * wide)))
    plane = (group * tall + top) * wide
    taps = kh * kw
    blocks = (results + FEW - 1) // FEW
    packed = zeros(blocks * sources * taps * FEW)
    for o in range(results):
        for c in range(sources):
            for k in range(taps):
                tap = taps - 1 - k if flip else k
                place = (o // FEW * sources * taps + c * taps + k) * FEW + o % FEW
                packed[place] = w[w_start + c * to_source + o * to_result + tap]
    length = (group * tall * wide + WIDTH - 1) // WIDTH * WIDTH
    rows, into = multiples(FEW, 1, FEW), multiples(FEW, length, FEW)
    a_runs, b_runs = multiples(sources * kh, kw * FEW, sources * kh), np.empty(sources * kh, np.int64)
    for c in range(sources):
        for i in range(kh):
            b_runs[c * kh + i] = c * plane + i * dh * wide
    before = at_most(parts)
    for t in prange(parts):
        image = zeros(sources * plane + (dh * kh + 1) * wide + WIDTH)
        out = np.empty(FEW * length, np.float32)
        scratch = np.empty(sources * h * wd if f != NONE else 0, np.float32)
        last = (t + 1) * images // parts
        for n in range(t * images // parts, last, group):
            used = min(group, last - n)
            for g in range(used):
                at = g * tall + top
                given, from_ = through_activation(x, (n + g) * x_images + x_start, sources * h * wd, active, f, scratch)
                _pad(given, from_, sources, h, wd, at, left, group * tall + top, wide, image)
            for block in range(blocks):
                start = block * sources * taps * FEW
                for j in range(0, ((used - 1) * tall + oh - 1) * wide + ow, WIDTH):
                    flat_tile(
                        packed, start, rows, a_runs, FEW, image, j, b_runs, dw, sources * kh, kw, out, j, into, 0, 0
                    )  # fmt: skip
                for o in range(block * FEW, min(results, (block + 1) * FEW)):
                    b, lowest = bias[o_start + o], floor[0]
                    for k in range(used * oh):
                        g, i = k // oh, k % oh
                        source = (o - block * FEW) * length + (g * tall + i) * wide
                        to = (n + g) * y_images + y_start + (o * oh + i) * ow
                        if ow >= LANES:
                            for q in range(0, ow, LANES):
                                at = min(q, ow - LANES)
                                copy_vector_above(out, source + at, bias, floor, o_start + o, y, to + at)
                        else:
                            line, target = out[source : source + ow], y[to : to + ow]
                            for q in range(ow):
                                v = line[q] + b
                                target[q] = lowest if v < lowest else v
    again(before)


@jit(parallel=True)
def weight_gradient(
    x: Any, dy: Any, gradient: Any, db: Any, active: Any, geometry: Any, starts: Any, images: int, parts: int, f: int
) -> bool:
    """dw (O, C, KH, KW) as dot products along lines of pixels; dy's lines are filled up with zeros to whole vectors.

    Each thread adds up its own images; the sums of the threads are added in their order, so that the result is always
    the same. Returns whether dw is finite: the zeros meet pixels that a tap does not see, and 0 · ∞ is NaN.
    """
    x_images, _, _, _, sources, results, h, wd, top, left, oh, ow, dy_images, kh, kw, dh, dw = geometry
    x_start, dy_start = starts
    high, wide = oh + dh * (kh - 1), ow + dw * (kw - 1)
    steps = (ow + LANES - 1) // LANES
    pitch = steps * LANES
    blocks = (results + FEW - 1) // FEW
    inner = sources * kh * kw
    columns = (inner + TAPS - 1) // TAPS * TAPS
    b_rows = multiples(columns, 0, 0)
    for k in range(inner):
        c, i, j = k // (kh * kw), k // kw % kh, k % kw
        b_rows[k] = (c * high + i * dh) * wide + j * dw
    a_runs, b_runs = multiples(oh, pitch, oh), multiples(oh, wide, oh)
    sums = wide_zeros(parts * results).reshape((parts, results))
    total = zeros(parts * blocks * FEW * columns * LANES).reshape((parts, blocks * FEW * columns * LANES))
    before = at_most(parts)
    for t in prange(parts):
        image = zeros(sources * high * wide + pitch)
        lines = zeros(blocks * FEW * oh * pitch)
        scratch = np.empty(results * oh * ow if f != NONE else 0, np.float32)
        mine = total[t]
        for n in range(t * images // parts, (t + 1) * images // parts):
            _pad(x, n * x_images + x_start, sources, h, wd, top, left, high, wide, image)
            dz, start = through_activation(dy, n * dy_images + dy_start, results * oh * ow, active, f, scratch)
            add_plane_sums(dz, start, results, oh * ow, sums[t])
            _pad(dz, start, results, oh, ow, 0, 0, oh, pitch, lines)
            for block in range(blocks):
                for j in range(0, columns, TAPS):
                    dots(
                        lines, block * FEW * oh * pitch, oh * pitch, a_runs, image, 0, b_rows, b_runs, j, oh, steps,
                        mine, block * FEW * columns * LANES, columns * LANES,
                    )  # fmt: skip
    again(before)
    add_parts(sums, db)
    for o in range(results):
        for k in range(inner):
            s = np.float32(0)
            for t in range(parts):
                for q in range(LANES):
                    s += total[t, (o * columns + k) * LANES + q]
            gradient[o * inner + k] = s
    return all_finite(gradient)
