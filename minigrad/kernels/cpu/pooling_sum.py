"""Sums over windows of any kind, for means and p-norms.

A window is some rows times some columns, so its sum is taken in two steps. The rows of a window are added up into one
``line``; sums over neighbours in the line are the outputs of the whole row of windows. Rows are added in blocks. So are
neighbours, for windows one or two columns apart: the line has zeros on both sides, where windows reach into the
padding. For others a loop goes from each window's first column to its last.

The way back is a sum over windows too: a place in the input receives from the windows that hold it, and along each axis
these are neighbours. Seen so, windows two columns apart are a special case again, of two kinds of places in turn: even
columns lie in the windows around them, odd ones in others.

``spans`` are four tables: each output's first row, the row behind its last, and the same of columns. What a window's
place in the line is, ``layout`` says: see :class:`Layout`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compile import jit
from ..simd import LANES
from .functions import exp32, log32
from .pooling_blocks import (
    FLOATS,
    I64,
    ZERO,
    absolute,
    each_tap,
    in_all_lanes,
    interleaved,
    load,
    memory,
    stepped,
    store,
)

PLAIN, ABSOLUTE, SQUARE = 0, 1, 2  # what is summed: x, |x|, x²
ROOT, TIMES_SIGN, TIMES = 1, 2, 3  # what then becomes of a sum: its root, its product with the sign of a value, with it
BY_SPANS, SPREAD = 0, -1  # instead of a step of 1 or 2: go by the tables; the way back from windows two columns apart


class Layout(NamedTuple):
    """Sizes, and where windows lie in the line.

    ``step`` 1 or 2: window q begins at ``first`` + q · step and has ``taps`` columns. SPREAD: output 2 q is the sum of
    ``taps`` numbers from ``first`` + q on, output 2 q + 1 of ``odd_taps`` from ``odd_first`` + q on. The line begins
    with ``margin`` zeros.
    """

    h: int
    w: int
    oh: int
    ow: int
    step: int
    margin: int
    first: int = 0
    taps: int = 0
    odd_first: int = 0
    odd_taps: int = 0


@intrinsic
def _rows_block(typing_context, x, start, width, rows, kind, line, at):  # type: ignore[no-untyped-def]
    """line[at + l] = Σ f(x[start + l + i · width]) over the rows i."""
    i8 = types.int64
    signature = types.void(x, i8, i8, i8, i8, line, i8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, start, width, rows, kind, _, at = args
        data = memory(context, builder, signature, args, 0)
        total = cgutils.alloca_once(builder, FLOATS)
        builder.store(ir.Constant(FLOATS, [0.0] * LANES), total)
        squares, absolutes = (builder.icmp_signed("==", kind, ir.Constant(I64, k)) for k in (SQUARE, ABSOLUTE))
        with each_tap(builder, start, width, rows) as (_, place):
            v = load(builder, data, place)
            v = builder.select(squares, builder.fmul(v, v), builder.select(absolutes, absolute(builder, v), v))
            builder.store(builder.fadd(builder.load(total), v), total)
        store(builder, builder.load(total), memory(context, builder, signature, args, 5), at)
        return context.get_dummy_value()

    return signature, generate


def _run(builder: Any, line: Any, start: Any, step: Any, taps: Any) -> Any:
    """Σ line[start + l · step + j] over the taps j, in each lane l."""
    total = cgutils.alloca_once(builder, FLOATS)
    builder.store(ir.Constant(FLOATS, [0.0] * LANES), total)
    with each_tap(builder, start, ir.Constant(I64, 1), taps) as (_, place):
        builder.store(builder.fadd(builder.load(total), stepped(builder, line, place, step)), total)
    return builder.load(total)


@intrinsic
def _columns_block(typing_context, line, start, step, taps, scale, scales, column, y, at):  # type: ignore[no-untyped-def]
    """y[at + l] = scale · scales[column + l] · Σ line[start + l · step + j] over the taps j."""
    i8 = types.int64
    signature = types.void(line, i8, i8, i8, types.float32, scales, i8, y, i8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, start, step, taps, scale, _, column, _, at = args
        total = _run(builder, memory(context, builder, signature, args, 0), start, step, taps)
        factor = load(builder, memory(context, builder, signature, args, 5), column)
        total = builder.fmul(total, builder.fmul(factor, in_all_lanes(builder, scale)))
        store(builder, total, memory(context, builder, signature, args, 7), at)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _spread_block(typing_context, line, start, taps, odd_start, odd_taps, scale, y, at):  # type: ignore[no-untyped-def]
    """y[at + 2 l] = scale · Σ line[start + l + j] over the taps j, y[at + 2 l + 1] that of the odd ones."""
    i8 = types.int64
    signature = types.void(line, i8, i8, i8, i8, types.float32, y, i8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, start, taps, odd_start, odd_taps, scale, _, at = args
        data, one = memory(context, builder, signature, args, 0), ir.Constant(I64, 1)
        runs = (_run(builder, data, *run) for run in ((start, one, taps), (odd_start, one, odd_taps)))
        into = memory(context, builder, signature, args, 6)
        factor = in_all_lanes(builder, scale)
        for j, half in enumerate(interleaved(builder, *runs)):
            store(builder, builder.fmul(half, factor), into, builder.add(at, ir.Constant(I64, j * LANES)))
        return context.get_dummy_value()

    return signature, generate


@jit
def _add_rows(x: Any, start: int, w: int, rows: int, kind: int, line: Any, margin: int) -> None:
    """The sum of ``rows`` rows of w numbers into the line, behind its margin."""
    room = x.size - max(rows - 1, 0) * w - LANES
    c = 0
    while c < w and start + c <= room:
        _rows_block(x, start + c, w, rows, kind, line, margin + c)
        c += LANES
    while c < w:
        total = ZERO
        for i in range(rows):
            v = x[start + c + i * w]
            total += v * v if kind == SQUARE else abs(v) if kind == ABSOLUTE else v
        line[margin + c] = total
        c += 1
    for c in range(LANES):  # what the last block wrote behind the row
        line[margin + w + c] = ZERO


@jit
def _add_columns(
    line: Any, layout: Any, lefts: Any, rights: Any, scale: Any, scales: Any, y: Any, at: int, end: int, spare: Any
) -> None:
    """From the line to a row of outputs; those from ``end`` on are another thread's."""
    _, _, _, ow, step, margin, first, taps, odd_first, odd_taps = layout
    if step == BY_SPANS:
        for q in range(ow):
            total = ZERO
            for c in range(margin + lefts[q], margin + rights[q]):
                total += line[c]
            y[at + q] = total * (scale * scales[q])
        return
    lanes = 2 * LANES if step == SPREAD else LANES
    for q in range(0, ow, lanes):
        inside = at + q + lanes <= end
        into, place = (y, at + q) if inside else (spare, 0)
        if step == SPREAD:
            _spread_block(line, first + q // 2, taps, odd_first + q // 2, odd_taps, scale, into, place)
        else:
            _columns_block(line, first + q * step, step, taps, scale, scales, q, into, place)
        if not inside:
            for c in range(min(lanes, ow - q)):
                y[at + q + c] = spare[c]


@jit
def _sum_planes(
    x: Any, y: Any, values: Any, spans: Any, layout: Any, scales: Any, kind: int, then: int, begin: int, end: int
) -> None:
    h, w, oh, ow, _, margin, _, taps, _, _ = layout
    tops, bottoms, lefts, rights = spans
    row_scales, column_scales = scales
    line, spare = np.zeros(2 * margin + w + 2 * ow + taps + 6 * LANES, np.float32), np.empty(2 * LANES, np.float32)
    for n in range(begin, end):
        for o in range(oh):
            at = (n * oh + o) * ow
            top, bottom, scale = tops[o], bottoms[o], row_scales[o]
            same = o > 0 and top == tops[o - 1] and bottom == bottoms[o - 1] and scale == row_scales[o - 1]
            if same:  # on the way back from windows side by side
                row, above = y[at : at + ow], y[at - ow : at]
                for q in range(ow):
                    row[q] = above[q]
            else:
                _add_rows(x, (n * h + top) * w, w, bottom - top, kind, line, margin)
                _add_columns(line, layout, lefts, rights, scale, column_scales, y, at, end * oh * ow, spare)
        if then != PLAIN:
            plane, factors = y[n * oh * ow : (n + 1) * oh * ow], values[n * oh * ow : (n + 1) * oh * ow]
            for k in range(plane.size):
                v = factors[k]
                plane[k] = np.sqrt(plane[k]) if then == ROOT else plane[k] * (v if then == TIMES else np.sign(v))


@jit(parallel=True)
def window_sums(
    x: Any, y: Any, values: Any, spans: Any, layout: Any, scales: Any, kind: int, then: int, parts: int
) -> None:
    """y[o, q] = row_scales[o] · column_scales[q] · Σ f(x) over window (o, q), and what then becomes of it.

    SPREAD takes no notice of the scales of columns.
    """
    planes = y.size // (layout[2] * layout[3])
    for t in prange(parts):
        begin, end = planes * t // parts, planes * (t + 1) // parts
        _sum_planes(x, y, values, spans, layout, scales, kind, then, begin, end)


@jit(parallel=True)
def plane_sums(x: Any, y: Any, factor: Any, parts: int) -> None:
    """y[n] = factor · the sum of plane n."""
    planes = y.size
    for t in prange(parts):
        _plane_sums(x, y, x.size // planes, factor, planes * t // parts, planes * (t + 1) // parts)


@jit
def _plane_sums(x: Any, y: Any, size: int, factor: Any, begin: int, end: int) -> None:
    for n in range(begin, end):
        plane, total = x[n * size : (n + 1) * size], ZERO
        for k in range(size):
            total += plane[k]
        y[n] = factor * total


@jit
def _powers(x: Any, p: Any, signed: bool, y: Any) -> None:
    if p == np.float32(2) or p == np.float32(3):
        cube = p == np.float32(3)
        for i in range(x.size):
            a = abs(x[i])
            y[i] = a * a * (a if cube else np.float32(1))
    else:
        for i in range(x.size):
            y[i] = exp32(p * log32(abs(x[i])))
    if signed:
        for i in range(x.size):
            v = x[i]
            y[i] = y[i] if v > ZERO else -y[i] if v < ZERO else ZERO * v


@jit(parallel=True)
def powers(x: Any, p: Any, signed: bool, y: Any, parts: int) -> None:
    """y = |x|ᵖ, or sign(x) |x|ᵖ."""
    for t in prange(parts):
        begin, end = x.size * t // parts, x.size * (t + 1) // parts
        _powers(x[begin:end], p, signed, y[begin:end])
