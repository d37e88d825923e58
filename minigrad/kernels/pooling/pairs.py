"""Windows of 2 × 2 side by side and without padding: the pools of most networks.

A block of windows reads twice as many numbers of two rows, and shuffles part the even columns from the odd ones.
Backward, every input lies in one window or, in a last row or column, in none: its gradient is written once.

``shape`` is planes, h, w, oh, ow. Planes are shared out over ``parts`` threads.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from ..machine.compile import jit
from ..machine.parallel_for import again, at_most
from ..machine.simd import LANES
from .blocks import (
    FLOATS,
    I8,
    I64,
    ZERO,
    exceeds,
    in_all_lanes,
    interleaved,
    load,
    memory,
    parted,
    store,
)

SPAN = 2 * LANES  # columns of the input under a block


def _further(builder: Any, place: Any, columns: int) -> Any:
    return builder.add(place, ir.Constant(I64, columns))


def _row(builder: Any, data: Any, place: Any) -> tuple[Any, Any]:
    return load(builder, data, place), load(builder, data, _further(builder, place, LANES))


# --- the mean --------------------------------------------------------------------------------------------------------


@intrinsic
def _mean_block(typing_context, x, start, width, factor, y, at):  # type: ignore[no-untyped-def]
    """y[at + l] = factor · the sum of columns start + 2 l and the next, in this row and ``width`` further on."""
    signature = types.void(x, types.int64, types.int64, types.float32, y, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, start, width, factor, _, at = args
        data = memory(context, builder, signature, args, 0)
        above, below = _row(builder, data, start), _row(builder, data, builder.add(start, width))
        left, right = (builder.fadd(a, b) for a, b in zip(above, below, strict=True))
        total = builder.fadd(*parted(builder, left, right))
        store(
            builder,
            builder.fmul(total, in_all_lanes(builder, factor)),
            memory(context, builder, signature, args, 4),
            at,
        )
        return context.get_dummy_value()

    return signature, generate


@jit
def _mean_planes(x: Any, y: Any, shape: Any, factor: Any, first: int, last: int) -> None:
    _, h, w, oh, ow = shape
    room, end = x.size - w - SPAN, last * oh * ow
    for n in range(first, last):
        line, at = n * h * w, n * oh * ow
        for _ in range(oh):
            q = 0
            while q < ow and line + 2 * q <= room and at + q + LANES <= end:
                _mean_block(x, line + 2 * q, w, factor, y, at + q)
                q += LANES
            while q < ow:
                i = line + 2 * q
                y[at + q] = factor * ((x[i] + x[i + w]) + (x[i + 1] + x[i + w + 1]))
                q += 1
            line += 2 * w
            at += ow


@jit(parallel=True)
def mean_pairs(x: Any, y: Any, shape: Any, factor: Any, parts: int) -> None:
    """y = factor · the sum of each window."""
    planes = shape[0]
    before = at_most(parts)
    for t in prange(parts):
        _mean_planes(x, y, shape, factor, planes * t // parts, planes * (t + 1) // parts)
    again(before)


@intrinsic
def _mean_back_block(typing_context, dy, at, factor, dx, start, width):  # type: ignore[no-untyped-def]
    """dx of the columns from ``start`` on, in this row and in the next one, ``width`` further on."""
    signature = types.void(dy, types.int64, types.float32, dx, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, at, factor, _, start, width = args
        into = memory(context, builder, signature, args, 3)
        g = load(builder, memory(context, builder, signature, args, 0), at)
        g = builder.fmul(g, in_all_lanes(builder, factor))
        left, right = interleaved(builder, g, g)
        for line in (start, builder.add(start, width)):
            store(builder, left, into, line)
            store(builder, right, into, _further(builder, line, LANES))
        return context.get_dummy_value()

    return signature, generate


@jit
def _clear_rest(dx: Any, start: int, rows: int, w: int, columns: int) -> None:
    """Zeros right of the first ``columns`` numbers of ``rows`` rows."""
    for i in range(rows):
        for j in range(columns, w):
            dx[start + i * w + j] = ZERO


@jit
def _mean_back_planes(dy: Any, dx: Any, shape: Any, factor: Any, first: int, last: int) -> None:
    _, h, w, oh, ow = shape
    room, end = last * h * w - w - SPAN, dy.size
    for n in range(first, last):
        line, at = n * h * w, n * oh * ow
        for _ in range(oh):
            q = 0
            while q < ow:
                q = min(q, max(ow - LANES, 0))  # no block but the only one of a row reaches beyond it
                if line + 2 * q > room or at + q + LANES > end:
                    break
                _mean_back_block(dy, at + q, factor, dx, line + 2 * q, w)
                q += LANES
            while q < ow:
                i = line + 2 * q
                dx[i] = dx[i + 1] = dx[i + w] = dx[i + w + 1] = dy[at + q] * factor
                q += 1
            _clear_rest(dx, line, 2, w, 2 * ow)
            line += 2 * w
            at += ow
        _clear_rest(dx, line, h - 2 * oh, w, 0)


@jit(parallel=True)
def mean_pairs_back(dy: Any, dx: Any, shape: Any, factor: Any, parts: int) -> None:
    """dx = factor · dy of the window that holds x, 0 outside all windows."""
    planes = shape[0]
    before = at_most(parts)
    for t in prange(parts):
        _mean_back_planes(dy, dx, shape, factor, planes * t // parts, planes * (t + 1) // parts)
    again(before)


# --- the largest -----------------------------------------------------------------------------------------------------


@intrinsic
def _max_block(typing_context, x, start, width, y, tap, at):  # type: ignore[no-untyped-def]
    """The maxima, and the taps they came from: 0, 1 in this row, 2, 3 in the next one, ``width`` further on."""
    signature = types.void(x, types.int64, types.int64, y, tap, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, start, width, _, _, at = args
        data = memory(context, builder, signature, args, 0)
        numbers = [ir.Constant(ir.VectorType(I8, LANES), [n] * LANES) for n in range(4)]

        def larger(a: Any, tap_a: Any, b: Any, tap_b: Any) -> tuple[Any, Any]:
            later = exceeds(builder, b, a)
            return builder.select(later, b, a), builder.select(later, tap_b, tap_a)

        rows: list[Any] = []
        for i, line in enumerate((start, builder.add(start, width))):
            even, odd = parted(builder, *_row(builder, data, line))
            rows += larger(even, numbers[2 * i], odd, numbers[2 * i + 1])
        best, place = larger(*rows)
        store(builder, best, memory(context, builder, signature, args, 3), at)
        store(builder, place, memory(context, builder, signature, args, 4), at)
        return context.get_dummy_value()

    return signature, generate


@jit
def _max_planes(x: Any, y: Any, tap: Any, shape: Any, first: int, last: int) -> None:
    _, h, w, oh, ow = shape
    room, end = x.size - w - SPAN, last * oh * ow
    for n in range(first, last):
        line, at = n * h * w, n * oh * ow
        for _ in range(oh):
            q = 0
            while q < ow and line + 2 * q <= room and at + q + LANES <= end:
                _max_block(x, line + 2 * q, w, y, tap, at + q)
                q += LANES
            while q < ow:
                best, place = x[line + 2 * q], 0
                for k in range(1, 4):
                    v = x[line + 2 * q + (k >> 1) * w + (k & 1)]
                    if v > best or v != v:
                        best, place = v, k
                y[at + q], tap[at + q] = best, place
                q += 1
            line += 2 * w
            at += ow


@jit(parallel=True)
def max_pairs(x: Any, y: Any, tap: Any, shape: Any, parts: int) -> None:
    """y = the largest number of each window, tap = where it stood: 0, 1 in the first row, 2, 3 in the second one."""
    planes = shape[0]
    before = at_most(parts)
    for t in prange(parts):
        _max_planes(x, y, tap, shape, planes * t // parts, planes * (t + 1) // parts)
    again(before)


@intrinsic
def _max_back_block(typing_context, dy, tap, at, dx, start, width):  # type: ignore[no-untyped-def]
    """dx of the columns from ``start`` on, in this row and in the next one, ``width`` further on."""
    signature = types.void(dy, tap, types.int64, dx, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, _, at, _, start, width = args
        into = memory(context, builder, signature, args, 3)
        g = load(builder, memory(context, builder, signature, args, 0), at)
        chosen = load(builder, memory(context, builder, signature, args, 1), at, I8)
        shares = []
        for n in range(4):
            here = builder.icmp_signed("==", chosen, ir.Constant(chosen.type, [n] * LANES))
            shares.append(builder.select(here, g, ir.Constant(FLOATS, [0.0] * LANES)))
        for line, pair in ((start, shares[:2]), (builder.add(start, width), shares[2:])):
            left, right = interleaved(builder, *pair)
            store(builder, left, into, line)
            store(builder, right, into, _further(builder, line, LANES))
        return context.get_dummy_value()

    return signature, generate


@jit
def _max_back_planes(dy: Any, tap: Any, dx: Any, shape: Any, first: int, last: int) -> None:
    _, h, w, oh, ow = shape
    room, end = last * h * w - w - SPAN, dy.size
    for n in range(first, last):
        line, at = n * h * w, n * oh * ow
        for _ in range(oh):
            q = 0
            while q < ow:
                q = min(q, max(ow - LANES, 0))  # no block but the only one of a row reaches beyond it
                if line + 2 * q > room or at + q + LANES > end:
                    break
                _max_back_block(dy, tap, at + q, dx, line + 2 * q, w)
                q += LANES
            while q < ow:
                for k in range(4):
                    dx[line + 2 * q + (k >> 1) * w + (k & 1)] = dy[at + q] if tap[at + q] == k else ZERO
                q += 1
            _clear_rest(dx, line, 2, w, 2 * ow)
            line += 2 * w
            at += ow
        _clear_rest(dx, line, h - 2 * oh, w, 0)


@jit(parallel=True)
def max_pairs_back(dy: Any, tap: Any, dx: Any, shape: Any, parts: int) -> None:
    """dx = dy of the window whose largest x was, else 0."""
    planes = shape[0]
    before = at_most(parts)
    for t in prange(parts):
        _max_back_planes(dy, tap, dx, shape, planes * t // parts, planes * (t + 1) // parts)
    again(before)
