"""A layer from many inputs to a few outputs: (N, in) · (out, in)ᵀ with ``in`` in the thousands and ``out`` around ten.

The weights fit in the cache and the samples do not, so the time goes into reading x. BLAS first copies x into packed
panels, which pays when each number is used hundreds of times; here it is used ten times, and the copy is most of the
work. These loops read x once, as it lies in memory: two samples against four outputs at a time on the way out (eight
running sums in registers, six loads for eight products), eight samples at a time on the way back (each running sum of
dW is read and written once for eight products).

Samples, or on the way back inputs, are shared out over threads; every sum belongs to one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compile import jit
from ..threads import get_num_threads

WIDEST = 16  # outputs
DEEPEST = 512  # inputs from which reading x dominates
ZERO = np.float32(0)


def is_narrow(inputs: int, outputs: int) -> bool:
    """Whether these loops beat BLAS."""
    return outputs <= WIDEST and inputs >= DEEPEST


@jit(parallel=True)
def narrow_forward(x: Any, w: Any, b: Any, y: Any) -> None:
    """y (N, out) = x (N, in) · w (out, in)ᵀ + b (out)."""
    n, inputs = x.shape
    outputs = w.shape[0]
    whole = outputs - outputs % 4
    for pair in prange((n + 1) // 2):
        i, j = 2 * pair, min(2 * pair + 1, n - 1)  # an odd last sample is its own partner
        xi, xj = x[i], x[j]
        for o in range(0, whole, 4):
            w0, w1, w2, w3 = w[o], w[o + 1], w[o + 2], w[o + 3]
            a0 = a1 = a2 = a3 = c0 = c1 = c2 = c3 = ZERO
            for k in range(inputs):
                u, v = xi[k], xj[k]
                a0 += u * w0[k]
                a1 += u * w1[k]
                a2 += u * w2[k]
                a3 += u * w3[k]
                c0 += v * w0[k]
                c1 += v * w1[k]
                c2 += v * w2[k]
                c3 += v * w3[k]
            y[i, o], y[i, o + 1], y[i, o + 2], y[i, o + 3] = a0 + b[o], a1 + b[o + 1], a2 + b[o + 2], a3 + b[o + 3]
            y[j, o], y[j, o + 1], y[j, o + 2], y[j, o + 3] = c0 + b[o], c1 + b[o + 1], c2 + b[o + 2], c3 + b[o + 3]
        for o in range(whole, outputs):
            w0 = w[o]
            a0 = c0 = ZERO
            for k in range(inputs):
                a0 += xi[k] * w0[k]
                c0 += xj[k] * w0[k]
            y[i, o], y[j, o] = a0 + b[o], c0 + b[o]


@jit
def _weight_gradient(dy: Any, x: Any, dw: Any, start: int, stop: int) -> None:
    """Columns ``start`` to ``stop`` of dw (out, in) = dy (N, out)ᵀ · x (N, in)."""
    n, outputs = dy.shape
    whole = n - n % 8
    for o in range(outputs):
        dw[o, start:stop] = ZERO
    for i in range(0, whole, 8):
        x0, x1, x2, x3 = x[i, start:stop], x[i + 1, start:stop], x[i + 2, start:stop], x[i + 3, start:stop]
        x4, x5, x6, x7 = x[i + 4, start:stop], x[i + 5, start:stop], x[i + 6, start:stop], x[i + 7, start:stop]
        for o in range(outputs):
            row = dw[o, start:stop]
            d0, d1, d2, d3 = dy[i, o], dy[i + 1, o], dy[i + 2, o], dy[i + 3, o]
            d4, d5, d6, d7 = dy[i + 4, o], dy[i + 5, o], dy[i + 6, o], dy[i + 7, o]
            for k in range(row.size):
                row[k] += ((d0 * x0[k] + d1 * x1[k]) + (d2 * x2[k] + d3 * x3[k])) + (
                    (d4 * x4[k] + d5 * x5[k]) + (d6 * x6[k] + d7 * x7[k])
                )
    for i in range(whole, n):
        line = x[i, start:stop]
        for o in range(outputs):
            row = dw[o, start:stop]
            d0 = dy[i, o]
            for k in range(row.size):
                row[k] += d0 * line[k]


@jit(parallel=True)
def _weight_gradient_parts(dy: Any, x: Any, dw: Any, parts: int) -> None:
    inputs = x.shape[1]
    length = (inputs // parts + 16) // 16 * 16  # whole cache lines: no two threads write to one
    for t in prange(parts):
        _weight_gradient(dy, x, dw, min(inputs, t * length), min(inputs, (t + 1) * length))


def narrow_weight_gradient(dy: Any, x: Any) -> Any:
    """dyᵀ x, (out, in)."""
    dw = np.empty((dy.shape[1], x.shape[1]), np.float32)
    _weight_gradient_parts(dy, x, dw, get_num_threads())
    return dw
