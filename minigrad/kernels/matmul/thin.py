"""Linear layers with few inputs or outputs.

With at most ``THIN`` of either a layer is a matrix product in name only: (256, 1) · (1, 64) is an outer product, and a
BLAS call spends its time packing operands for a reuse that never comes. The loops here read every operand once and keep
the long axis innermost (contiguous, hence SIMD). One thread: the arrays are small, and the sums over rows then have one
order.

From thousands of inputs to around ten outputs (*narrow*) the weights fit in the cache and the samples do not, so the
time goes into reading x. BLAS first copies x into packed panels, which pays when each element is used hundreds of
times; here it is used ten times, and the copy is most of the work. ``narrow_forward`` reads x once, as it lies in
memory, two samples against four outputs at a time: eight running sums in registers, six loads for eight products.
Samples are shared out over threads; every sum belongs to one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine.compile import jit
from ..machine.shared import share, shared
from ..machine.sums import BLOCK
from ..pointwise.activation import NONE, activate, activation_dx
from ..pointwise.functions import ZERO

THIN = 4
LARGEST = 1 << 20  # multiply-adds: above, products with tiles and threads win
WIDEST = 16  # outputs of a narrow layer
DEEPEST = 512  # inputs from which reading x dominates


def is_thin(rows: int, inputs: int, outputs: int) -> bool:
    """Whether these loops are the fastest way."""
    return (inputs <= THIN or outputs <= THIN) and 0 < rows * inputs * outputs <= LARGEST and outputs > 0


def is_narrow(inputs: int, outputs: int) -> bool:
    """Whether ``narrow_forward`` beats BLAS."""
    return outputs <= WIDEST and inputs >= DEEPEST


@jit
def few_inputs(x: Any, w: Any, b: Any, y: Any) -> None:
    """y (N, out) = x (N, in) · w (out, in)ᵀ + b (out), with a small ``in``."""
    wt = w.T.copy()  # (in, out): the long axis last
    first, inputs = wt[0], x.shape[1]
    second = wt[1] if inputs > 1 else first
    for i in range(x.shape[0]):
        row, x0 = y[i], x[i, 0]
        x1 = x[i, 1] if inputs > 1 else ZERO
        for o in range(row.size):
            row[o] = b[o] + x0 * first[o] + x1 * second[o]
        for k in range(2, inputs):
            for o in range(row.size):
                row[o] += x[i, k] * wt[k, o]


@jit
def few_inputs_backward(dy: Any, x: Any, w: Any, dx: Any, dw: Any, db: Any) -> None:
    """dx = dy · w, dw (out, in) = dyᵀ · x, db = Σ dy; dx may be empty (not wanted).

    Four rows at a time, so that each running sum is read and written once for four products.
    """
    n, outputs = dy.shape
    inputs = x.shape[1]
    part, total = np.zeros((inputs + 1, outputs), np.float32), np.zeros((inputs + 1, outputs))  # dwᵀ above db
    bias = part[inputs]
    for start in range(0, n, BLOCK):
        g, z = dy[start : start + BLOCK], x[start : start + BLOCK]
        size = g.shape[0]
        whole = size - size % 4
        for i in range(0, whole, 4):
            r0, r1, r2, r3 = g[i], g[i + 1], g[i + 2], g[i + 3]
            for o in range(outputs):
                bias[o] += (r0[o] + r1[o]) + (r2[o] + r3[o])
            for k in range(inputs):
                x0, x1, x2, x3 = z[i, k], z[i + 1, k], z[i + 2, k], z[i + 3, k]
                row = part[k]
                for o in range(outputs):
                    row[o] += (x0 * r0[o] + x1 * r1[o]) + (x2 * r2[o] + x3 * r3[o])
        for i in range(whole, size):
            for o in range(outputs):
                bias[o] += g[i, o]
            for k in range(inputs):
                for o in range(outputs):
                    part[k, o] += z[i, k] * g[i, o]
        for k in range(inputs + 1):
            for o in range(outputs):
                total[k, o] += part[k, o]
                part[k, o] = ZERO
    for o in range(outputs):
        db[o] = total[inputs, o]
        for k in range(inputs):
            dw[o, k] = total[k, o]
    if dx.size:
        wt = w.T.copy()
        for i in range(n):
            for k in range(inputs):
                s = ZERO
                for o in range(outputs):
                    s += dy[i, o] * wt[k, o]
                dx[i, k] = s


@jit
def few_outputs(x: Any, w: Any, b: Any, y: Any) -> None:
    """y (N, out) = x (N, in) · w (out, in)ᵀ + b, with a small ``out``; four rows share each load of w."""
    n = x.shape[0]
    whole = n - n % 4
    for o in range(w.shape[0]):
        line = w[o]
        for i in range(0, whole, 4):
            x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
            s0 = s1 = s2 = s3 = ZERO
            for k in range(line.size):
                s0 += x0[k] * line[k]
                s1 += x1[k] * line[k]
                s2 += x2[k] * line[k]
                s3 += x3[k] * line[k]
            y[i, o], y[i + 1, o], y[i + 2, o], y[i + 3, o] = s0 + b[o], s1 + b[o], s2 + b[o], s3 + b[o]
        for i in range(whole, n):
            s0 = ZERO
            for k in range(line.size):
                s0 += x[i, k] * line[k]
            y[i, o] = s0 + b[o]


@jit
def few_outputs_backward(dy: Any, x: Any, w: Any, dx: Any, dw: Any, db: Any) -> None:
    """dx = dy · w, dw (out, in) = dyᵀ · x, db = Σ dy; dx may be empty (not wanted)."""
    n, outputs = dy.shape
    inputs = x.shape[1]
    part, total = np.zeros(inputs, np.float32), np.zeros(inputs)
    for o in range(outputs):
        total[:] = 0.0
        bias = 0.0
        for start in range(0, n, BLOCK):
            g, z = dy[start : start + BLOCK, o], x[start : start + BLOCK]
            whole = g.size - g.size % 4
            for i in range(0, whole, 4):
                d0, d1, d2, d3 = g[i], g[i + 1], g[i + 2], g[i + 3]
                bias += (d0 + d1) + (d2 + d3)
                x0, x1, x2, x3 = z[i], z[i + 1], z[i + 2], z[i + 3]
                for k in range(inputs):
                    part[k] += (d0 * x0[k] + d1 * x1[k]) + (d2 * x2[k] + d3 * x3[k])
            for i in range(whole, g.size):
                bias += g[i]
                for k in range(inputs):
                    part[k] += g[i] * z[i, k]
            for k in range(inputs):
                total[k] += part[k]
                part[k] = ZERO
        db[o] = bias
        for k in range(inputs):
            dw[o, k] = total[k]
    if dx.size:
        for i in range(n):
            out, d0 = dx[i], dy[i, 0]
            line = w[0]
            for k in range(inputs):
                out[k] = d0 * line[k]
            for o in range(1, outputs):
                for k in range(inputs):
                    out[k] += dy[i, o] * w[o, k]


@jit
def thin_layer(x: Any, w: Any, b: Any, y: Any, f: int) -> None:
    z = y if f == NONE else np.empty_like(y)
    if x.shape[1] <= THIN:
        few_inputs(x, w, b, z)
    else:
        few_outputs(x, w, b, z)
    if f != NONE:
        activate(z.ravel(), y.ravel(), f)


@jit
def thin_layer_backward(dy: Any, x: Any, w: Any, y: Any, f: int, dx: Any, dw: Any, db: Any) -> None:
    dz = dy
    if f != NONE:
        dz = np.empty_like(y)
        activation_dx(dy.ravel(), y.ravel(), f, dz.ravel())
    if x.shape[1] <= THIN:
        few_inputs_backward(dz, x, w, dx, dw, db)
    else:
        few_outputs_backward(dz, x, w, dx, dw, db)


@shared(allocates=False)
def narrow_forward(t: int, parts: int, x: Any, w: Any, b: Any, y: Any) -> None:
    """y (N, out) = x (N, in) · w (out, in)ᵀ + b (out)."""
    n, inputs = x.shape
    outputs = w.shape[0]
    whole = outputs - outputs % 4
    first, last = share(t, parts, (n + 1) // 2)
    for i in range(2 * first, 2 * last, 2):
        j = min(i + 1, n - 1)  # an odd last sample is its own partner
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
