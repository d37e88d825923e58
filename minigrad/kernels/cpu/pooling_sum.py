"""Sums over windows, for means and p-norms: the loops over planes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compile import jit
from .pooling_blocks import (
    ABSOLUTE,
    HALF,
    MEAN,
    SQUARE,
    WIDE,
    ZERO,
    clear_rest,
    inside_windows,
    is_2x2,
    lanes_for,
    sum_back_half,
    sum_back_quarter,
    sum_back_wide,
    sum_half_1,
    sum_half_2,
    sum_quarter_1,
    sum_quarter_2,
    sum_wide_1,
    sum_wide_2,
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
def sum_planes(
    x: Any, y: Any, first: int, last: int, shape: Any, kind: int, row_factors: Any, column_factors: Any
) -> None:
    h, w, oh, ow, kh, kw, sh, sw, ph, pw, _, _ = shape
    left, right = inside_windows(w, kw, sw, pw, 1, ow)
    lanes = lanes_for(right - left, sw)
    pairs = kh == 2 and kw == 2 and sw == 2
    for n in range(first, last):
        if oh * ow == 1 and kh == h and kw == w:
            plane, total = x[n * h * w : (n + 1) * h * w], ZERO
            for k in range(h * w):
                total += _term(plane[k], kind)
            total *= row_factors[0] * column_factors[0]
            y[n] = np.sqrt(total) if kind == SQUARE else total
            continue
        for o in range(oh):
            top = o * sh - ph
            above = max(top, 0)
            rows = min(top + kh, h) - above
            line = (n * h + above) * w - pw
            at = (n * oh + o) * ow
            scale = row_factors[o]
            begin, end = (left, right) if lanes > 1 else (ow, ow)
            for q in range(ow):
                if begin <= q < end:
                    continue
                total = _one_sum(x, n * h * w, h, w, top, q * sw - pw, kh, kw, kind) * (scale * column_factors[q])
                y[at + q] = np.sqrt(total) if kind == SQUARE else total
            q = begin
            while q < end:
                q = min(q, end - lanes)
                if pairs and rows == 2:
                    start = line + 2 * q
                    if lanes == WIDE:
                        sum_wide_2(x, start, w, 2, 2, kind, scale, column_factors, q, y, at + q)
                    elif lanes == HALF:
                        sum_half_2(x, start, w, 2, 2, kind, scale, column_factors, q, y, at + q)
                    else:
                        sum_quarter_2(x, start, w, 2, 2, kind, scale, column_factors, q, y, at + q)
                elif sw == 1:
                    start = line + q
                    if lanes == WIDE:
                        sum_wide_1(x, start, w, rows, kw, kind, scale, column_factors, q, y, at + q)
                    elif lanes == HALF:
                        sum_half_1(x, start, w, rows, kw, kind, scale, column_factors, q, y, at + q)
                    else:
                        sum_quarter_1(x, start, w, rows, kw, kind, scale, column_factors, q, y, at + q)
                else:
                    start = line + 2 * q
                    if lanes == WIDE:
                        sum_wide_2(x, start, w, rows, kw, kind, scale, column_factors, q, y, at + q)
                    elif lanes == HALF:
                        sum_half_2(x, start, w, rows, kw, kind, scale, column_factors, q, y, at + q)
                    else:
                        sum_quarter_2(x, start, w, rows, kw, kind, scale, column_factors, q, y, at + q)
                q += lanes


@jit(parallel=True)
def sum_planes_shared(
    x: Any, y: Any, planes: int, shape: Any, kind: int, row_factors: Any, column_factors: Any, threads: int
) -> None:
    for t in prange(threads):
        begin, end = planes * t // threads, planes * (t + 1) // threads
        sum_planes(x, y, begin, end, shape, kind, row_factors, column_factors)


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
    h, w, oh, ow, kh, kw, sh, sw, ph, pw, _, _ = shape
    lanes = lanes_for(ow, sw) if is_2x2(shape) else 1
    shares = np.empty((oh, ow), np.float32)
    edge = kw + 1
    gathered = np.zeros(max(ow, w // sw + 1) + 2 * edge, np.float32)  # the shares of a row of windows, zeros around
    part = np.empty(w // sw + 1, np.float32)
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
        if oh * ow == 1 and kh == h and kw == w and kind == MEAN:
            dx[n * h * w : (n + 1) * h * w] = shares[0, 0]
            continue
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
        for i in range(h):
            # over the windows that hold row i: o·sh − ph ≤ i < o·sh − ph + kh
            o_first = max((i + ph - kh) // sh + 1, 0)
            o_last = min((i + ph) // sh + 1, oh)
            middle = gathered[edge : edge + ow]
            middle[:] = ZERO
            for o in range(o_first, o_last):
                row = shares[o]
                for q in range(ow):
                    middle[q] += row[q]
            # over those that hold column c·sw + phase: tap j of window q reads it if q·sw + j = c·sw + phase + pw
            start = (n * h + i) * w
            for phase in range(min(sw, w)):
                count = (w - phase + sw - 1) // sw
                nearest, tap = divmod(phase + pw, sw)
                part[:count] = ZERO
                while tap < kw:
                    read = gathered[edge + nearest : edge + nearest + count]
                    for c in range(count):
                        part[c] += read[c]
                    nearest -= 1
                    tap += sw
                for c in range(count):
                    dx[start + phase + c * sw] = part[c]
            if kind == SQUARE:
                for c in range(w):
                    dx[start + c] *= x[start + c]
            elif kind == ABSOLUTE:
                for c in range(w):
                    dx[start + c] *= np.sign(x[start + c])


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
