"""Depthwise convolution: each channel has kernels of its own, so there is no sum over channels to fill a tile with.

What is left are lines of pixels times single weights. With a stride s > 1 neighbouring outputs read every s-th pixel;
so the padded plane is stored with its columns sorted by their rest modulo s, and every tap again reads neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..machine.compile import jit
from ..machine.parallel_for import again, at_most
from ..machine.sums import sum_of, wide_zeros


@jit
def _sort(x: Any, start: int, h: int, w: int, top: int, left: int, stride: int, wide: int, y: Any) -> None:
    """A plane (h, w) into the middle of a padded one, (rows, stride, wide): column j goes to (j mod s, j // s)."""
    for i in range(h):
        line, base = x[start + i * w : start + (i + 1) * w], (i + top) * stride * wide
        for j in range(w):
            y[base + (j + left) % stride * wide + (j + left) // stride] = line[j]


@jit
def _unsort(y: Any, h: int, w: int, top: int, left: int, stride: int, wide: int, x: Any, start: int) -> None:
    for i in range(h):
        line, base = x[start + i * w : start + (i + 1) * w], (i + top) * stride * wide
        for j in range(w):
            line[j] = y[base + (j + left) % stride * wide + (j + left) // stride]


@jit
def _line_start(i: int, a: int, b: int, sh: int, sw: int, dh: int, dw: int, wide: int) -> int:
    """Where the line of pixels begins that tap (a, b) reads for the outputs of row i."""
    return (i * sh + a * dh) * sw * wide + b * dw % sw * wide + b * dw // sw


@jit(parallel=True)
def correlate(x: Any, w: Any, bias: Any, floor: Any, y: Any, n: int, numbers: Any, parts: int) -> None:
    """y (N, C·many, OH, OW) = max(x ⋆ w + bias, floor), w (C·many, 1, KH, KW): channel c makes outputs c·many …

    ``numbers`` are C, many, H, W, OH, OW, KH, KW, and stride, padding and dilation of both axes.
    """
    c, many, h, wd, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw = numbers
    high, wide = max(h + ph, (oh - 1) * sh + dh * (kh - 1) + 1), (wd + pw + dw * kw) // sw + ow + 2
    before = at_most(parts)
    for t in prange(parts):
        plane = np.zeros(high * sw * wide, np.float32)
        for p in range(t * n * c // parts, (t + 1) * n * c // parts):
            _sort(x, p * h * wd, h, wd, ph, pw, sw, wide, plane)
            for q in range(many):
                o = p % c * many + q
                for i in range(oh):
                    at = ((p * many + q) * oh + i) * ow
                    line = y[at : at + ow]
                    line[:] = bias[o]
                    for a in range(kh):
                        for b in range(kw):
                            weight = w[(o * kh + a) * kw + b]
                            place = _line_start(i, a, b, sh, sw, dh, dw, wide)
                            source = plane[place : place + ow]
                            for j in range(ow):
                                line[j] += weight * source[j]
                    lowest = floor[0]
                    for j in range(ow):
                        v = line[j]
                        line[j] = lowest if v < lowest else v
    again(before)


@jit(parallel=True)
def input_gradient(dy: Any, w: Any, bias: Any, dx: Any, n: int, numbers: Any, parts: int) -> None:
    """dx (N, C, H, W): every dy adds its kernel to the padded plane; what fell on the padding is dropped."""
    c, many, h, wd, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw = numbers
    high, wide = max(h + ph, (oh - 1) * sh + dh * (kh - 1) + 1), (wd + pw + dw * kw) // sw + ow + 2
    before = at_most(parts)
    for t in prange(parts):
        plane = np.empty(high * sw * wide, np.float32)
        for p in range(t * n * c // parts, (t + 1) * n * c // parts):
            plane[:] = bias[p % c]
            for q in range(many):
                o = p % c * many + q
                for i in range(oh):
                    at = ((p * many + q) * oh + i) * ow
                    line = dy[at : at + ow]
                    for a in range(kh):
                        for b in range(kw):
                            weight = w[(o * kh + a) * kw + b]
                            place = _line_start(i, a, b, sh, sw, dh, dw, wide)
                            target = plane[place : place + ow]
                            for j in range(ow):
                                target[j] += weight * line[j]
            _unsort(plane, h, wd, ph, pw, sw, wide, dx, p * h * wd)
    again(before)


@jit(parallel=True)
def weight_gradient(x: Any, dy: Any, gradient: Any, db: Any, n: int, numbers: Any, parts: int) -> None:
    """dw (C·many, 1, KH, KW) and db; a thread owns channels, so every sum has one order."""
    c, many, h, wd, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw = numbers
    high, wide = max(h + ph, (oh - 1) * sh + dh * (kh - 1) + 1), (wd + pw + dw * kw) // sw + ow + 2
    before = at_most(parts)
    for t in prange(parts):
        plane = np.zeros(high * sw * wide, np.float32)
        mine, bias = wide_zeros(many * kh * kw), wide_zeros(many)
        for channel in range(t * c // parts, (t + 1) * c // parts):
            mine[:] = 0.0
            bias[:] = 0.0
            for image in range(n):
                _sort(x, (image * c + channel) * h * wd, h, wd, ph, pw, sw, wide, plane)
                for q in range(many):
                    for i in range(oh):
                        at = (((image * c + channel) * many + q) * oh + i) * ow
                        line = dy[at : at + ow]
                        bias[q] += sum_of(line)
                        for a in range(kh):
                            for b in range(kw):
                                place = _line_start(i, a, b, sh, sw, dh, dw, wide)
                                source = plane[place : place + ow]
                                s = np.float32(0)
                                for j in range(ow):
                                    s += line[j] * source[j]
                                mine[(q * kh + a) * kw + b] += s
            gradient[channel * many * kh * kw : (channel + 1) * many * kh * kw] = mine
            db[channel * many : (channel + 1) * many] = bias
    again(before)
