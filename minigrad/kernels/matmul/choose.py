"""Products of matrices and linear layers, with or without an activation, on the CPU: who computes which.

- Few inputs or outputs: the loops of ``thin.py``.
- Tiny layers: BLAS through NumPy, and one pass of ours: forward for bias and activation, backward for dz and db.
- Up to FEW_SAMPLES samples: ``layer.py``, each direction in one go.
- More: large matrix products, made one by one by ``gemm.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine import memory
from ..machine.compile import Compiled, jit
from ..machine.layout import FLOAT32, takes
from ..machine.shared import share, shared
from ..machine.simd import ROWS
from ..machine.sums import add_rows
from ..machine.threads import shares
from ..pointwise.activation import NONE, RELU, SIGMOID, TANH, activate, activate_with_bias, activation_dx
from . import layer
from .gemm import SMALLEST, product, times, times_transposed, transposed_times
from .thin import (
    THIN,
    few_inputs,
    few_inputs_backward,
    few_outputs,
    few_outputs_backward,
    is_narrow,
    is_thin,
    narrow_forward,
    thin_layer,
    thin_layer_backward,
)

COST = 0.04  # nanoseconds a multiply-add takes in a layer of few samples
ROW_COST = 0.4  # and an element in a pass over rows
SUM_COST = 0.3  # and one of a sum of arrays
FEW_SAMPLES = 256  # above, a layer's products are large enough to be made one by one

# For matrices in row-major order, as nearly all are.
_thin_layer = Compiled(thin_layer.dispatcher, fixed=True)
_thin_layer_backward = Compiled(thin_layer_backward.dispatcher, fixed=True)

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
    return shares(COST * rows * inputs * outputs, outputs)


_CODES = {"relu": RELU, "sigmoid": SIGMOID, "tanh": TANH}


@jit(allocates=False)
def _bias_activate(z: Any, b: Any, f: int, scratch: Any) -> None:
    """z = f(z + b), row by row, each row while it is in the cache."""
    for i in range(z.shape[0]):
        activate_with_bias(z[i], b, f, scratch)


@shared
def _dz_and_sums(t: int, parts: int, dy: Any, y: Any, f: int, dz: Any, sums: Any) -> None:
    """dz = dy · f′ (or dy itself, if that is dz) of some rows, and their sum, added to ``sums[t]``."""
    first, last = share(t, parts, dz.shape[0])
    if f != NONE:
        activation_dx(dy[first:last].ravel(), y[first:last].ravel(), f, dz[first:last].ravel())
    add_rows(dz, first, last, sums[t])


@jit
def _dz_and_bias(parts: int, dy: Any, y: Any, f: int, dz: Any, db: Any) -> None:
    """dz, and db = Σ dz over rows."""
    sums = np.zeros((parts, db.size))
    _dz_and_sums(parts, (dy, y, f, dz, sums))
    for t in range(1, parts):
        sums[0] += sums[t]
    db[:] = sums[0]


def _layer(x: Any, w: Any, b: Any, f: int) -> Any:
    """f(x Wᵀ + b), or NotImplemented."""
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
    if is_thin(rows, inputs, outputs):
        y = np.empty((rows, outputs), FLOAT32)
        in_order = x.flags.c_contiguous and w.flags.c_contiguous
        (_thin_layer if in_order else thin_layer).launch(x, w, b, y, f)
    elif not (x.flags.c_contiguous and w.flags.c_contiguous):
        return NotImplemented
    elif is_narrow(inputs, outputs):
        y = z = np.empty((rows, outputs), FLOAT32)
        narrow_forward.launch(shares(COST * rows * inputs * outputs, (rows + 1) // 2), (x, w, b, z))
        if f != NONE:
            y = np.empty_like(z)
            activate.launch(z.ravel(), y.ravel(), f)
    elif rows > FEW_SAMPLES and rows * inputs * outputs > SMALLEST:
        y = product(x, False, w, True, b, f)
    elif rows * inputs * outputs > SMALLEST:
        y = memory.empty((rows, outputs))
        layer.forward.launch(_shares(rows, inputs, outputs), (x, w, b, f, y))
    else:
        y = times_transposed(x, w)
        _bias_activate.launch(y, b, f, b if f == NONE else np.empty_like(b))
    return y


def _layer_gradients(
    needs: Any, dy: Any, x: Any, w: Any, y: Any, x_shape: tuple[int, ...], w_shape: tuple[int, ...], f: int
) -> Any:
    """(dx, dW, db) of :func:`_layer`. x is None unless dW is needed, W unless dx is, y if there is no activation."""
    if dy.dtype is not FLOAT32 or not dy.flags.c_contiguous:
        return NotImplemented
    wants_x, wants_w = needs(0), needs(1)
    (rows, inputs), outputs = x_shape, w_shape[0]
    if y is None:
        y = dy
    db = np.empty(outputs, FLOAT32)
    dx: Any = None
    dw: Any = None
    thin = is_thin(rows, inputs, outputs)
    if wants_w and thin:
        dx, dw = np.empty(x_shape, FLOAT32) if wants_x else _NOTHING, np.empty(w_shape, FLOAT32)
        w = _NOTHING if w is None else w
        in_order = x.flags.c_contiguous and w.flags.c_contiguous
        (_thin_layer_backward if in_order else thin_layer_backward).launch(dy, x, w, y, f, dx, dw, db)
        return dx if wants_x else None, dw, db
    if wants_w and rows <= FEW_SAMPLES and outputs >= 2 * ROWS and rows * inputs * outputs > SMALLEST:
        parts = _shares(rows, inputs, outputs)
        dw = memory.empty(w_shape)
        dx, partial = _NOTHING, _NO_SHARES
        if wants_x:
            dx, partial = memory.empty(x_shape), memory.empty((parts - 1, *x_shape))
        adders = shares(SUM_COST * partial.size, rows)
        layer.backward.launch(parts, adders, (dy, y, x, _NOTHING if w is None else w, f, partial, dx, dw, db))
        return dx if wants_x else None, dw, db
    dz = dy
    if needs(2) or f != NONE:
        dz = dy if f == NONE else memory.empty(dy.shape)
        _dz_and_bias.launch(shares(ROW_COST * dz.size, rows), dy, y, f, dz, db)
    if wants_w:
        dw = transposed_times(dz, x)
    if wants_x:
        dx = dz @ w if thin else times(dz, w)
    return dx, dw, db


def linear(x: Any, w: Any, b: Any) -> Any:
    return _layer(x, w, b, NONE)


def linear_gradients(needs: Any, dy: Any, x: Any, w: Any, x_shape: Any, w_shape: Any) -> Any:
    return _layer_gradients(needs, dy, x, w, None, x_shape, w_shape, NONE)


def linear_activation(x: Any, w: Any, b: Any, name: str) -> Any:
    return _layer(x, w, b, _CODES[name])


def linear_activation_gradients(
    needs: Any, dy: Any, x: Any, w: Any, y: Any, x_shape: Any, w_shape: Any, name: str
) -> Any:
    return _layer_gradients(needs, dy, x, w, y, x_shape, w_shape, _CODES[name])


def matmul(a: Any, b: Any) -> Any:
    """A B of two matrices. With few rows or columns in B it is the thin layer above with W = Bᵀ and no bias."""
    if a.__class__ is not np.ndarray or a.dtype is not FLOAT32 or b.dtype is not FLOAT32 or a.ndim != 2 or b.ndim != 2:
        return NotImplemented
    rows, inputs = a.shape
    outputs = b.shape[1]
    if b.shape[0] != inputs:
        return NotImplemented
    if is_thin(rows, inputs, outputs):
        y = np.empty((rows, outputs), FLOAT32)
        (few_inputs if inputs <= THIN else few_outputs).launch(a, b.T, _no_bias(outputs), y)
        return y
    return times(a, b) if takes(a, 1) and takes(b, 1) else NotImplemented


def _times_transposed(a: Any, b: Any) -> Any:
    """A Bᵀ; of few rows it is a layer without a bias."""
    (m, k), n = a.shape, b.shape[0]
    if m > FEW_SAMPLES or m * k * n <= SMALLEST:
        return times_transposed(a, b)
    y = memory.empty((m, n))
    layer.forward.launch(_shares(m, k, n), (a, b, _no_bias(n), NONE, y))
    return y


def matmul_gradients(needs: Any, dy: Any, a: Any, b: Any, shape_a: tuple[int, ...], shape_b: tuple[int, ...]) -> Any:
    if dy.dtype is not FLOAT32:
        return NotImplemented
    wants_a, wants_b = needs(0), needs(1)
    (rows, inputs), outputs = shape_a, shape_b[1]
    thin = is_thin(rows, inputs, outputs)
    if thin and not wants_b:
        return dy @ b.T, None
    if not thin:
        if not dy.flags.c_contiguous:
            return NotImplemented
        return _times_transposed(dy, b) if wants_a else None, transposed_times(a, dy) if wants_b else None
    da = np.empty(shape_a, FLOAT32) if wants_a else _NOTHING
    db, unused = np.empty(shape_b, FLOAT32), np.empty(shape_b[1], FLOAT32)
    w = b.T if wants_a else _NOTHING
    (few_inputs_backward if inputs <= THIN else few_outputs_backward).launch(dy, a, w, da, db.T, unused)
    return da if wants_a else None, db


KERNELS = {
    "matmul": (matmul, matmul_gradients),
    "linear": (linear, linear_gradients),
    "linear_activation": (linear_activation, linear_activation_gradients),
}
