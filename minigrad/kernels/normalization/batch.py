"""Batch norm on the CPU, in training and evaluation, alone or with the ReLU behind it.

A channel's elements are read three times: for the mean, for the variance, for the result. So each thread takes channels
of its own and finishes one before the next, while its elements are in the cache: memory is read once and written once.
x̂ is not stored; the backward pass computes it again from x, the mean and 1/σ, which it reads anyway.

A mean of 10,000 beside a σ of 1 needs more digits than float32 has. Sums are therefore accumulated in float64 from
plane to plane, and the float64 mean is the sum of two float32, ``near`` and ``rest``: x − near is exact where x is near
the mean, and ``rest`` is part of the constant that is added at the end.

x is (N, C, L), with all pixels of a plane in one axis; :mod:`.rows` has the loops for (N, C).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine import memory
from ..machine.compile import jit
from ..machine.layout import FLOAT32, takes
from ..machine.shared import share, shared
from ..machine.sums import RUN, deviations_of, sum_of, wide_deviations_of
from ..machine.threads import shares
from ..pointwise.functions import ZERO, F
from .rows import backward_rows, forward_rows
from .terms import BACKWARD, FORWARD, RELU, TRAIN, fit, ones_and_zeros, settle, split, terms


@jit(allocates=False)
def _moments_of_planes(x: Any, c: int, mean: Any, rest: Any, variance: Any) -> None:
    """Mean, as the sum of two float32, and variance of channel c of (N, C, L).

    The first pass finds a number near the mean, the second the deviations from it: with those nothing cancels.
    """
    n = x.shape[0]
    count = n * x.shape[2]
    total, first, second = 0.0, 0.0, 0.0
    for i in range(n):
        total += sum_of(x[i, c])
    near = F(total / count)
    for i in range(n):
        d, square = deviations_of(x[i, c], near)
        first += d
        second += square
    left = first / count
    if not second < np.inf:  # squares too large for float32, or NaN
        total, second = 0.0, 0.0
        for i in range(n):
            total += wide_deviations_of(x[i, c], 0.0)[0]
        exact = total / count
        for i in range(n):
            second += wide_deviations_of(x[i, c], exact)[1]
        near = F(exact)
        mean[0], rest[0], variance[0] = near, exact - near, second / count
        return
    mean[0], rest[0] = near, left
    variance[0] = max(second / count - left * left, 0.0)


# --- planes: a channel at a time -------------------------------------------------------------------------------------


@jit(allocates=False)
def _scale_planes(x: Any, c: int, mean: Any, scale: Any, shift: Any, relu: bool, y: Any) -> None:
    """Channel c of y = (x − mean) · scale + shift, or of its ReLU."""
    for i in range(x.shape[0]):
        plane, out = x[i, c], y[i, c]
        for j in range(plane.size):
            z = (plane[j] - mean) * scale + shift
            out[j] = ZERO if relu and z < ZERO else z


@shared(fixed=True)
def _forward_planes(
    t: int, parts: int, x: Any, w: Any, b: Any, running_mean: Any, running_var: Any, momentum: Any, eps: Any, mode: int,
    mean: Any, inverse: Any, y: Any,
) -> None:  # fmt: skip
    count = x.shape[0] * x.shape[2]
    variance, numbers = np.empty(1), np.empty((4, 1), np.float32)
    near, rest, scale, shift = numbers[0], numbers[1], numbers[2], numbers[3]
    first, last = share(t, parts, x.shape[1])
    for c in range(first, last):
        k = slice(c, c + 1)
        if mode & TRAIN:
            _moments_of_planes(x, c, near, rest, variance)
        else:
            near[0], rest[0], variance[0] = running_mean[c], ZERO, running_var[c]
        settle(
            variance, near, rest, w[k], b[k], running_mean[k], running_var[k], momentum, eps, count, mode,
            mean[k], inverse[k], scale, shift,
        )  # fmt: skip
        _scale_planes(x, c, near[0], scale[0], shift[0], mode & RELU != 0, y)


@jit(allocates=False)
def _sums_of_planes(dy: Any, x: Any, c: int, mean: Any, y: Any, relu: bool) -> Any:
    """(Σ dy, Σ dy (x − mean)) over channel c; behind a ReLU dy counts only where y > 0."""
    first: Any = 0.0
    second: Any = 0.0
    for i in range(x.shape[0]):
        for start in range(0, x.shape[2], RUN):
            k = slice(start, start + RUN)
            plane, g, out = x[i, c, k], dy[i, c, k], y[i, c, k]
            s, q = ZERO, ZERO
            for j in range(plane.size):
                passed = ZERO if relu and out[j] <= ZERO else g[j]
                s += passed
                q += passed * (plane[j] - mean)
            first += s
            second += q
    return first, second


@jit(allocates=False)
def _dx_of_planes(
    dy: Any, x: Any, c: int, mean: Any, own: Any, along: Any, constant: Any, y: Any, mode: int, dx: Any
) -> None:  # fmt: skip
    """Channel c of dx. In evaluation it does not depend on x, and an infinite x leaves no trace."""
    relu = mode & RELU != 0
    for i in range(x.shape[0]):
        plane, g, z, out = x[i, c], dy[i, c], y[i, c], dx[i, c]
        if mode & TRAIN:
            for j in range(plane.size):
                passed = ZERO if relu and z[j] <= ZERO else g[j]
                out[j] = (passed + ((plane[j] - mean) * along + constant)) * own
        else:
            for j in range(plane.size):
                out[j] = (ZERO if relu and z[j] <= ZERO else g[j]) * own


@shared(fixed=True)
def _backward_planes(
    t: int, parts: int, dy: Any, x: Any, w: Any, mean: Any, inverse: Any, mode: int, y: Any, dx: Any, dw: Any, db: Any
) -> None:
    """dx may have size 0 (not wanted)."""
    count, relu = x.shape[0] * x.shape[2], mode & RELU != 0
    sums, numbers = np.empty((2, 1)), np.empty((5, 1), np.float32)
    near, rest, own, along, constant = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    first, last = share(t, parts, x.shape[1])
    for c in range(first, last):
        k = slice(c, c + 1)
        split(mean[k], near, rest)
        sums[0, 0], sums[1, 0] = _sums_of_planes(dy, x, c, near[0], y, relu)
        terms(sums[0], sums[1], w[k], inverse[k], rest, count, mode, dw[k], db[k], own, along, constant)
        if dx.size:
            _dx_of_planes(dy, x, c, near[0], own[0], along[0], constant[0], y, mode, dx)


# --- the kernels -----------------------------------------------------------------------------------------------------

_NONE = np.empty(0, np.float32)
_NO_RESULT = {2: np.empty((0, 0), np.float32), 3: np.empty((0, 0, 0), np.float32)}


def _planes(x: Any) -> Any:
    """(N, C, …) → (N, C, L); (N, C) as it is."""
    return x if x.ndim < 4 else x.reshape(x.shape[0], x.shape[1], -1)


def _forward(
    x: Any, w: Any, b: Any, running_mean: Any, running_var: Any, momentum: float, eps: float, mode: int
) -> Any:
    """(y, μ in float64, 1/σ), or NotImplemented."""
    if not takes(x, 1) or x.ndim < 2:
        return NotImplemented
    shape = x.shape[1:2]
    if not fit(shape, w, b, running_mean, running_var):
        return NotImplemented
    if w is None or b is None:
        ones, zeros = ones_and_zeros(shape)
        w, b = ones if w is None else w, zeros if b is None else b
    if running_mean is None:
        running_mean = running_var = _NONE
    y, mean, inverse = memory.empty(x.shape), np.empty(shape), np.empty(shape, FLOAT32)
    x3, y3 = _planes(x), _planes(y)
    arguments = (x3, w, b, running_mean, running_var, float(momentum), float(eps), mode, mean, inverse, y3)
    parts = shares(FORWARD * x.size, x.shape[0] if x.ndim == 2 else shape[0])
    (forward_rows if x.ndim == 2 else _forward_planes).launch(parts, arguments)
    return y, mean, inverse


def _backward(needs: Any, dy: Any, x: Any, w: Any, mean: Any, inverse: Any, y: Any, mode: int) -> Any:
    if dy.dtype is not FLOAT32:
        return NotImplemented
    if not dy.flags.c_contiguous:
        dy = np.ascontiguousarray(dy)
    if w is None:
        w = ones_and_zeros(mean.shape)[0]
    dx = memory.empty(dy.shape) if needs(0) else None
    dw, db = np.empty(mean.shape, FLOAT32), np.empty(mean.shape, FLOAT32)
    dy3 = _planes(dy)
    dx3 = _NO_RESULT[dy3.ndim] if dx is None else _planes(dx)
    # Without x there is no dW, and without a ReLU nothing is read of y.
    x3, y3 = dy3 if x is None else _planes(x), dy3 if y is None else _planes(y)
    arguments = (dy3, x3, w, mean, inverse, mode, y3, dx3, dw, db)
    parts = shares(BACKWARD * dy.size, dy.shape[0] if dy.ndim == 2 else mean.size)
    (backward_rows if dy.ndim == 2 else _backward_planes).launch(parts, arguments)
    return dx, dw if needs(1) else None, db


def _training(relu: int) -> tuple[Any, Any]:
    def compute(x: Any, w: Any, b: Any, running_mean: Any, running_var: Any, momentum: float, eps: float) -> Any:
        return _forward(x, w, b, running_mean, running_var, momentum, eps, TRAIN | relu)

    def gradients(needs: Any, dy: Any, x: Any, w: Any, mean: Any, inverse: Any, *rest: Any) -> Any:
        return _backward(needs, dy, x, w, mean, inverse, rest[0] if relu else None, TRAIN | relu)

    return compute, gradients


def _evaluation(relu: int) -> tuple[Any, Any]:
    def compute(x: Any, w: Any, b: Any, running_mean: Any, running_var: Any, eps: float) -> Any:
        result = _forward(x, w, b, running_mean, running_var, 0.0, eps, relu)
        return result if result is NotImplemented else (result[0], running_mean.copy(), result[2])

    def gradients(needs: Any, dy: Any, x: Any, w: Any, mean: Any, inverse: Any, y: Any = None) -> Any:
        return _backward(needs, dy, x, w, mean.astype(np.float64), inverse, y, relu)

    return compute, gradients


KERNELS = {
    "batch_norm": _training(0),
    "batch_norm_relu": _training(RELU),
    "batch_norm_eval": _evaluation(0),
    "batch_norm_eval_relu": _evaluation(RELU),
}
