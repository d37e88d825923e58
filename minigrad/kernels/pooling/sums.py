"""Sums over windows of any kind, for means and p-norms.

A window is some rows times some columns, so its sum is taken in two steps, both in blocks. Forward, the rows of a
window are added up into one line, then columns of the line. Backward, a place receives from the windows that hold it,
and these again are some rows times some columns: of the gradients, first columns are added up, then rows. So the
columns, which cost more, are done for the fewer rows each time.

Rows are neighbours, and :class:`Plan` has the first one and the one behind the last. The columns of an output are
neighbours too where windows are one column apart; for others, a table tells where in the line each of them stands. The
line has zeros on both sides, where windows reach into the padding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..machine.compile import jit
from ..machine.parallel_for import again, at_most
from ..machine.simd import LANES
from ..machine.sums import sum_of
from ..pointwise.functions import exp32, log32
from .blocks import (
    FLOATS,
    I32,
    I64,
    ZERO,
    absolute,
    each_tap,
    in_all_lanes,
    load,
    memory,
    store,
)

PLAIN, ABSOLUTE, SQUARE = 0, 1, 2  # what is summed, forward: x, |x|, x² (and then the root taken)
PIECE = 1 << 12  # elements that stay in the cache from one loop to the next
EVEN = 8 * LANES  # elements: a loop turned into SIMD leaves no rest of so many


class Plan(NamedTuple):
    """Where the terms of each output stand, for one direction: the arguments of the loops."""

    tops: Any  # of each row of outputs: the first row of its windows
    bottoms: Any  # and the one behind the last
    table: Any  # where in a line the first column of each output stands, then where the second, … (int32)
    row_scales: Any  # of windows; float32
    column_scales: Any
    numbers: tuple[int, ...]  # h, w, oh, ow, margin: zeros on each side of a line, taps: the most columns an output
    # has, first: unless negative, output q has the columns from first + q on, and no table is needed


@intrinsic
def _rows_block(typing_context, x, start, step, rows, kind, y, at, apart, copies):  # type: ignore[no-untyped-def]
    """y[at + l] = Σ f(x[start + l + i · step]) over the rows i; the same at each of ``copies`` places."""
    i8 = types.int64
    signature = types.void(x, i8, i8, i8, i8, y, i8, i8, i8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, start, step, rows, kind, _, at, apart, copies = args
        data = memory(context, builder, signature, args, 0)
        total = cgutils.alloca_once(builder, FLOATS)
        builder.store(ir.Constant(FLOATS, [0.0] * LANES), total)
        squares, absolutes = (builder.icmp_signed("==", kind, ir.Constant(I64, k)) for k in (SQUARE, ABSOLUTE))
        with each_tap(builder, start, step, rows) as (_, place):
            v = load(builder, data, place)
            v = builder.select(squares, builder.fmul(v, v), builder.select(absolutes, absolute(builder, v), v))
            builder.store(builder.fadd(builder.load(total), v), total)
        with each_tap(builder, at, apart, copies) as (_, place):
            store(builder, builder.load(total), memory(context, builder, signature, args, 5), place)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _columns_block(typing_context, line, start, taps, scale, scales, column, y, at):  # type: ignore[no-untyped-def]
    """y[at + l] = scale · scales[column + l] · Σ line[start + l + k] over the taps k."""
    i8 = types.int64
    signature = types.void(line, i8, i8, types.float32, scales, i8, y, i8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, start, taps, scale, _, column, _, at = args
        data = memory(context, builder, signature, args, 0)
        total = cgutils.alloca_once(builder, FLOATS)
        builder.store(ir.Constant(FLOATS, [0.0] * LANES), total)
        with each_tap(builder, start, ir.Constant(I64, 1), taps) as (_, place):
            builder.store(builder.fadd(builder.load(total), load(builder, data, place)), total)
        factor = load(builder, memory(context, builder, signature, args, 4), column)
        scaled = builder.fmul(builder.load(total), builder.fmul(factor, in_all_lanes(builder, scale)))
        store(builder, scaled, memory(context, builder, signature, args, 6), at)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _table_block(typing_context, line, start, table, width, taps, scale, scales, column, y, at):  # type: ignore[no-untyped-def]
    """y[at + l] = scale · scales[column + l] · Σ line[start + table[k · width + column + l]] over the taps k."""
    i8 = types.int64
    signature = types.void(line, i8, table, i8, i8, types.float32, scales, i8, y, i8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, start, _, width, taps, scale, _, column, _, at = args
        data = builder.gep(memory(context, builder, signature, args, 0), [start])
        places = memory(context, builder, signature, args, 2)
        total = cgutils.alloca_once(builder, FLOATS)
        builder.store(ir.Constant(FLOATS, [0.0] * LANES), total)
        with each_tap(builder, column, width, taps) as (_, entry):
            v = ir.Constant(FLOATS, ir.Undefined)
            for lane in range(LANES):
                place = builder.load(builder.gep(places, [builder.add(entry, ir.Constant(I64, lane))]))
                number = builder.load(builder.gep(data, [builder.sext(place, I64)]))
                v = builder.insert_element(v, number, ir.Constant(I32, lane))
            builder.store(builder.fadd(builder.load(total), v), total)
        factor = load(builder, memory(context, builder, signature, args, 6), column)
        scaled = builder.fmul(builder.load(total), builder.fmul(factor, in_all_lanes(builder, scale)))
        store(builder, scaled, memory(context, builder, signature, args, 8), at)
        return context.get_dummy_value()

    return signature, generate


@jit
def _add_rows(x: Any, start: int, step: int, rows: int, w: int, kind: int, y: Any, at: int, copies: int) -> None:
    """``rows`` rows of w numbers into one, of which y gets ``copies`` one after the other."""
    c = 0
    while c < w:
        c = min(c, max(w - LANES, 0))  # no block but the only one of a row reaches beyond it
        _rows_block(x, start + c, step, rows, kind, y, at + c, w, copies)
        c += LANES


@jit
def _add_columns(line: Any, start: int, table: Any, numbers: Any, scale: Any, scales: Any, y: Any, at: int) -> None:
    """The columns of the line at ``start`` into a row of outputs."""
    width, taps, first = numbers
    entries = table.size // taps
    for q in range(0, width, LANES):
        if first >= 0:
            _columns_block(line, start + first + q, taps, scale, scales, q, y, at + q)
        else:
            _table_block(line, start, table, entries, taps, scale, scales, q, y, at + q)


@jit
def _sum_planes(
    x: Any,
    y: Any,
    tops: Any,
    bottoms: Any,
    table: Any,
    row_scales: Any,
    column_scales: Any,
    numbers: Any,
    kind: int,
    begin: int,
    end: int,
) -> None:
    h, w, oh, ow, margin, taps, first = numbers
    size = line_size(w, margin)
    lines, outputs = np.zeros(oh * size, np.float32), np.empty(oh * ow + LANES, np.float32)
    last = np.empty(h * w + LANES, np.float32)
    for n in range(begin, end):
        source, corner = x, n * h * w
        if corner + last.size > x.size:  # blocks would read behind the array
            for k in range(h * w):
                last[k] = x[corner + k]
            source, corner = last, 0
        for o in range(oh):
            into = o * size + margin
            _add_rows(source, corner + tops[o] * w, w, bottoms[o] - tops[o], w, kind, lines, into, 1)
            for c in range(into + w, into + w + LANES):  # where the last block wrote behind the row
                lines[c] = ZERO
        for o in range(oh):
            scale = row_scales[o]
            _add_columns(lines, o * size, table, (ow, taps, first), scale, column_scales, outputs, o * ow)
        plane = y[n * oh * ow : (n + 1) * oh * ow]
        if kind == SQUARE:
            for k in range(plane.size):
                plane[k] = np.sqrt(outputs[k])
        else:
            for k in range(plane.size):
                plane[k] = outputs[k]


@jit(parallel=True)
def window_sums(
    x: Any,
    y: Any,
    tops: Any,
    bottoms: Any,
    table: Any,
    row_scales: Any,
    column_scales: Any,
    numbers: Any,
    kind: int,
    parts: int,
) -> None:
    """y = scales · Σ f(x) over each window; for squares its root."""
    planes = y.size // (numbers[2] * numbers[3])
    before = at_most(parts)
    for t in prange(parts):
        begin, end = planes * t // parts, planes * (t + 1) // parts
        _sum_planes(x, y, tops, bottoms, table, row_scales, column_scales, numbers, kind, begin, end)
    again(before)


@jit
def _sum_back_planes(
    dy: Any,
    x: Any,
    dx: Any,
    tops: Any,
    bottoms: Any,
    table: Any,
    row_scales: Any,
    column_scales: Any,
    numbers: Any,
    kind: int,
    begin: int,
    end: int,
) -> None:
    oh, ow, h, w, margin, taps, first = numbers
    size = line_size(ow, margin)
    shares, lines = np.zeros(oh * size, np.float32), np.empty(oh * w + LANES, np.float32)
    ones, outputs = np.ones(w + LANES, np.float32), np.empty(h * w + LANES, np.float32)
    for n in range(begin, end):
        for o in range(oh):
            at, into = (n * oh + o) * ow, o * size + margin
            for q in range(ow):
                shares[into + q] = dy[at + q] * (row_scales[o] * column_scales[q])
        for o in range(oh):
            _add_columns(shares, o * size, table, (w, taps, first), np.float32(1), ones, lines, o * w)
        i = 0
        while i < h:
            top, bottom, copies = tops[i], bottoms[i], 1
            while i + copies < h and tops[i + copies] == top and bottoms[i + copies] == bottom:
                copies += 1
            _add_rows(lines, top * w, w, bottom - top, w, PLAIN, outputs, i * w, copies)
            i += copies
        plane, values = dx[n * h * w : (n + 1) * h * w], x[n * h * w : (n + 1) * h * w]
        if kind == SQUARE:
            for k in range(plane.size):
                plane[k] = outputs[k] * values[k]
        elif kind == ABSOLUTE:
            for k in range(plane.size):
                plane[k] = outputs[k] if values[k] > ZERO else -outputs[k] if values[k] < ZERO else ZERO * values[k]
        else:
            for k in range(plane.size):
                plane[k] = outputs[k]


@jit(parallel=True)
def window_sums_back(
    dy: Any,
    x: Any,
    dx: Any,
    tops: Any,
    bottoms: Any,
    table: Any,
    row_scales: Any,
    column_scales: Any,
    numbers: Any,
    kind: int,
    parts: int,
) -> None:
    """dx = the sum of scales · dy over the windows that hold x; times x for squares, the sign of x for absolutes."""
    planes = dx.size // (numbers[2] * numbers[3])
    before = at_most(parts)
    for t in prange(parts):
        begin, end = planes * t // parts, planes * (t + 1) // parts
        _sum_back_planes(dy, x, dx, tops, bottoms, table, row_scales, column_scales, numbers, kind, begin, end)
    again(before)


@jit
def line_size(w: int, margin: int) -> int:
    """A line of w numbers, zeros on both sides, what a block writes or reads behind them, and one zero at the end."""
    return w + 2 * margin + 2 * LANES + 1


@jit
def _plane_sums(x: Any, y: Any, size: int, factor: Any, begin: int, end: int) -> None:
    for n in range(begin, end):
        y[n] = factor * sum_of(x[n * size : (n + 1) * size])


@jit(parallel=True)
def plane_sums(x: Any, y: Any, factor: Any, parts: int) -> None:
    """y[n] = factor · the sum of plane n."""
    planes = y.size
    before = at_most(parts)
    for t in prange(parts):
        _plane_sums(x, y, x.size // planes, factor, planes * t // parts, planes * (t + 1) // parts)
    again(before)


@jit
def _powers(x: Any, p: Any, y: Any) -> None:
    if p == np.float32(2) or p == np.float32(3):
        cube = p == np.float32(3)
        for i in range(x.size):
            a = abs(x[i])
            y[i] = a * a * (a if cube else np.float32(1))
    else:
        for i in range(x.size):
            y[i] = exp32(p * log32(abs(x[i])))


@jit(parallel=True)
def powers(x: Any, p: Any, y: Any, parts: int) -> None:
    """y = |x|ᵖ."""
    before = at_most(parts)
    for t in prange(parts):
        begin, end = _share(x.size, t, parts)
        _powers(x[begin:end], p, y[begin:end])
    again(before)


@jit
def _scale(x: Any, p: Any, dx: Any) -> None:
    y = np.empty(x.size, np.float32)
    _powers(x, p, y)
    for i in range(x.size):
        factor = y[i] if x[i] > ZERO else -y[i]
        dx[i] = ZERO if x[i] == ZERO else dx[i] * factor


@jit(parallel=True)
def scale_by_powers(x: Any, p: Any, dx: Any, parts: int) -> None:
    """dx → dx · sign(x) |x|ᵖ, in place: 0 where x is 0, whatever dx is there."""
    before = at_most(parts)
    for t in prange(parts):
        begin, end = _share(x.size, t, parts)
        for start in range(begin, end, PIECE):
            stop = min(start + PIECE, end)
            _scale(x[start:stop], p, dx[start:stop])
    again(before)


@jit
def _share(size: int, t: int, parts: int) -> tuple[int, int]:
    """Part t of so many, in whole registers, so that the same numbers are the rest of the last loop however many
    threads there are."""
    end = size * (t + 1) // parts // EVEN * EVEN if t + 1 < parts else size
    return size * t // parts // EVEN * EVEN, end
