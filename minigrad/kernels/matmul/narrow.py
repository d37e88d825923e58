"""A layer from many inputs to a few outputs: (N, in) · (out, in)ᵀ with ``in`` in the thousands and ``out`` around ten.

The weights fit in the cache and the samples do not, so the time goes into reading x. BLAS first copies x into packed
panels, which pays when each number is used hundreds of times; here it is used ten times, and the copy is most of the
work. This loop reads x once, as it lies in memory, two samples against four outputs at a time: eight running sums in
registers, six loads for eight products.

Samples are shared out over threads; every sum belongs to one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..machine.compile import jit
from ..machine.parallel_for import again, at_most

WIDEST = 16  # outputs
DEEPEST = 512  # inputs from which reading x dominates
ZERO = np.float32(0)


def is_narrow(inputs: int, outputs: int) -> bool:
    """Whether these loops beat BLAS."""
    return outputs <= WIDEST and inputs >= DEEPEST


@jit(parallel=True)
def narrow_forward(x: Any, w: Any, b: Any, y: Any, parts: int) -> None:
    """y (N, out) = x (N, in) · w (out, in)ᵀ + b (out)."""
    n, inputs = x.shape
    outputs = w.shape[0]
    whole = outputs - outputs % 4
    pairs = (n + 1) // 2
    before = at_most(parts)
    for t in prange(parts):
        for pair in range(t * pairs // parts, (t + 1) * pairs // parts):
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
    again(before)
