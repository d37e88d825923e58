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
    frame_width,
    framed,
    is_2x2,
    lanes_for,
    max_back_half,
    max_back_quarter,
    max_back_wide,
    max_half,
    max_quarter,
    max_wide,
)

MINUS_INFINITY = np.float32(-np.inf)


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
def _max_rows(x: Any, start: int, width: int, y: Any, tap: Any, at: int, firsts: Any, shape: Any) -> None:
    """The plane whose rows, ``width`` apart and with their padding, begin at ``start``; its outputs begin at ``at``."""
    h, _, oh, ow, kh, kw, sh, sw, ph, _, dh, dw = shape
    lanes = lanes_for(ow)
    down = width * dh
    for o in range(oh):
        top = o * sh - ph
        skipped = (-top + dh - 1) // dh if top < 0 else 0
        rows = min(kh, (h - 1 - top) // dh + 1) - skipped
        line, zeroth = start + (top + skipped * dh) * width, skipped * kw
        q = 0
        while q < ow:
            q = min(q, ow - lanes)
            place, into = line + q * sw, at + o * ow + q
            if kw == 2 and rows == 2 and sw == 2 and zeroth == 0:  # said with numbers, so that the loops unroll
                if lanes == WIDE:
                    max_wide(x, place, 2, down, dw, 0, 2, 2, firsts, q, y, tap, into)
                elif lanes == HALF:
                    max_half(x, place, 2, down, dw, 0, 2, 2, firsts, q, y, tap, into)
                else:
                    max_quarter(x, place, 2, down, dw, 0, 2, 2, firsts, q, y, tap, into)
            elif lanes == WIDE:
                max_wide(x, place, sw, down, dw, zeroth, rows, kw, firsts, q, y, tap, into)
            elif lanes == HALF:
                max_half(x, place, sw, down, dw, zeroth, rows, kw, firsts, q, y, tap, into)
            else:
                max_quarter(x, place, sw, down, dw, zeroth, rows, kw, firsts, q, y, tap, into)
            q += lanes


@jit
def max_planes(x: Any, y: Any, tap: Any, first: int, last: int, shape: Any) -> None:
    """Planes ``first`` to ``last``; shape: the pairs (rows, columns) of sizes, outputs, kernel, stride, padding,
    dilation."""
    h, w, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw = shape
    if lanes_for(ow) == 1:
        for n in range(first, last):
            for o in range(oh):
                for q in range(ow):
                    at = (n * oh + o) * ow + q
                    y[at], tap[at] = _one_max(x, n * h * w, h, w, o * sh - ph, q * sw - pw, kh, kw, dh, dw)
        return
    firsts = np.empty(ow, np.int32)  # the first tap of each window that is not in the padding to the left
    for q in range(ow):
        firsts[q] = (max(pw - q * sw, 0) + dw - 1) // dw
    width = frame_width(w, ow, kw, sw, pw, dw)
    frame = np.full(h * width if width > w else 0, MINUS_INFINITY)
    source = frame if width > w else x
    for n in range(first, last):
        start = n * h * w
        if width > w:
            framed(x, start, h, w, pw, frame, width)
            start = 0
        _max_rows(source, start, width, y, tap, n * oh * ow, firsts, shape)


@jit(parallel=True)
def max_planes_shared(x: Any, y: Any, tap: Any, planes: int, shape: Any, threads: int) -> None:
    for t in prange(threads):
        max_planes(x, y, tap, planes * t // threads, planes * (t + 1) // threads, shape)


@jit
def max_back_planes(dy: Any, tap: Any, dx: Any, first: int, last: int, shape: Any) -> None:
    h, w, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw = shape
    lanes = lanes_for(ow) if is_2x2(shape) else 1
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
