"""Maxima of windows of any kind.

``max_windows`` works on windows one or two columns apart: a block of neighbouring windows goes through all taps, with
the largest numbers so far and the taps they came from in registers. Where windows reach into the padding, a plane is
first laid into a frame of −∞, so that no block has to look for edges.

``max_spans`` takes any windows, in two steps: for each column, the largest number in the rows of a window and the first
row where it stands, which is done in blocks; then, for each window, the largest of its columns. ``max_back`` is the way
back from both.

A tap (i, j) has the number i · ``across`` + j. Of equal numbers the first tap counts; of NaNs, which beat everything,
the last one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..machine.compile import jit
from ..machine.parallel_for import again, at_most
from ..machine.simd import LANES
from .blocks import FLOATS, I8, I32, ZERO, each_tap, exceeds, in_all_lanes, load, memory, stepped, store

MINUS_INFINITY = np.float32(-np.inf)


def _start(builder: Any, place: Any) -> tuple[Any, Any]:
    """Where a block keeps the largest numbers so far, now −∞, and the taps they came from, now ``place``."""
    best, found = cgutils.alloca_once(builder, FLOATS), cgutils.alloca_once(builder, place.type)
    builder.store(ir.Constant(FLOATS, [float("-inf")] * LANES), best)
    builder.store(place, found)
    return best, found


def _fold(builder: Any, best: Any, found: Any, v: Any, number: Any) -> None:
    """Compare with v, the numbers of tap ``number``."""
    old = builder.load(best)
    better = exceeds(builder, v, old)
    builder.store(builder.select(better, v, old), best)
    builder.store(builder.select(better, in_all_lanes(builder, builder.trunc(number, I32)), builder.load(found)), found)


# --- windows one or two columns apart ---------------------------------------------------------------------------------


@intrinsic
def _windows_block(  # type: ignore[no-untyped-def]
    typing_context, x, start, step, row_step, tap_step, zeroth, rows, taps, firsts, column, y, tap, at
):
    """y[at + l] = the largest x[start + l·step + i·row_step + j·tap_step] over ``rows`` and ``taps``, and
    tap[at + l] = zeroth + i·taps + j where it was found: zeroth + firsts[column + l] if nothing exceeds −∞."""
    i8 = types.int64
    signature = types.void(x, i8, i8, i8, i8, i8, i8, i8, firsts, i8, y, tap, i8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, start, step, row_step, tap_step, zeroth, rows, taps, _, column, _, _, at = args
        data = memory(context, builder, signature, args, 0)
        first = load(builder, memory(context, builder, signature, args, 8), column, I32)
        best, found = _start(builder, builder.add(first, in_all_lanes(builder, builder.trunc(zeroth, I32))))
        with each_tap(builder, start, row_step, rows) as (i, line):
            line_zeroth = builder.add(zeroth, builder.mul(i, taps))
            with each_tap(builder, line, tap_step, taps) as (j, place):
                _fold(builder, best, found, stepped(builder, data, place, step), builder.add(line_zeroth, j))
        store(builder, builder.load(best), memory(context, builder, signature, args, 10), at)
        small = builder.trunc(builder.load(found), ir.VectorType(I8, LANES))
        store(builder, small, memory(context, builder, signature, args, 11), at)
        return context.get_dummy_value()

    return signature, generate


@jit
def _framed(x: Any, start: int, h: int, w: int, left: int, frame: Any, width: int) -> None:
    """A plane of h × w numbers into the frame, ``left`` columns from its left edge."""
    for i in range(h):
        row, into = x[start + i * w : start + (i + 1) * w], frame[i * width + left : i * width + left + w]
        for j in range(w):
            into[j] = row[j]


@jit
def _window_planes(x: Any, y: Any, tap: Any, begin: int, end: int, shape: Any) -> None:
    h, w, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw = shape
    firsts = np.zeros(ow + LANES, np.int32)  # the first tap of each window that is not in the padding to the left
    for q in range(ow):
        firsts[q] = (max(pw - q * sw, 0) + dw - 1) // dw
    width = max((ow - 1) * sw + (kw - 1) * dw + 1, w + pw)  # of rows in which every window lies inside
    beyond = (kw - 1) * dw + (sw + 1) * LANES  # how far the last block of a row reaches
    frame = np.full(h * width + beyond, MINUS_INFINITY)
    last = end * oh * ow
    for n in range(begin, end):
        start = n * h * w
        padded = width > w or start + h * w + beyond > x.size
        if padded:
            _framed(x, start, h, w, pw, frame, width)
        source, corner = (frame, 0) if padded else (x, start)
        for o in range(oh):
            top, at = o * sh - ph, (n * oh + o) * ow
            skipped = (-top + dh - 1) // dh if top < 0 else 0
            rows = min(kh, (h - 1 - top) // dh + 1) - skipped
            line, zeroth = corner + (top + skipped * dh) * width, skipped * kw
            q = 0
            while q < ow and at + q + LANES <= last:
                place = line + q * sw
                _windows_block(source, place, sw, width * dh, dw, zeroth, rows, kw, firsts, q, y, tap, at + q)
                q += LANES
            while q < ow:
                best, found = MINUS_INFINITY, zeroth + firsts[q]
                for k in range(rows * kw):
                    i, j = divmod(k, kw)
                    v = source[line + q * sw + i * width * dh + j * dw]
                    if v > best or v != v:
                        best, found = v, zeroth + k
                y[at + q], tap[at + q] = best, found
                q += 1


@jit(parallel=True)
def max_windows(x: Any, y: Any, tap: Any, shape: Any, parts: int) -> None:
    """shape: the pairs (rows, columns) of sizes, outputs, kernel, stride (of columns 1 or 2), padding, dilation. Taps
    are bytes."""
    planes = x.size // (shape[0] * shape[1])
    before = at_most(parts)
    for t in prange(parts):
        _window_planes(x, y, tap, planes * t // parts, planes * (t + 1) // parts, shape)
    again(before)


# --- any windows ------------------------------------------------------------------------------------------------------


@intrinsic
def _rows_block(typing_context, x, start, step, zeroth, rows, best, found, at):  # type: ignore[no-untyped-def]
    """best[at + l] = the largest x[start + l + i · step] over ``rows``, found[at + l] = zeroth + i where it stood."""
    i8 = types.int64
    signature = types.void(x, i8, i8, i8, i8, best, found, i8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, start, step, zeroth, rows, _, _, at = args
        data = memory(context, builder, signature, args, 0)
        best, found = _start(builder, in_all_lanes(builder, builder.trunc(zeroth, I32)))
        with each_tap(builder, start, step, rows) as (i, place):
            _fold(builder, best, found, load(builder, data, place), builder.add(zeroth, i))
        store(builder, builder.load(best), memory(context, builder, signature, args, 5), at)
        store(builder, builder.load(found), memory(context, builder, signature, args, 6), at)
        return context.get_dummy_value()

    return signature, generate


@jit
def _inside(start: int, taps: int, dilation: int, size: int) -> tuple[int, int]:
    """The first tap that lies inside, and how many do."""
    skipped = (-start + dilation - 1) // dilation if start < 0 else 0
    return skipped, min(taps, (size - 1 - start) // dilation + 1) - skipped


@jit
def _span_planes(x: Any, y: Any, tap: Any, spans: Any, numbers: Any, begin: int, end: int) -> None:
    h, w, across, dh, dw = numbers
    tops, heights, lefts, widths = spans
    oh, ow = tops.size, lefts.size
    best, found = np.empty(w + LANES, np.float32), np.empty(w + LANES, np.int32)
    for n in range(begin, end):
        for o in range(oh):
            zeroth, rows = _inside(tops[o], heights[o], dh, h)
            start, at = (n * h + tops[o] + zeroth * dh) * w, (n * oh + o) * ow
            room = x.size - (rows - 1) * dh * w - LANES
            c = 0
            while c < w and start + c <= room:
                _rows_block(x, start + c, dh * w, zeroth, rows, best, found, c)
                c += LANES
            while c < w:
                best[c], found[c] = x[start + c], zeroth
                for i in range(1, rows):
                    v = x[start + c + i * dh * w]
                    if v > best[c] or v != v:
                        best[c], found[c] = v, zeroth + i
                c += 1
            for q in range(ow):
                first, columns = _inside(lefts[q], widths[q], dw, w)
                c = lefts[q] + first * dw
                most, place = best[c], found[c] * across + first
                for j in range(first + 1, first + columns):
                    c += dw
                    v, number = best[c], found[c] * across + j
                    if v > most or (v == most and number < place) or (v != v and (most == most or number > place)):
                        most, place = v, number
                y[at + q], tap[at + q] = most, place


@jit(parallel=True)
def max_spans(x: Any, y: Any, tap: Any, spans: Any, numbers: Any, parts: int) -> None:
    """spans: each window's first row (negative in the padding), how many rows it has, and the same of columns; numbers:
    h, w, across, and the dilation of rows and columns."""
    planes = x.size // (numbers[0] * numbers[1])
    before = at_most(parts)
    for t in prange(parts):
        _span_planes(x, y, tap, spans, numbers, planes * t // parts, planes * (t + 1) // parts)
    again(before)


# --- the backward pass ------------------------------------------------------------------------------------------------


@jit
def _back_planes(dy: Any, tap: Any, dx: Any, tops: Any, lefts: Any, numbers: Any, begin: int, end: int) -> None:
    h, w, across, dh, dw, taps = numbers
    oh, ow = tops.size, lefts.size
    offsets = np.empty(taps, np.int64)
    for k in range(taps):
        i, j = divmod(k, across)
        offsets[k] = i * dh * w + j * dw
    for n in range(begin, end):
        dx[n * h * w : (n + 1) * h * w] = ZERO
        for o in range(oh):
            at, start = (n * oh + o) * ow, (n * h + tops[o]) * w
            for q in range(ow):
                dx[start + lefts[q] + offsets[tap[at + q]]] += dy[at + q]


@jit(parallel=True)
def max_back(dy: Any, tap: Any, dx: Any, tops: Any, lefts: Any, numbers: Any, parts: int) -> None:
    """dx = Σ dy of the windows whose largest x was. numbers: as for :func:`max_spans`, and how many taps there are."""
    planes = dx.size // (numbers[0] * numbers[1])
    before = at_most(parts)
    for t in prange(parts):
        _back_planes(dy, tap, dx, tops, lefts, numbers, planes * t // parts, planes * (t + 1) // parts)
    again(before)


@jit
def places(tap: Any, tops: Any, lefts: Any, numbers: Any) -> Any:
    """The places h · W + w of all taps."""
    _, w, across, dh, dw = numbers
    oh, ow = tops.size, lefts.size
    found = np.empty(tap.size, np.int64)
    for n in range(tap.size // (oh * ow)):
        for o in range(oh):
            for q in range(ow):
                at = (n * oh + o) * ow + q
                i, j = divmod(np.int64(tap[at]), across)
                found[at] = (tops[o] + i * dh) * w + lefts[q] + j * dw
    return found
