"""Convolution by register tiles on channels-last images: any kernel size, stride, padding and dilation.

Each thread takes some of the images, one after the other, and needs memory for one: the image with its padding and
with channels side by side (a transpose of squares in registers), and the result in the same order. Nothing like the
matrix of all windows is ever written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..machine.compile import jit
from ..machine.parallel_for import again, at_most
from ..machine.simd import COLUMNS, LANES, ROWS
from ..machine.sums import sum_of, wide_zeros
from ..machine.tile import multiples, register_tile, transpose_square, transpose_square_above, zeros
from ..pointwise.activation import NONE, activation_dx

WIDTH = COLUMNS * LANES
tile = register_tile(ROWS, COLUMNS)
narrow_tile = register_tile(ROWS, 1)
adjacent_tile = register_tile(ROWS, COLUMNS, adjacent=True)
narrow_adjacent_tile = register_tile(ROWS, 1, adjacent=True)


@jit
def all_finite(numbers: Any) -> bool:
    """Whether no number is infinite or NaN: 0 times such a one is not 0."""
    total = np.float32(0)
    for i in range(numbers.size):
        total += numbers[i] * np.float32(0)
    return total == np.float32(0)


@jit
def through_activation(dy: Any, start: int, count: int, y: Any, f: int, scratch: Any) -> Any:
    """Where dz = dy · f′ of one image is: (array, start). Without an activation that is dy itself."""
    if f == NONE:
        return dy, start
    activation_dx(dy[start : start + count], y[start : start + count], f, scratch)
    return scratch, 0


@jit
def to_pixels(x: Any, start: int, channels: int, pixels: int, y: Any, y_start: int, places: Any) -> None:
    """Planes to pixels: channel c of pixel p, x[start + c·pixels + p], goes to y[y_start + places[p] + c]."""
    if channels >= LANES and pixels >= LANES:
        for c in range(0, channels, LANES):
            top = min(c, channels - LANES)  # the last square steps back
            for p in range(0, pixels, LANES):
                left = min(p, pixels - LANES)
                transpose_square(x, start + top * pixels + left, pixels, y, y_start + top, places, left)
    else:
        for c in range(channels):
            line = x[start + c * pixels : start + (c + 1) * pixels]
            for p in range(pixels):
                y[y_start + places[p] + c] = line[p]


@jit
def to_planes(
    x: Any, pitch: int, channels: int, pixels: int, bias: Any, o_start: int, floor: Any, y: Any, start: int
) -> None:
    """Pixels to planes, with the bias added and what is below ``floor`` cut off: y[start + o·pixels + p]."""
    if channels >= LANES and pixels >= LANES:
        for o in range(0, channels, LANES):
            top = min(o, channels - LANES)
            for p in range(0, pixels, LANES):
                left = min(p, pixels - LANES)
                transpose_square_above(
                    x, left * pitch + top, pitch, bias, floor, o_start + top, y, start + top * pixels + left, pixels
                )
    else:
        lowest = floor[0]
        for o in range(channels):
            line, b = y[start + o * pixels : start + (o + 1) * pixels], bias[o_start + o]
            for p in range(pixels):
                v = x[p * pitch + o] + b
                line[p] = lowest if v < lowest else v


@jit
def pack(
    w: Any, start: int, to_source: int, to_result: int, taps: Any, sources: int, results: int, packed: Any, at: int
) -> None:
    """The weights as B of the tile: panels of WIDTH result channels, in each a row per (tap, source channel).

    A last panel of at most LANES channels is half as wide. w[start + i·to_source + j·to_result + tap] belongs to source
    channel i and result channel j.
    """
    depth = taps.size * sources
    pitch = (results + LANES - 1) // LANES * LANES
    for left in range(0, pitch, WIDTH):
        width = min(WIDTH, pitch - left)
        used = min(width, results - left)
        for t in range(taps.size):
            for i in range(sources):
                row = at + left * depth + (t * sources + i) * width
                place = start + i * to_source + left * to_result + taps[t]
                for j in range(used):
                    packed[row + j] = w[place + j * to_result]
                for j in range(used, width):
                    packed[row + j] = np.float32(0)


@jit
def sum_windows(
    image: Any, packed: Any, at: int, rows: Any, first: int, count: int, runs: Any, depth: int, into: Any, pitch: int,
    out: Any,
) -> None:  # fmt: skip
    """All result channels of ``count`` pixels: those whose windows and places begin at ``first`` in the tables."""
    steps = np.empty(runs.size, np.int64)
    for left in range(0, pitch, WIDTH):
        width = min(WIDTH, pitch - left)
        panel = at + left * runs.size * depth
        for r in range(runs.size):
            steps[r] = r * depth * width
        if width == WIDTH:
            for i in range(first, first + count, ROWS):
                tile(
                    image, 0, rows, runs, 1, packed, panel, steps, WIDTH, runs.size, depth, out, left, into, i, 0
                )  # fmt: skip
        else:
            for i in range(first, first + count, ROWS):
                narrow_tile(
                    image, 0, rows, runs, 1, packed, panel, steps, LANES, runs.size, depth, out, left, into, i, 0
                )  # fmt: skip


@jit
def add_plane_sums(x: Any, start: int, channels: int, pixels: int, sums: Any) -> None:
    """sums[c] += Σ of plane c: the bias's share of one image."""
    for c in range(channels):
        sums[c] += sum_of(x[start + c * pixels : start + (c + 1) * pixels])


@jit
def add_parts(parts: Any, total: Any) -> None:
    """What the threads added up, added in their order."""
    for i in range(total.size):
        for t in range(1, parts.shape[0]):
            parts[0, i] += parts[t, i]
        total[i] = parts[0, i]


@jit(parallel=True)
def correlate(
    x: Any, w: Any, bias: Any, floor: Any, y: Any, active: Any, geometry: Any, starts: Any, tables: Any, images: int,
    parts: int, f: int,
) -> None:  # fmt: skip
    """y = max(x ⋆ w + bias, floor) image by image, for one group; all arrays are flat.

    With an activation f and its output ``active``, x is a gradient that first goes back through f.

    Args:
        geometry: elements of an image of x; from one source channel of w to the next; from one result channel; 1 if
            the taps are read backwards, as the input gradient wants them; source and result channels; h, w and
            padding of what is read; h, w of the result, and elements of an image of it; kernel; dilation.
        starts: the group's first element of x, w, bias and y.
        tables: a :class:`~.plan.Plan`: where everything lies.
        images, parts: how many images, shared out over how many threads.
    """
    x_images, to_source, to_result, _, sources, results, _, _, _, _, _, _, y_images, _, _, _, _ = geometry
    x_start, w_start, o_start, y_start = starts
    places, size, pixels, rows, into, runs, taps, phases, weights = tables
    pitch = (results + LANES - 1) // LANES * LANES
    packed = np.empty(weights * sources * pitch, np.float32)
    for k in range(phases.shape[0]):
        first, count = phases[k, 2], phases[k, 5]
        pack(
            w,
            w_start,
            to_source,
            to_result,
            taps[first : first + count],
            sources,
            results,
            packed,
            first * sources * pitch,
        )
    before = at_most(parts)
    for t in prange(parts):
        image = zeros(size + LANES)
        out = np.empty(pixels * pitch, np.float32)
        scratch = np.empty(sources * places.size if f != NONE else 0, np.float32)
        for n in range(t * images // parts, (t + 1) * images // parts):
            given, at = through_activation(x, n * x_images + x_start, sources * places.size, active, f, scratch)
            to_pixels(given, at, sources, places.size, image, 0, places)
            for k in range(phases.shape[0]):
                at = phases[k, 2] * sources * pitch
                used = runs[phases[k, 1] : phases[k, 1] + phases[k, 4]]
                sum_windows(image, packed, at, rows, phases[k, 0], phases[k, 3], used, phases[k, 6], into, pitch, out)
            to_planes(out, pitch, results, pixels, bias, o_start, floor, y, n * y_images + y_start)
    again(before)


@jit(parallel=True)
def weight_gradient(
    x: Any, dy: Any, dw: Any, db: Any, active: Any, geometry: Any, starts: Any, tables: Any, images: int, parts: int,
    f: int,
) -> None:  # fmt: skip
    """dw (O, C, taps) and db (O): the tile's rows are (tap, channel) of x, its columns the channels of dy, and k runs
    over the pixels, a row of dy after the other.

    The arguments are as in :func:`correlate`; ``starts`` are those of x and dy, ``tables`` a
    :class:`~.plan.WeightPlan`.

    Each thread adds up its own images; the sums of the threads are added in their order, so that the result is always
    the same.
    """
    x_images, _, _, _, sources, results, _, _, _, _, _, _, dy_images, kh, kw, _, _ = geometry
    x_start, dy_start = starts
    places, size, rows, into, runs, step, runs_dy, depth = tables
    taps = kh * kw
    pitch = (results + LANES - 1) // LANES * LANES
    inner = taps * sources
    sums = wide_zeros(parts * results).reshape((parts, results))
    total = np.empty((parts, (inner + 1) * pitch), np.float32)  # one spare row absorbs the last tile's padding rows
    pixels = runs_dy.size * depth
    wide, slim = multiples(pixels, WIDTH, pixels), multiples(pixels, LANES, pixels)
    runs_wide, runs_slim = (
        multiples(runs_dy.size, depth * WIDTH, pixels),
        multiples(runs_dy.size, depth * LANES, pixels),
    )
    before = at_most(parts)
    for t in prange(parts):
        image = zeros(size + LANES * ROWS)
        gradient = zeros(pixels * pitch)
        scratch = np.empty(results * pixels if f != NONE else 0, np.float32)
        mine = total[t]
        first = t * images // parts
        for n in range(first, (t + 1) * images // parts):
            to_pixels(x, n * x_images + x_start, sources, places.size, image, 0, places)
            dz, start = through_activation(dy, n * dy_images + dy_start, results * pixels, active, f, scratch)
            add_plane_sums(dz, start, results, pixels, sums[t])
            for left in range(0, pitch, WIDTH):
                width = min(WIDTH, pitch - left)
                used = min(width, results - left)
                panel = left * pixels
                to_pixels(dz, start + left * pixels, used, pixels, gradient, panel, wide if width == WIDTH else slim)
                if width == WIDTH:
                    for i in range(0, rows.size, ROWS):
                        adjacent_tile(
                            image, 0, rows, runs, step, gradient, panel, runs_wide, WIDTH, runs.size, depth,
                            mine, left, into, i, 1 if n > first else 0,
                        )  # fmt: skip
                else:
                    for i in range(0, rows.size, ROWS):
                        narrow_adjacent_tile(
                            image, 0, rows, runs, step, gradient, panel, runs_slim, LANES, runs.size, depth,
                            mine, left, into, i, 1 if n > first else 0,
                        )  # fmt: skip
    again(before)
    add_parts(sums, db)
    for tap in range(taps):
        for c in range(sources):
            row = (tap * sources + c) * pitch
            for o in range(results):
                s = np.float32(0)
                for t in range(parts):
                    s += total[t, row + o]
                dw[(o * sources + c) * taps + tap] = s
