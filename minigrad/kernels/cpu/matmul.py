"""Linear layers, with or without an activation, on the CPU.

Most are computed in one go by ``layer.py``. Tiny ones go to BLAS through NumPy, with one pass of ours for bias and
activation on the way out, and one for dz and db on the way back. A layer with one input or one output is a matrix
product in name only: (256, 1) · (1, 64) is an outer product, and a BLAS call spends its time packing operands for a
reuse that never comes. For layers with at most ``THIN`` inputs or outputs, loops of ours read every operand once and
keep the long axis innermost (contiguous, hence SIMD).

One thread for those: the arrays are small, and the sums over rows then have one order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import Kernel, memory
from ..compile import jit
from ..simd import ROWS
from ..threads import get_num_threads
from . import layer
from .activation import NONE, RELU, SIGMOID, TANH, activate, slopes
from .functions import ZERO
from .gemm import SMALLEST, times, times_transposed, transposed_times
from .layout import FLOAT32, takes
from .narrow import is_narrow, narrow_forward

THIN = 4
LARGEST = 1 << 20  # multiply-adds: above, BLAS and its threads win
SHARED_FROM = 1 << 20  # multiply-adds from which a second thread pays in a layer
FEW_SAMPLES = 256  # above, the gradients are products large enough to be made one by one


@jit
def _few_inputs(x: Any, w: Any, b: Any, y: Any) -> None:
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
def _few_inputs_backward(dy: Any, x: Any, w: Any, dx: Any, dw: Any, db: Any) -> None:
    """dx = dy · w, dw (out, in) = dyᵀ · x, db = Σ dy; dx may be empty (not wanted).

    Four rows at a time, so that each running sum is read and written once for four products.
    """
    n, outputs = dy.shape
    inputs = x.shape[1]
    dwt = np.zeros((inputs, outputs), np.float32)
    db[:] = ZERO
    whole = n - n % 4
    for i in range(0, whole, 4):
        r0, r1, r2, r3 = dy[i], dy[i + 1], dy[i + 2], dy[i + 3]
        for o in range(outputs):
            db[o] += (r0[o] + r1[o]) + (r2[o] + r3[o])
        for k in range(inputs):
            x0, x1, x2, x3 = x[i, k], x[i + 1, k], x[i + 2, k], x[i + 3, k]
            row = dwt[k]
            for o in range(outputs):
                row[o] += (x0 * r0[o] + x1 * r1[o]) + (x2 * r2[o] + x3 * r3[o])
    for i in range(whole, n):
        for o in range(outputs):
            db[o] += dy[i, o]
        for k in range(inputs):
            for o in range(outputs):
                dwt[k, o] += x[i, k] * dy[i, o]
    for o in range(outputs):
        for k in range(inputs):
            dw[o, k] = dwt[k, o]
    if dx.size:
        wt = w.T.copy()
        for i in range(n):
            for k in range(inputs):
                s = ZERO
                for o in range(outputs):
                    s += dy[i, o] * wt[k, o]
                dx[i, k] = s


@jit
def _few_outputs(x: Any, w: Any, b: Any, y: Any) -> None:
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
def _few_outputs_backward(dy: Any, x: Any, w: Any, dx: Any, dw: Any, db: Any) -> None:
    """dx = dy · w, dw (out, in) = dyᵀ · x, db = Σ dy; dx may be empty (not wanted)."""
    n, outputs = dy.shape
    inputs = x.shape[1]
    db[:] = ZERO
    whole = n - n % 4
    total = np.zeros(inputs, np.float32)
    for o in range(outputs):
        total[:] = ZERO
        for i in range(0, whole, 4):
            d0, d1, d2, d3 = dy[i, o], dy[i + 1, o], dy[i + 2, o], dy[i + 3, o]
            db[o] += (d0 + d1) + (d2 + d3)
            x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
            for k in range(inputs):
                total[k] += (d0 * x0[k] + d1 * x1[k]) + (d2 * x2[k] + d3 * x3[k])
        for i in range(whole, n):
            db[o] += dy[i, o]
            for k in range(inputs):
                total[k] += dy[i, o] * x[i, k]
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


_NO_BIAS: dict[int, Any] = {}
_NOTHING, _NO_SHARES = np.empty((0, 0), np.float32), np.empty((0, 0, 0), np.float32)


def _no_bias(outputs: int) -> Any:
    """Zeros, one array per size: a layer without a bias adds them."""
    zeros = _NO_BIAS.get(outputs)
    if zeros is None:
        zeros = _NO_BIAS[outputs] = np.zeros(outputs, np.float32)
    return zeros


def _shares(rows: int, inputs: int, outputs: int) -> int:
    """Threads for a layer."""
    return min(get_num_threads(), outputs) if rows * inputs * outputs >= SHARED_FROM else 1


def _thin(rows: int, inputs: int, outputs: int) -> bool:
    return (inputs <= THIN or outputs <= THIN) and 0 < rows * inputs * outputs <= LARGEST and outputs > 0


_CODES = {"relu": RELU, "sigmoid": SIGMOID, "tanh": TANH}


@jit
def _bias_activate(z: Any, b: Any, f: int, y: Any) -> None:
    """y = f(z + b), row by row, each row while it is in the cache. z is used up; without an activation it may be y."""
    for i in range(z.shape[0]):
        row = z[i]
        for o in range(row.size):
            row[o] += b[o]
        if f != NONE:
            activate(row, y[i], f)


@jit
def _slopes_and_bias(dy: Any, y: Any, f: int, dz: Any, db: Any) -> None:
    """dz = dy · f′ (or dy itself, if that is dz) and db = Σ dz over rows."""
    if f != NONE:
        slopes(dy.ravel(), y.ravel(), f, dz.ravel())
    db[:] = ZERO
    n, outputs = dz.shape
    whole = n - n % 4
    for i in range(0, whole, 4):
        r0, r1, r2, r3 = dz[i], dz[i + 1], dz[i + 2], dz[i + 3]
        for o in range(outputs):
            db[o] += (r0[o] + r1[o]) + (r2[o] + r3[o])
    for i in range(whole, n):
        for o in range(outputs):
            db[o] += dz[i, o]


@jit
def _thin_layer(x: Any, w: Any, b: Any, y: Any, f: int) -> None:
    z = y if f == NONE else np.empty_like(y)
    if x.shape[1] <= THIN:
        _few_inputs(x, w, b, z)
    else:
        _few_outputs(x, w, b, z)
    if f != NONE:
        activate(z.ravel(), y.ravel(), f)


@jit
def _thin_layer_backward(dy: Any, x: Any, w: Any, y: Any, f: int, dx: Any, dw: Any, db: Any) -> None:
    dz = dy
    if f != NONE:
        dz = np.empty_like(y)
        slopes(dy.ravel(), y.ravel(), f, dz.ravel())
    if x.shape[1] <= THIN:
        _few_inputs_backward(dz, x, w, dx, dw, db)
    else:
        _few_outputs_backward(dz, x, w, dx, dw, db)


def _layer(ctx: Any, x: Any, w: Any, b: Any, f: int) -> Any:
    """f(x Wᵀ + b), or NotImplemented. Leaves in ``ctx.scratch`` what :func:`_layer_backward` needs."""
    if x.__class__ is not np.ndarray or x.dtype is not FLOAT32 or w.dtype is not FLOAT32 or x.ndim != 2 or w.ndim != 2:
        return NotImplemented
    outputs, inputs = w.shape
    rows, columns = x.shape
    if columns != inputs or not rows * inputs * outputs:
        return NotImplemented
    if b is None:
        b = _no_bias(outputs)
    elif b.dtype is not FLOAT32 or b.shape != (outputs,):
        return NotImplemented
    thin = _thin(rows, inputs, outputs)
    if thin:
        y = np.empty((rows, outputs), FLOAT32)
        _thin_layer(x, w, b, y, f)
    elif not (x.flags.c_contiguous and w.flags.c_contiguous):
        return NotImplemented
    elif is_narrow(inputs, outputs):
        y = z = np.empty((rows, outputs), FLOAT32)
        narrow_forward(x, w, b, z)
        if f != NONE:
            y = np.empty_like(z)
            activate(z.ravel(), y.ravel(), f)
    elif rows * inputs * outputs > SMALLEST:
        y = memory.empty((rows, outputs))
        layer.forward(x, w, b, f, y, _shares(rows, inputs, outputs))
    else:
        z = times_transposed(x, w)
        y = z if f == NONE else np.empty_like(z)
        _bias_activate(z, b, f, y)
    ctx.shape = x.shape
    # The pass over thin rows gives all three gradients, so it needs both operands whichever are wanted.
    ctx.scratch = (x, w, y, f, thin)
    return y


def _layer_backward(ctx: Any, dy: Any) -> Any:
    if dy.dtype is not FLOAT32 or not dy.flags.c_contiguous:
        return NotImplemented
    x, w, y, f, thin = ctx.scratch
    wants_x, wants_w, wants_b = ctx.edges[:3]
    db = np.empty(w.shape[0], FLOAT32)
    dw: Any = None
    if thin:
        dx, dw = np.empty(x.shape, FLOAT32) if wants_x is not None else _NOTHING, np.empty(w.shape, FLOAT32)
        _thin_layer_backward(dy, x, w, y, f, dx, dw, db)
        return dx, dw, db
    (rows, inputs), outputs = x.shape, w.shape[0]
    if wants_w is not None and rows <= FEW_SAMPLES and outputs >= 2 * ROWS and rows * inputs * outputs > SMALLEST:
        parts = _shares(rows, inputs, outputs)
        dw = memory.empty(w.shape)
        dx, shares = _NOTHING, _NO_SHARES
        if wants_x is not None:
            dx, shares = memory.empty(x.shape), memory.empty((parts - 1, *x.shape))
        layer.backward(dy, y, x, w, f, shares, dx, dw, db, parts)
        return dx if wants_x is not None else None, dw, db
    dz = dy
    if wants_b is not None or f != NONE:
        dz = dy if f == NONE else np.empty(y.shape, FLOAT32)
        _slopes_and_bias(dy, y, f, dz, db)
    if wants_w is not None:
        dw = transposed_times(dz, x)
    return times(dz, w) if wants_x is not None else None, dw, db


def linear_forward(ctx: Any, x: Any, w: Any, b: Any) -> Any:
    y = _layer(ctx, x, w, b, NONE)
    if y is not NotImplemented:
        wants_x, wants_w, _ = ctx.edges
        ctx.saved = (x if wants_w is not None else None, w if wants_x is not None else None)
    return y


def linear_activation_forward(ctx: Any, x: Any, w: Any, b: Any, name: str) -> Any:
    y = _layer(ctx, x, w, b, _CODES[name])
    if y is not NotImplemented:
        wants_x, wants_w = ctx.edges[:2]
        ctx.activation = name
        ctx.saved = (x if wants_w is not None else None, w if wants_x is not None else None, y)
    return y


def matmul_forward(ctx: Any, a: Any, b: Any) -> Any:
    """A B of two matrices. With few rows or columns in B it is the thin layer above with W = Bᵀ and no bias."""
    if a.__class__ is not np.ndarray or a.dtype is not FLOAT32 or b.dtype is not FLOAT32 or a.ndim != 2 or b.ndim != 2:
        return NotImplemented
    rows, inputs = a.shape
    outputs = b.shape[1]
    if b.shape[0] != inputs:
        return NotImplemented
    thin = _thin(rows, inputs, outputs)
    if thin:
        y = np.empty((rows, outputs), FLOAT32)
        (_few_inputs if inputs <= THIN else _few_outputs)(a, b.T, _no_bias(outputs), y)
    elif takes(a, 1) and takes(b, 1):
        y = times(a, b)
    else:
        return NotImplemented
    wants_a, wants_b = ctx.edges
    ctx.shapes = a.shape, b.shape
    ctx.saved = (a if wants_b is not None else None, b if wants_a is not None else None)
    ctx.scratch = (a, b, thin)
    return y


def matmul_backward(ctx: Any, dy: Any) -> Any:
    if dy.dtype is not FLOAT32:
        return NotImplemented
    a, b, thin = ctx.scratch
    if not thin:
        if not dy.flags.c_contiguous:
            return NotImplemented
        return (
            times_transposed(dy, b) if ctx.edges[0] is not None else None,
            transposed_times(a, dy) if ctx.edges[1] is not None else None,
        )
    da = np.empty(a.shape, FLOAT32) if ctx.edges[0] is not None else _NOTHING
    db, unused = np.empty(b.shape, FLOAT32), np.empty(b.shape[1], FLOAT32)
    (_few_inputs_backward if a.shape[1] <= THIN else _few_outputs_backward)(dy, a, b.T, da, db.T, unused)
    return da, db


KERNELS = {
    "matmul": Kernel(matmul_forward, matmul_backward),
    "linear": Kernel(linear_forward, _layer_backward),
    "linear_activation": Kernel(linear_activation_forward, _layer_backward),
}
