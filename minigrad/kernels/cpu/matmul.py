"""Products with a thin side on the CPU.

A layer with one input or one output is a matrix product in name only: (256, 1) · (1, 64) is an outer product, and a
BLAS call spends its time packing operands for a reuse that never comes. For layers with at most ``THIN`` inputs or
outputs these loops read every operand once, keep the long axis innermost (contiguous, hence SIMD), and the backward
pass forms dx, dW and db in one go over the rows. All other shapes go to BLAS through NumPy.

One thread: the arrays are small, and the sums over rows then have one order.

A layer and its activation in one (``ops/fused.py``) take any shape: thin ones as above, others with BLAS for the
products and one pass for bias and activation, or for dz and db.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import Kernel
from ..compile import jit
from .activation import ONE, ZERO, sigmoid32, tanh32
from .layout import FLOAT32

THIN = 4
LARGEST = 1 << 20  # multiply-adds: above, two BLAS threads win


@jit
def _few_inputs(x: Any, w: Any, b: Any, y: Any) -> None:
    """y (N, out) = x (N, in) · w (out, in)ᵀ + b (out), with a small ``in``."""
    n, inputs = x.shape
    wt = w.T.copy()  # (in, out): the long axis last
    outputs = wt.shape[1]
    for i in range(n):
        for o in range(outputs):
            y[i, o] = b[o] + x[i, 0] * wt[0, o]
        for k in range(1, inputs):
            for o in range(outputs):
                y[i, o] += x[i, k] * wt[k, o]


@jit
def _few_inputs_backward(dy: Any, x: Any, w: Any, dx: Any, dw: Any, db: Any) -> None:
    """dx = dy · w, dw (out, in) = dyᵀ · x, db = Σ dy; dx may be empty (not wanted)."""
    n, outputs = dy.shape
    inputs = x.shape[1]
    wt = w.T.copy()
    dwt = np.zeros((inputs, outputs), np.float32)
    db[:] = np.float32(0)
    for i in range(n):
        for o in range(outputs):
            db[o] += dy[i, o]
        for k in range(inputs):
            xik = x[i, k]
            for o in range(outputs):
                dwt[k, o] += xik * dy[i, o]
            if dx.size:
                s = np.float32(0)
                for o in range(outputs):
                    s += dy[i, o] * wt[k, o]
                dx[i, k] = s
    for o in range(outputs):
        for k in range(inputs):
            dw[o, k] = dwt[k, o]


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


def linear_forward(ctx: Any, x: Any, w: Any, b: Any) -> Any:
    if x.__class__ is not np.ndarray or x.dtype is not FLOAT32 or w.dtype is not FLOAT32 or x.ndim != 2 or w.ndim != 2:
        return NotImplemented
    outputs, inputs = w.shape
    rows, columns = x.shape
    if columns != inputs or not _thin(rows, inputs, outputs):
        return NotImplemented
    if b is None:
        b = _no_bias(outputs)
    elif b.dtype is not FLOAT32 or b.shape != (outputs,):
        return NotImplemented
    y = np.empty((rows, outputs), FLOAT32)
    (_few_inputs if inputs <= THIN else _few_outputs)(x, w, b, y)
    wants_x, wants_w, _ = ctx.edges
    ctx.shape = x.shape
    ctx.saved = (x if wants_w is not None else None, w if wants_x is not None else None)
    # The pass over the rows gives all three gradients, so it needs both operands whichever are wanted.
    ctx.scratch = (x, w)
    return y


def linear_backward(ctx: Any, dy: Any) -> Any:
    if dy.dtype is not FLOAT32:
        return NotImplemented
    x, w = ctx.scratch
    outputs, inputs = w.shape
    dx = np.empty(x.shape, FLOAT32) if ctx.edges[0] is not None else _NOTHING
    dw, db = np.empty((outputs, inputs), FLOAT32), np.empty(outputs, FLOAT32)
    (_few_inputs_backward if inputs <= THIN else _few_outputs_backward)(dy, x, w, dx, dw, db)
    return dx if ctx.edges[0] is not None else None, dw, db


# --- a layer with its activation ---------------------------------------------------------------------------------------

_RELU, _SIGMOID, _TANH = 0, 1, 2
_CODES = {"relu": _RELU, "sigmoid": _SIGMOID, "tanh": _TANH}


@jit
def _activate(y: Any, b: Any, f: int) -> None:
    """y ← f(y + b), row by row."""
    n, outputs = y.shape
    if f == _RELU:
        for i in range(n):
            for o in range(outputs):
                z = y[i, o] + b[o]
                y[i, o] = z if z > ZERO or z != z else ZERO
    elif f == _SIGMOID:
        for i in range(n):
            for o in range(outputs):
                y[i, o] = sigmoid32(y[i, o] + b[o])
    else:
        for i in range(n):
            for o in range(outputs):
                y[i, o] = tanh32(y[i, o] + b[o])


@jit
def _slopes(dy: Any, y: Any, f: int, dz: Any, db: Any) -> None:
    """dz = dy · f′, f′ read off y, and db = Σ dz over rows."""
    n, outputs = y.shape
    db[:] = ZERO
    for i in range(n):
        if f == _RELU:
            for o in range(outputs):
                d = dy[i, o] if y[i, o] > ZERO else ZERO
                dz[i, o] = d
                db[o] += d
        elif f == _SIGMOID:
            for o in range(outputs):
                d = dy[i, o] * y[i, o] * (ONE - y[i, o])
                dz[i, o] = d
                db[o] += d
        else:
            for o in range(outputs):
                d = dy[i, o] * (ONE - y[i, o] * y[i, o])
                dz[i, o] = d
                db[o] += d


@jit
def _thin_layer(x: Any, w: Any, b: Any, y: Any, f: int) -> None:
    nothing = np.zeros_like(b)
    if x.shape[1] <= THIN:
        _few_inputs(x, w, b, y)
    else:
        _few_outputs(x, w, b, y)
    _activate(y, nothing, f)


@jit
def _thin_layer_backward(dy: Any, x: Any, w: Any, y: Any, f: int, dx: Any, dw: Any, db: Any) -> None:
    dz = np.empty_like(y)
    _slopes(dy, y, f, dz, db)
    if x.shape[1] <= THIN:
        _few_inputs_backward(dz, x, w, dx, dw, db)
    else:
        _few_outputs_backward(dz, x, w, dx, dw, db)


def linear_activation_forward(ctx: Any, x: Any, w: Any, b: Any, name: str) -> Any:
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
    f = _CODES[name]
    thin = _thin(rows, inputs, outputs)
    if thin:
        y = np.empty((rows, outputs), FLOAT32)
        _thin_layer(x, w, b, y, f)
    else:
        y = x @ w.T
        _activate(y, b, f)
    wants_x, wants_w = ctx.edges[0], ctx.edges[1]
    ctx.shape, ctx.activation = x.shape, name
    ctx.saved = (x if wants_w is not None else None, w if wants_x is not None else None, y)
    ctx.scratch = (x, w, f, thin)
    return y


def linear_activation_backward(ctx: Any, dy: Any) -> Any:
    if dy.dtype is not FLOAT32:
        return NotImplemented
    y = ctx.saved[2]
    x, w, f, thin = ctx.scratch
    wants_x = ctx.edges[0] is not None
    db = np.empty(w.shape[0], FLOAT32)
    if thin:
        dx, dw = np.empty(x.shape, FLOAT32) if wants_x else _NOTHING, np.empty(w.shape, FLOAT32)
        _thin_layer_backward(dy, x, w, y, f, dx, dw, db)
        return dx if wants_x else None, dw, db
    dz = np.empty(y.shape, FLOAT32)
    _slopes(dy, y, f, dz, db)
    return dz @ w if wants_x else None, dz.T @ x if ctx.edges[1] is not None else None, db


KERNELS = {
    "linear": Kernel(linear_forward, linear_backward),
    "linear_activation": Kernel(linear_activation_forward, linear_activation_backward),
}
