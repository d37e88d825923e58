"""Products with a thin side on the CPU.

A layer with one input or one output is a matrix product in name only: (256, 1) · (1, 64) is an outer product, and a
BLAS call spends its time packing operands for a reuse that never comes. For layers with at most ``THIN`` inputs or
outputs these loops read every operand once, keep the long axis innermost (contiguous, hence SIMD), and the backward
pass forms dx, dW and db in one go over the rows. All other shapes go to BLAS through NumPy.

One thread: the arrays are small, and the sums over rows then have one order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import Kernel
from ..compile import jit
from .layout import FLOAT32

THIN = 4
LARGEST = 1 << 20  # multiply-adds: above, two BLAS threads win


@jit
def _few_inputs(x: Any, wt: Any, b: Any, y: Any) -> None:
    """y (N, out) = x (N, in) · wt (in, out) + b (out), with a small ``in``."""
    n, inputs = x.shape
    outputs = wt.shape[1]
    for i in range(n):
        for o in range(outputs):
            y[i, o] = b[o] + x[i, 0] * wt[0, o]
        for k in range(1, inputs):
            for o in range(outputs):
                y[i, o] += x[i, k] * wt[k, o]


@jit
def _few_inputs_backward(dy: Any, x: Any, wt: Any, dx: Any, dwt: Any, db: Any) -> None:
    """dx = dy · wtᵀ, dwt (in, out) = xᵀ · dy, db = Σ dy; dx may be empty (not wanted)."""
    n, outputs = dy.shape
    inputs = x.shape[1]
    dwt[:] = np.float32(0)
    db[:] = np.float32(0)
    for i in range(n):
        for o in range(outputs):
            db[o] += dy[i, o]
        for k in range(inputs):
            s = np.float32(0)
            xik = x[i, k]
            for o in range(outputs):
                dwt[k, o] += xik * dy[i, o]
            if dx.size:
                for o in range(outputs):
                    s += dy[i, o] * wt[k, o]
                dx[i, k] = s


@jit
def _few_outputs(x: Any, w: Any, b: Any, y: Any) -> None:
    """y (N, out) = x (N, in) · w (out, in)ᵀ + b, with a small ``out``."""
    n, inputs = x.shape
    for i in range(n):
        for o in range(w.shape[0]):
            s = np.float32(0)
            for k in range(inputs):
                s += x[i, k] * w[o, k]
            y[i, o] = s + b[o]


@jit
def _few_outputs_backward(dy: Any, x: Any, w: Any, dx: Any, dw: Any, db: Any) -> None:
    """dx = dy · w, dw (out, in) = dyᵀ · x, db = Σ dy; dx may be empty (not wanted)."""
    n, outputs = dy.shape
    inputs = x.shape[1]
    dw[:] = np.float32(0)
    db[:] = np.float32(0)
    for i in range(n):
        for o in range(outputs):
            d = dy[i, o]
            db[o] += d
            for k in range(inputs):
                dw[o, k] += d * x[i, k]
            if dx.size:
                if o == 0:
                    for k in range(inputs):
                        dx[i, k] = d * w[o, k]
                else:
                    for k in range(inputs):
                        dx[i, k] += d * w[o, k]


_NO_BIAS: dict[int, Any] = {}
_NOTHING = np.empty((0, 0), np.float32)


def _no_bias(outputs: int) -> Any:
    """Zeros, one array per size: a layer without a bias adds them."""
    zeros = _NO_BIAS.get(outputs)
    if zeros is None:
        zeros = _NO_BIAS[outputs] = np.zeros(outputs, np.float32)
    return zeros


def _thin(rows: int, inputs: int, outputs: int) -> bool:
    return (inputs <= THIN or outputs <= THIN) and 0 < rows * inputs * outputs <= LARGEST and outputs > 0


def _forward(x: Any, w: Any, b: Any) -> Any:
    """x (N, in) · w (out, in)ᵀ + b."""
    inputs, outputs = x.shape[1], w.shape[0]
    y = np.empty((x.shape[0], outputs), np.float32)
    b = _no_bias(outputs) if b is None else b
    if inputs <= THIN:
        _few_inputs(x, np.ascontiguousarray(w.T), b, y)
    else:
        _few_outputs(x, w, b, y)
    return y


def linear_forward(ctx: Any, x: Any, w: Any, b: Any) -> Any:
    if not (type(x) is np.ndarray and x.ndim == 2 and x.dtype is FLOAT32 and w.ndim == 2 and w.dtype is FLOAT32):
        return NotImplemented
    outputs, inputs = w.shape
    if x.shape[1] != inputs or not _thin(x.shape[0], inputs, outputs):
        return NotImplemented
    if not (x.flags.c_contiguous and w.flags.c_contiguous) or (
        b is not None and (b.shape != (outputs,) or b.dtype is not FLOAT32 or not b.flags.c_contiguous)
    ):
        return NotImplemented
    ctx.shape = x.shape
    ctx.saved = (x if ctx.needs(1) else None, w if ctx.needs(0) else None)
    # The pass over the rows gives all three gradients, so it needs both operands whichever are wanted.
    ctx.scratch = (x, w)
    return _forward(x, w, b)


def linear_backward(ctx: Any, dy: Any) -> Any:
    if dy.dtype is not FLOAT32 or not dy.flags.c_contiguous:
        return NotImplemented
    x, w = ctx.scratch
    outputs, inputs = w.shape
    dx = np.empty(x.shape, np.float32) if ctx.needs(0) else _NOTHING
    db = np.empty(outputs, np.float32)
    if inputs <= THIN:
        dwt = np.empty((inputs, outputs), np.float32)
        _few_inputs_backward(dy, x, np.ascontiguousarray(w.T), dx, dwt, db)
        dw = np.ascontiguousarray(dwt.T)
    else:
        dw = np.empty((outputs, inputs), np.float32)
        _few_outputs_backward(dy, x, w, dx, dw, db)
    return dx if ctx.needs(0) else None, dw, db


KERNELS = {"linear": Kernel(linear_forward, linear_backward)}
