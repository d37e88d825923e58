"""3 × 3 convolution with stride 1 in a quarter of the multiplications: Winograd's F(4 × 4, 3 × 3).

A correlation of 6 inputs with 3 weights gives 4 outputs and takes 12 products the plain way. But it is the transpose of
a product of polynomials, and a product of degree 5 is known from its values at 6 points: 6 products, one per point. So

    y = Aᵀ ((G g) ⊙ (Bᵀ d))

For 2 outputs of 3 weights there are 4 points, 0, 1, −1 and ∞, and 4 products in the place of 6:

    >>> d, g = (1, 2, 3, 4), (2, 1, 3)
    >>> at_0, at_infinity = (d[0] - d[2]) * g[0], (d[1] - d[3]) * g[2]
    >>> at_1, at_minus_1 = (d[1] + d[2]) * (g[0] + g[1] + g[2]) / 2, (d[2] - d[1]) * (g[0] - g[1] + g[2]) / 2
    >>> at_0, at_1, at_minus_1, at_infinity
    (-4, 15.0, 2.0, -6)
    >>> at_0 + at_1 + at_minus_1, at_1 - at_minus_1 - at_infinity
    (13.0, 19.0)
    >>> 1 * 2 + 2 * 1 + 3 * 3, 2 * 2 + 3 * 1 + 4 * 3  # the plain way
    (13, 19)

In the equation above G evaluates the weights at the points, Bᵀ combines the inputs, and Aᵀ makes the outputs. In two
dimensions, along both axes: 36 products instead of 144 for a square of 4 × 4 outputs. Per point (ξ, ν) and summed over
channels, the products of all squares ("tiles") are one matrix product, tiles × channels times channels × outputs: the
register tile.

The points are 0, ±5/8, ±3/2 and ∞. The usual ±1, ±2 make larger numbers, whose rounding errors are twice as large;
with these points the root mean square error is about 1.6 times that of the plain sum. An infinity or a NaN reaches
outputs that do not see it: every output is a difference of products in which all inputs of the tile take part. So both
functions here say where what they computed is not finite, and the plain sum does that again.

The two gradients follow by transposing. y is linear in g, so dg = Gᵀ ((Bᵀ d B) ⊙ (A dy Aᵀ)) G, summed over the tiles.
The gradient of the input is a convolution of dy with the turned kernel, so the forward pass serves.

Sources: A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks" (2015); S. Winograd, "Arithmetic
complexity of computations" (1980), for the construction from points.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numba.extending import intrinsic

from ..machine.compile import jit
from ..machine.parallel_for import again, at_most
from ..machine.simd import COLUMNS, LANES, ROWS
from ..machine.sums import wide_zeros
from ..machine.tile import multiples, register_tile, zeros
from ..machine.vector import Emitter, Vector, emitted
from ..pointwise.activation import NONE
from .direct import add_parts, add_plane_sums, all_finite, through_activation, to_pixels, to_planes

OUT, TAPS, IN = 4, 3, 6  # along one axis: outputs of a tile, weights, inputs
POINTS = IN * IN
WIDTH = COLUMNS * LANES
BLOCK = 2 * WIDTH  # output channels worked on at a time: their weights stay in the cache
TILES = 2 * ROWS  # tiles worked on at a time

tile = register_tile(ROWS, COLUMNS)
narrow_tile = register_tile(ROWS, 1)
adjacent_tile = register_tile(ROWS, COLUMNS, adjacent=True)
narrow_adjacent_tile = register_tile(ROWS, 1, adjacent=True)


def _matrices(points: list[float]) -> tuple[Any, Any, Any]:
    """Aᵀ (4, 6), G (6, 3), Bᵀ (6, 6) from five points; the sixth is infinity, where a polynomial is its top one.

    Evaluating at the points gives A and G. Bᵀ holds Lagrange's polynomials, by their coefficients: interpolation,
    transposed. Their denominators go to G.
    """
    a = np.array(points)
    others = [np.delete(a, i) for i in range(a.size)]
    lagrange = np.zeros((IN, IN))
    for i, rest in enumerate(others):
        lagrange[i, : IN - 1] = np.poly(rest)[::-1]
    lagrange[IN - 1] = np.poly(a)[::-1]
    scale = np.array([1 / np.prod(a[i] - rest) for i, rest in enumerate(others)])
    top = np.append(np.zeros(OUT - 1), 1.0), np.append(np.zeros(TAPS - 1), 1.0)
    outputs = np.vstack([np.vander(a, OUT, increasing=True), top[0]])
    weights = np.vstack([np.vander(a, TAPS, increasing=True) * scale[:, None], top[1]])
    return outputs.T, weights, lagrange


TO_OUTPUT, OF_WEIGHT, OF_INPUT = _matrices([0.0, 0.625, -0.625, 1.5, -1.5])


def _combine(matrix: Any, vectors: list[Vector]) -> list[Vector]:
    """matrix · vectors, leaving out products with 0."""
    results = []
    for row in matrix:
        terms = [(float(f), v) for f, v in zip(row, vectors, strict=True) if f]
        total = terms[0][1] * terms[0][0] if terms[0][0] != 1 else terms[0][1]
        for factor, v in terms[1:]:
            total = total + v * factor
        results.append(total)
    return results


def _transform(matrix: Any, square: list[list[Vector]]) -> list[list[Vector]]:
    """matrix · square · matrixᵀ: first along the columns, then along the rows."""
    columns = [_combine(matrix, list(column)) for column in zip(*square, strict=True)]
    return [_combine(matrix, list(row)) for row in zip(*columns, strict=True)]


def _from_points(emit: Emitter, memory: Any, step: Any) -> list[list[Vector]]:
    return [[emit.load(memory, emit.times(IN * i + j, step)) for j in range(IN)] for i in range(IN)]


def _to_points(emit: Emitter, square: list[list[Vector]], memory: Any, step: Any) -> None:
    for i, row in enumerate(square):
        for j, v in enumerate(row):
            emit.store(v, memory, emit.times(IN * i + j, step))


def _of_pixels(matrix: Any, size: int) -> Any:
    @intrinsic
    def transform(typing_context, x, x_start, x_rows, x_step, y, y_start, y_step):  # type: ignore[no-untyped-def]
        def body(
            emit: Emitter, x: Any, x_start: Any, x_rows: Any, x_step: Any, y: Any, y_start: Any, y_step: Any
        ) -> None:
            lines = [emit.at(x, emit.plus(x_start, emit.times(i, x_rows))) for i in range(size)]
            square = [[emit.load(line, emit.times(j, x_step)) for j in range(size)] for line in lines]
            _to_points(emit, _transform(matrix, square), emit.at(y, y_start), y_step)

        return emitted(body, x, x_start, x_rows, x_step, y, y_start, y_step)

    return transform


# Squares of pixels (rows x_rows apart, pixels x_step) to 36 values y_step apart, LANES channels at once.
input_to_points = _of_pixels(OF_INPUT, IN)  # Bᵀ d B
gradient_to_points = _of_pixels(TO_OUTPUT.T, OUT)  # A dy Aᵀ
weight_to_points = _of_pixels(OF_WEIGHT, TAPS)  # G g Gᵀ


@intrinsic
def points_to_output(typing_context, m, m_start, m_step, y, y_start, places, first, watch, at):  # type: ignore[no-untyped-def]
    """Aᵀ m A: the outputs of a tile go to y_start + places[first …], in row-major order.

    The vector of ``watch`` at ``at`` turns NaN if any number of m is not finite: each takes part in at least one of the
    four corners.
    """

    def body(
        emit: Emitter, m: Any, m_start: Any, m_step: Any, y: Any, y_start: Any, places: Any, first: Any, watch: Any,
        at: Any,
    ) -> None:  # fmt: skip
        into, table = emit.at(y, y_start), emit.at(places, first)
        square = _transform(TO_OUTPUT, _from_points(emit, emit.at(m, m_start), m_step))
        for k, v in enumerate(v for row in square for v in row):
            emit.store(v, into, emit.element(table, k))
        corners = square[0][0] + square[0][-1] + square[-1][0] + square[-1][-1]
        emit.store(emit.load(watch, at) + corners * 0.0, watch, at)

    return emitted(body, m, m_start, m_step, y, y_start, places, first, watch, at)


@intrinsic
def points_to_weight(typing_context, m, m_start, m_step, y):  # type: ignore[no-untyped-def]
    """Gᵀ m G: nine vectors, one behind the other."""

    def body(emit: Emitter, m: Any, m_start: Any, m_step: Any, y: Any) -> None:
        square = _transform(OF_WEIGHT.T, _from_points(emit, emit.at(m, m_start), m_step))
        for k, v in enumerate(v for row in square for v in row):
            emit.store(v, y, k * LANES)

    return emitted(body, m, m_start, m_step, y)


@jit
def scaled(table: Any, step: int) -> Any:
    """table · step."""
    result = np.empty_like(table)
    for i in range(table.size):
        result[i] = table[i] * step
    return result


@jit
def _weights(
    w: Any, start: int, to_source: int, to_result: int, flip: int, sources: int, first: int, last: int, results: int,
    points: Any,
) -> None:  # fmt: skip
    """G g Gᵀ for source channels ``first`` to ``last``: panels of WIDTH results, in each (36, sources, width)."""
    pitch = (results + LANES - 1) // LANES * LANES
    taps = np.zeros(TAPS * TAPS * LANES, np.float32)
    for left in range(0, pitch, WIDTH):
        width = min(WIDTH, pitch - left)
        for part in range(0, width, LANES):
            used = min(LANES, results - left - part)
            taps[:] = np.float32(0)
            for c in range(first, last):
                place = start + c * to_source + (left + part) * to_result
                for k in range(TAPS * TAPS):
                    tap = TAPS * TAPS - 1 - k if flip else k
                    for j in range(used):
                        taps[k * LANES + j] = w[place + j * to_result + tap]
                weight_to_points(
                    taps, 0, TAPS * LANES, LANES, points, left * POINTS * sources + c * width + part, sources * width
                )


@jit
def _input_tile(image: Any, start: int, row: int, channels: int, points: Any, slot: int, tiles: int) -> None:
    """Bᵀ d B of one tile for all channels; the last vector steps back."""
    for c in range(0, channels, LANES):
        left = min(c, channels - LANES)
        input_to_points(image, start + left, row, channels, points, slot * channels + left, tiles * channels)


@jit(parallel=True)
def correlate(
    x: Any, w: Any, bias: Any, floor: Any, y: Any, active: Any, geometry: Any, starts: Any, images: int, parts: int,
    f: int,
) -> Any:  # fmt: skip
    """y = max(x ⋆ w + bias, floor); the arguments are those of :func:`~.direct.correlate`.

    Returns the numbers of images and channels that are not finite.
    """
    x_images, to_source, to_result, flip, sources, results, h, wd, top, left, oh, ow, y_images, _, _, _, _ = geometry
    x_start, w_start, o_start, y_start = starts
    down, across = (oh + OUT - 1) // OUT, (ow + OUT - 1) // OUT
    count, wide, pixels = down * across, OUT * across + TAPS - 1, oh * ow
    high = OUT * down + TAPS - 1
    pitch = (results + LANES - 1) // LANES * LANES
    weights = np.empty(POINTS * sources * pitch, np.float32)
    before = at_most(parts)
    for t in prange(parts):
        _weights(
            w, w_start, to_source, to_result, flip, sources, t * sources // parts, (t + 1) * sources // parts, results,
            weights,
        )  # fmt: skip
    again(before)
    places = np.empty(h * wd, np.int64)
    for i in range(h):
        for j in range(wd):
            places[i * wd + j] = ((i + top) * wide + j + left) * sources
    into = np.empty(count * OUT * OUT, np.int64)  # pixels outside the image go to a dummy last slot
    for k in range(into.size):
        i, j = k // (OUT * OUT) // across * OUT + k % (OUT * OUT) // OUT, k // (OUT * OUT) % across * OUT + k % OUT
        into[k] = i * ow + j if i < oh and j < ow else pixels
    rows, zero = multiples(TILES, sources, TILES), multiples(1, 0, 0)
    watch = zeros(images * pitch)
    before = at_most(parts)
    for t in prange(parts):
        image = zeros(high * wide * sources)
        points = zeros(POINTS * TILES * sources)
        scratch = np.empty(sources * h * wd if f != NONE else 0, np.float32)
        for block in range(0, pitch, BLOCK):
            across_block = min(BLOCK, pitch - block)
            products = np.empty(POINTS * TILES * across_block, np.float32)
            out = np.empty((pixels + 1) * across_block, np.float32)
            slots, targets = multiples(TILES, across_block, TILES), scaled(into, across_block)
            begin, end = t * images // parts * count, (t + 1) * images // parts * count
            for first in range(begin, end, TILES):
                used = min(TILES, end - first)
                for k in range(used):
                    n, number = (first + k) // count, (first + k) % count
                    if number == 0:
                        given, at = through_activation(x, n * x_images + x_start, sources * h * wd, active, f, scratch)
                        to_pixels(given, at, sources, h * wd, image, 0, places)
                    start = (number // across * OUT * wide + number % across * OUT) * sources
                    _input_tile(image, start, wide * sources, sources, points, k, TILES)
                for panel in range(0, across_block, WIDTH):
                    width = min(WIDTH, across_block - panel)
                    for point in range(POINTS):
                        a, b = point * TILES * sources, ((block + panel) * POINTS + point * width) * sources
                        c = point * TILES * across_block + panel
                        for i in range(0, used, ROWS):
                            if width == WIDTH:
                                tile(
                                    points,
                                    a,
                                    rows,
                                    zero,
                                    1,
                                    weights,
                                    b,
                                    zero,
                                    WIDTH,
                                    1,
                                    sources,
                                    products,
                                    c,
                                    slots,
                                    i,
                                    0,
                                )
                            else:
                                narrow_tile(
                                    points,
                                    a,
                                    rows,
                                    zero,
                                    1,
                                    weights,
                                    b,
                                    zero,
                                    LANES,
                                    1,
                                    sources,
                                    products,
                                    c,
                                    slots,
                                    i,
                                    0,
                                )
                for k in range(used):
                    n, number = (first + k) // count, (first + k) % count
                    for part in range(0, across_block, LANES):
                        points_to_output(
                            products, k * across_block + part, TILES * across_block, out, part, targets,
                            number * OUT * OUT, watch, n * pitch + block + part,
                        )  # fmt: skip
                    if number == count - 1:
                        to_planes(
                            out, across_block, min(across_block, results - block), pixels, bias, o_start + block, floor,
                            y, n * y_images + y_start + block * pixels,
                        )  # fmt: skip
    again(before)
    return np.nonzero(watch.reshape((images, pitch))[:, :results] != np.float32(0))


@jit(parallel=True)
def weight_gradient(
    x: Any, dy: Any, dw: Any, db: Any, active: Any, geometry: Any, starts: Any, images: int, parts: int, f: int
) -> bool:
    """dw (O, C, 3, 3) and db (O). The work is shared out by blocks of output channels, and by images where those are
    too few; what the parts of the images add up is added in their order. Returns whether dw is finite."""
    x_images, _, _, _, sources, results, h, wd, top, left, oh, ow, dy_images, _, _, _, _ = geometry
    x_start, dy_start = starts
    down, across = (oh + OUT - 1) // OUT, (ow + OUT - 1) // OUT
    count, wide, pixels = down * across, OUT * across + TAPS - 1, oh * ow
    high, wide_dy = OUT * down + TAPS - 1, OUT * across
    pitch = (results + LANES - 1) // LANES * LANES
    blocks = (pitch + BLOCK - 1) // BLOCK
    shares = 1 if blocks % parts == 0 else min(parts, images)
    places, places_dy = np.empty(h * wd, np.int64), np.empty(pixels, np.int64)
    for i in range(h):
        for j in range(wd):
            places[i * wd + j] = ((i + top) * wide + j + left) * sources
    for i in range(oh):
        for j in range(ow):
            places_dy[i * ow + j] = i * wide_dy + j
    padded = (sources + ROWS - 1) // ROWS * ROWS
    rows, zero = multiples(padded, 1, padded), multiples(1, 0, 0)
    sums = wide_zeros(shares * results).reshape((shares, results))
    size = POINTS * (sources + 1) * pitch
    total = zeros(shares * size).reshape((shares, size))
    for task in prange(shares * blocks):
        share, block = task // blocks, task % blocks * BLOCK
        across_block = min(BLOCK, pitch - block)
        used_channels = min(across_block, results - block)
        image = zeros(high * wide * sources)
        gradient = zeros(OUT * down * wide_dy * across_block)
        points = zeros(POINTS * TILES * sources + ROWS)
        factors = zeros(POINTS * TILES * across_block)
        scratch = np.empty(used_channels * pixels if f != NONE else 0, np.float32)
        targets = scaled(places_dy, across_block)
        into = multiples(padded, across_block, sources)  # rows beyond the last channel go to one too many
        mine = total[share, POINTS * (sources + 1) * block :]
        begin, end = share * images // shares * count, (share + 1) * images // shares * count
        for first in range(begin, end, TILES):
            used = min(TILES, end - first)
            for k in range(used):
                n, number = (first + k) // count, (first + k) % count
                if number == 0:
                    at = n * dy_images + dy_start + block * pixels
                    dz, start = through_activation(dy, at, used_channels * pixels, active, f, scratch)
                    to_pixels(x, n * x_images + x_start, sources, h * wd, image, 0, places)
                    to_pixels(dz, start, used_channels, pixels, gradient, 0, targets)
                    add_plane_sums(dz, start, used_channels, pixels, sums[share, block:])
                i, j = number // across * OUT, number % across * OUT
                _input_tile(image, (i * wide + j) * sources, wide * sources, sources, points, k, TILES)
                for part in range(0, across_block, LANES):
                    gradient_to_points(
                        gradient, (i * wide_dy + j) * across_block + part, wide_dy * across_block, across_block,
                        factors, k * across_block + part, TILES * across_block,
                    )  # fmt: skip
            for panel in range(0, across_block, WIDTH):
                for point in range(POINTS):
                    a, b = point * TILES * sources, point * TILES * across_block + panel
                    c = point * (sources + 1) * across_block + panel
                    for i in range(0, padded, ROWS):
                        if across_block - panel >= WIDTH:
                            adjacent_tile(
                                points, a, rows, zero, sources, factors, b, zero, across_block, 1, used, mine, c, into,
                                i, 1,
                            )  # fmt: skip
                        else:
                            narrow_adjacent_tile(
                                points, a, rows, zero, sources, factors, b, zero, across_block, 1, used, mine, c, into,
                                i, 1,
                            )  # fmt: skip
    add_parts(sums, db)
    before = at_most(parts)
    for t in prange(parts):
        taps = np.empty(TAPS * TAPS * LANES, np.float32)
        for block in range(0, pitch, BLOCK):
            across_block = min(BLOCK, pitch - block)
            for c in range(t * sources // parts, (t + 1) * sources // parts):
                for part in range(0, across_block, LANES):
                    place = POINTS * (sources + 1) * block + c * across_block + part
                    step = (sources + 1) * across_block
                    for share in range(1, shares):
                        for point in range(POINTS):
                            at = place + point * step
                            for q in range(LANES):
                                total[0, at + q] += total[share, at + q]
                    points_to_weight(total[0], place, step, taps)
                    for q in range(min(LANES, results - block - part)):
                        o = block + part + q
                        for k in range(TAPS * TAPS):
                            dw[(o * sources + c) * TAPS * TAPS + k] = taps[k * LANES + q]
    again(before)
    return all_finite(dw)
