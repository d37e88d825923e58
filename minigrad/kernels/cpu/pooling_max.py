"""Maxima of windows: the loops over planes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compile import jit
from .pooling_blocks import (
    HALF,
    WIDE,
    ZERO,
    clear_rest,
    inside_windows,
    is_2x2,
    lanes_for,
    max_back_half,
    max_back_quarter,
    max_back_wide,
    max_half_1,
    max_half_2,
    max_quarter_1,
    max_quarter_2,
    max_wide_1,
    max_wide_2,
)


@jit
def _one_max(x: Any, start: int, h: int, w: int, top: int, left: int, kh: int, kw: int, dh: int, dw: int) -> Any:
    """The largest number of one window, which may reach beyond the plane that starts at ``start``; and its tap."""
    best, place = ZERO, -1
    for i in range(kh):
        row = top + i * dh
        if 0 <= row < h:
            for j in range(kw):
                column = left + j * dw
                if 0 <= column < w:
                    v = x[start + row * w + column]
                    if place < 0 or v > best or v != v:
                        best, place = v, i * kw + j
    return best, place


@jit
def max_planes(x: Any, y: Any, tap: Any, first: int, last: int, shape: Any) -> None:
    """Planes ``first`` to ``last``; shape: the pairs (rows, columns) of sizes, outputs, kernel, stride, padding,
    dilation."""
    h, w, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw = shape
    left, right = inside_windows(w, kw, sw, pw, dw, ow)
    lanes = lanes_for(right - left, sw)
    pairs = kh == 2 and kw == 2 and sw == 2 and dw == 1  # said with numbers, so that the loops over taps unroll
    for n in range(first, last):
        for o in range(oh):
            top = o * sh - ph
            skipped = (-top + dh - 1) // dh if top < 0 else 0
            rows = min(kh, (h - 1 - top) // dh + 1) - skipped
            line = n * h * w + (top + skipped * dh) * w - pw
            at = (n * oh + o) * ow
            begin, end = (left, right) if lanes > 1 else (ow, ow)
            for q in range(ow):
                if begin <= q < end:
                    continue
                y[at + q], tap[at + q] = _one_max(x, n * h * w, h, w, top, q * sw - pw, kh, kw, dh, dw)
            q = begin
            while q < end:
                q = min(q, end - lanes)
                if pairs and rows == 2:
                    start = line + 2 * q
                    if lanes == WIDE:
                        max_wide_2(x, start, w * dh, 1, 0, 2, 2, y, tap, at + q)
                    elif lanes == HALF:
                        max_half_2(x, start, w * dh, 1, 0, 2, 2, y, tap, at + q)
                    else:
                        max_quarter_2(x, start, w * dh, 1, 0, 2, 2, y, tap, at + q)
                elif sw == 1:
                    start = line + q
                    if lanes == WIDE:
                        max_wide_1(x, start, w * dh, dw, skipped, rows, kw, y, tap, at + q)
                    elif lanes == HALF:
                        max_half_1(x, start, w * dh, dw, skipped, rows, kw, y, tap, at + q)
                    else:
                        max_quarter_1(x, start, w * dh, dw, skipped, rows, kw, y, tap, at + q)
                else:
                    start = line + 2 * q
                    if lanes == WIDE:
                        max_wide_2(x, start, w * dh, dw, skipped, rows, kw, y, tap, at + q)
                    elif lanes == HALF:
                        max_half_2(x, start, w * dh, dw, skipped, rows, kw, y, tap, at + q)
                    else:
                        max_quarter_2(x, start, w * dh, dw, skipped, rows, kw, y, tap, at + q)
                q += lanes


@jit(parallel=True)
def max_planes_shared(x: Any, y: Any, tap: Any, planes: int, shape: Any, threads: int) -> None:
    for t in prange(threads):
        max_planes(x, y, tap, planes * t // threads, planes * (t + 1) // threads, shape)


@jit
def max_back_planes(dy: Any, tap: Any, dx: Any, first: int, last: int, shape: Any) -> None:
    h, w, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw = shape
    lanes = lanes_for(ow, sw) if is_2x2(shape) else 1
    offsets = np.empty(kh * kw, np.int64)
    for i in range(kh):
        for j in range(kw):
            offsets[i * kw + j] = i * dh * w + j * dw
    for n in range(first, last):
        if lanes > 1:
            clear_rest(dx, n * h * w, h, w, 2 * oh, 2 * ow)
        else:
            clear_rest(dx, n * h * w, h, w, 0, 0)
        for o in range(oh):
            at = (n * oh + o) * ow
            start = (n * h + o * sh - ph) * w - pw
            if lanes == 1:
                for q in range(ow):
                    dx[start + q * sw + offsets[tap[at + q]]] += dy[at + q]
                continue
            q = 0
            while q < ow:
                q = min(q, ow - lanes)
                if lanes == WIDE:
                    max_back_wide(dy, tap, at + q, dx, start + 2 * q, w)
                elif lanes == HALF:
                    max_back_half(dy, tap, at + q, dx, start + 2 * q, w)
                else:
                    max_back_quarter(dy, tap, at + q, dx, start + 2 * q, w)
                q += lanes


@jit(parallel=True)
def max_back_planes_shared(dy: Any, tap: Any, dx: Any, planes: int, shape: Any, threads: int) -> None:
    for t in prange(threads):
        max_back_planes(dy, tap, dx, planes * t // threads, planes * (t + 1) // threads, shape)


@jit
def places(tap: Any, shape: Any) -> Any:
    """The places h · W + w of all taps."""
    _, w, oh, ow, _, kw, sh, sw, ph, pw, dh, dw = shape
    found = np.empty(tap.size, np.int64)
    for n in range(tap.size // (oh * ow)):
        for o in range(oh):
            for q in range(ow):
                at = (n * oh + o) * ow + q
                i, j = divmod(np.int64(tap[at]), kw)
                found[at] = (o * sh - ph + i * dh) * w + q * sw - pw + j * dw
    return found
