"""Sums over windows, for means and p-norms: the loops over planes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compile import jit
from .functions import exp32, log32
from .pooling_blocks import (
    ABSOLUTE,
    HALF,
    SQUARE,
    WIDE,
    ZERO,
    clear_rest,
    frame_width,
    framed,
    is_2x2,
    lanes_for,
    sum_back_half,
    sum_back_quarter,
    sum_back_wide,
    sum_half,
    sum_quarter,
    sum_wide,
)


@jit
def _term(v: Any, kind: int) -> Any:
    """What is summed."""
    return v * v if kind == SQUARE else abs(v) if kind == ABSOLUTE else v


@jit
def _one_sum(x: Any, start: int, h: int, w: int, top: int, left: int, kh: int, kw: int, kind: int) -> Any:
    """The sum over one window, which may reach beyond the plane that starts at ``start``."""
    total = ZERO
    for row in range(max(top, 0), min(top + kh, h)):
        for column in range(max(left, 0), min(left + kw, w)):
            total += _term(x[start + row * w + column], kind)
    return total


@jit
def _sum_rows(
    x: Any, start: int, width: int, y: Any, at: int, shape: Any, kind: int, row_factors: Any, column_factors: Any
) -> None:
    """The plane whose rows, ``width`` apart and with their padding, begin at ``start``; its outputs begin at ``at``."""
    h, _, oh, ow, kh, kw, sh, sw, ph, _, _, _ = shape
    lanes = lanes_for(ow)
    for o in range(oh):
        top = o * sh - ph
        above = max(top, 0)
        rows = min(top + kh, h) - above
        line, scale = start + above * width, row_factors[o]
        q = 0
        while q < ow:
            q = min(q, ow - lanes)
            place, into = line + q * sw, at + o * ow + q
            if kw == 2 and rows == 2 and sw == 2:  # said with numbers, so that the loops unroll
                if lanes == WIDE:
                    sum_wide(x, place, 2, width, 2, 2, kind, scale, column_factors, q, y, into)
                elif lanes == HALF:
                    sum_half(x, place, 2, width, 2, 2, kind, scale, column_factors, q, y, into)
                else:
                    sum_quarter(x, place, 2, width, 2, 2, kind, scale, column_factors, q, y, into)
            elif lanes == WIDE:
                sum_wide(x, place, sw, width, rows, kw, kind, scale, column_factors, q, y, into)
            elif lanes == HALF:
                sum_half(x, place, sw, width, rows, kw, kind, scale, column_factors, q, y, into)
            else:
                sum_quarter(x, place, sw, width, rows, kw, kind, scale, column_factors, q, y, into)
            q += lanes


@jit
def sum_planes(
    x: Any, y: Any, first: int, last: int, shape: Any, kind: int, row_factors: Any, column_factors: Any
) -> None:
    """Planes ``first`` to ``last``; shape: the pairs (rows, columns) of sizes, outputs, kernel, stride, padding,
    dilation (which is 1). A sum is multiplied with the factors of its row and its column."""
    h, w, oh, ow, kh, kw, sh, sw, ph, pw, _, _ = shape
    whole = oh * ow == 1 and kh - ph >= h and kw - pw >= w
    width = frame_width(w, ow, kw, sw, pw, 1)
    frame = np.zeros(h * width if width > w else 0, np.float32)
    source = frame if width > w else x
    for n in range(first, last):
        if whole:
            plane, total = x[n * h * w : (n + 1) * h * w], ZERO
            for k in range(h * w):
                total += _term(plane[k], kind)
            total *= row_factors[0] * column_factors[0]
            y[n] = np.sqrt(total) if kind == SQUARE else total
        elif lanes_for(ow) == 1:
            for o in range(oh):
                for q in range(ow):
                    total = _one_sum(x, n * h * w, h, w, o * sh - ph, q * sw - pw, kh, kw, kind)
                    total *= row_factors[o] * column_factors[q]
                    y[(n * oh + o) * ow + q] = np.sqrt(total) if kind == SQUARE else total
        else:
            start = n * h * w
            if width > w:
                framed(x, start, h, w, pw, frame, width)
                start = 0
            _sum_rows(source, start, width, y, n * oh * ow, shape, kind, row_factors, column_factors)


@jit(parallel=True)
def sum_planes_shared(
    x: Any, y: Any, planes: int, shape: Any, kind: int, row_factors: Any, column_factors: Any, threads: int
) -> None:
    for t in prange(threads):
        begin, end = planes * t // threads, planes * (t + 1) // threads
        sum_planes(x, y, begin, end, shape, kind, row_factors, column_factors)


@jit
def _spread_row(gathered: Any, edge: int, line: Any, odd: Any, kw: int, sw: int, pw: int) -> None:
    """line[w] = the sum of the shares of the windows that hold column w. Shares begin at ``edge``, zeros around them.

    Tap j of window q reads column c·sw + phase if q·sw + j = c·sw + phase + pw: for one phase, the shares of q = c + a
    constant, neighbours again.
    """
    w = line.size
    for phase in range(min(sw, w)):
        count = (w - phase + sw - 1) // sw
        nearest, tap = divmod(phase + pw, sw)
        odd[:count] = ZERO
        while tap < kw:
            read = gathered[edge + nearest : edge + nearest + count]
            for c in range(count):
                odd[c] += read[c]
            nearest -= 1
            tap += sw
        for c in range(count):
            line[phase + c * sw] = odd[c]


@jit
def _spread_plane(shares: Any, dx: Any, gathered: Any, part: Any, line: Any, shape: Any) -> None:
    """dx[h, w] = the sum of the shares of the windows that hold it: those that hold the row, then the column."""
    h, w, oh, ow, kh, kw, sh, sw, ph, pw, _, _ = shape
    edge = kw + 1
    done_first, done_last = -1, -1
    for i in range(h):
        # o·sh − ph ≤ i < o·sh − ph + kh
        o_first, o_last = max((i + ph - kh) // sh + 1, 0), min((i + ph) // sh + 1, oh)
        if o_first != done_first or o_last != done_last:  # else the row is the same as the one before
            done_first, done_last = o_first, o_last
            middle = gathered[edge : edge + ow]
            middle[:] = ZERO
            for o in range(o_first, o_last):
                row = shares[o]
                for q in range(ow):
                    middle[q] += row[q]
            _spread_row(gathered, edge, line, part, kw, sw, pw)
        into = dx[i * w : (i + 1) * w]
        for c in range(w):
            into[c] = line[c]


@jit
def sum_back_planes(
    dy: Any,
    x: Any,
    y: Any,
    dx: Any,
    first: int,
    last: int,
    shape: Any,
    kind: int,
    row_factors: Any,
    column_factors: Any,
) -> None:
    """dx = f′(x) · Σ dy · factors over the windows that hold x; for SQUARE, dy / y in dy's place (0 where y is 0)."""
    h, w, oh, ow, kh, kw, _, sw, ph, pw, _, _ = shape
    lanes = lanes_for(ow) if is_2x2(shape) else 1
    shares = np.empty((oh, ow), np.float32)
    gathered = np.zeros(max(ow, w // sw + 1) + 2 * (kw + 1), np.float32)  # the shares of a row of windows, zeros around
    part, line = np.empty(w // sw + 1, np.float32), np.empty(w, np.float32)
    for n in range(first, last):
        for o in range(oh):
            at = (n * oh + o) * ow
            scale = row_factors[o]
            row = shares[o]
            for q in range(ow):
                row[q] = dy[at + q] * (scale * column_factors[q])
            if kind == SQUARE:
                for q in range(ow):
                    v = y[at + q]
                    row[q] = row[q] / v if v != ZERO else ZERO
        plane = dx[n * h * w : (n + 1) * h * w]
        if lanes > 1:
            clear_rest(dx, n * h * w, h, w, 2 * oh, 2 * ow)
            for o in range(oh):
                start = (n * h + 2 * o) * w
                row = shares[o]
                q = 0
                while q < ow:
                    q = min(q, ow - lanes)
                    if lanes == WIDE:
                        sum_back_wide(row, q, x, dx, start + 2 * q, w, kind)
                    elif lanes == HALF:
                        sum_back_half(row, q, x, dx, start + 2 * q, w, kind)
                    else:
                        sum_back_quarter(row, q, x, dx, start + 2 * q, w, kind)
                    q += lanes
            continue
        if oh * ow == 1 and kh - ph >= h and kw - pw >= w:
            plane[:] = shares[0, 0]
        else:
            _spread_plane(shares, plane, gathered, part, line, shape)
        if kind == SQUARE:
            values = x[n * h * w : (n + 1) * h * w]
            for k in range(h * w):
                plane[k] *= values[k]
        elif kind == ABSOLUTE:
            values = x[n * h * w : (n + 1) * h * w]
            for k in range(h * w):
                plane[k] *= np.sign(values[k])


@jit(parallel=True)
def sum_back_planes_shared(
    dy: Any,
    x: Any,
    y: Any,
    dx: Any,
    planes: int,
    shape: Any,
    kind: int,
    row_factors: Any,
    column_factors: Any,
    threads: int,
) -> None:
    for t in prange(threads):
        begin, end = planes * t // threads, planes * (t + 1) // threads
        sum_back_planes(dy, x, y, dx, begin, end, shape, kind, row_factors, column_factors)


@jit
def _part(n: int, out: int, o: int) -> tuple[int, int]:
    """Start and end of part o where n places are shared out over ``out`` outputs."""
    return o * n // out, ((o + 1) * n + out - 1) // out


@jit
def parts_planes(x: Any, y: Any, first: int, last: int) -> None:
    """The means of the parts of planes: x (planes, H, W) → y (planes, OH, OW)."""
    _, h, w = x.shape
    _, oh, ow = y.shape
    for n in range(first, last):
        for o in range(oh):
            top, bottom = _part(h, oh, o)
            for q in range(ow):
                left, right = _part(w, ow, q)
                total = ZERO
                for i in range(top, bottom):
                    row = x[n, i]
                    for j in range(left, right):
                        total += row[j]
                y[n, o, q] = total / np.float32((bottom - top) * (right - left))


@jit
def parts_back_planes(dy: Any, dx: Any, first: int, last: int) -> None:
    _, h, w = dx.shape
    _, oh, ow = dy.shape
    for n in range(first, last):
        dx[n] = ZERO
        for o in range(oh):
            top, bottom = _part(h, oh, o)
            for q in range(ow):
                left, right = _part(w, ow, q)
                share = dy[n, o, q] / np.float32((bottom - top) * (right - left))
                for i in range(top, bottom):
                    row = dx[n, i]
                    for j in range(left, right):
                        row[j] += share


@jit(parallel=True)
def parts_planes_shared(x: Any, y: Any, back: bool, threads: int) -> None:
    planes = x.shape[0]
    for t in prange(threads):
        begin, end = planes * t // threads, planes * (t + 1) // threads
        if back:
            parts_back_planes(y, x, begin, end)
        else:
            parts_planes(x, y, begin, end)


@jit
def powers(x: Any, p: Any, signed: bool, y: Any) -> None:
    """y = |x|ᵖ, or sign(x) |x|ᵖ."""
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
def powers_shared(x: Any, p: Any, signed: bool, y: Any, threads: int) -> None:
    for t in prange(threads):
        begin, end = x.size * t // threads, x.size * (t + 1) // threads
        powers(x[begin:end], p, signed, y[begin:end])
