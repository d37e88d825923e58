"""Batch norm on the CPU, in training and evaluation, alone or with the ReLU behind it.

A channel's numbers are read three times: for the mean, for the variance, for the result. So each thread takes channels
of its own and finishes one before the next, while its numbers are in the cache: memory sees one reading, one writing.
x̂ is not stored; the backward pass makes it again from x, the mean and 1/σ, all of which it has to read anyway.

float32 alone cannot hold a mean of 10,000 next to a σ of 1 well enough. Sums are therefore carried on in float64 from
plane to plane, and the mean is kept as the sum of two float32, ``mean`` and ``rest``: (x − mean) is exact where it
matters, and ``rest`` goes into the number that is added at the end.

x is (N, C, L) with all places of a plane in one axis, or (N, C); then loops run along rows, over the channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .. import Kernel, memory
from ..compile import jit
from ..threads import get_num_threads
from .functions import ZERO, F
from .layout import FLOAT32, takes

PARALLEL_FROM = 1 << 16  # elements from which a second thread pays
BLOCK = 128  # rows whose float32 sums go into float64 together
TRAIN, RELU = 1, 2


@jit
def _sum(plane: Any) -> Any:
    total = ZERO
    for i in range(plane.size):
        total += plane[i]
    return total


@jit
def deviations(plane: Any, near: Any) -> Any:
    """(Σ (x − near), Σ (x − near)²). With ``near`` close to the mean nothing cancels."""
    first, second = ZERO, ZERO
    for i in range(plane.size):
        d = plane[i] - near
        first += d
        second += d * d
    return first, second


@jit
def shift_and_scale(plane: Any, mean: Any, scale: Any, shift: Any, relu: bool, y: Any) -> None:
    """y = (x − mean) · scale + shift, or the ReLU of that."""
    if relu:
        for i in range(plane.size):
            z = (plane[i] - mean) * scale + shift
            y[i] = ZERO if z < ZERO else z
    else:
        for i in range(plane.size):
            y[i] = (plane[i] - mean) * scale + shift


@jit
def _moments_of_planes(x: Any, c: int) -> Any:
    """(mean, what is left of the mean, variance) of channel c."""
    n = x.shape[0]
    count = n * x.shape[2]
    total = 0.0
    for i in range(n):
        total += _sum(x[i, c])
    mean = F(total / count)
    first, second = 0.0, 0.0
    for i in range(n):
        a, b = deviations(x[i, c], mean)
        first += a
        second += b
    rest = first / count
    return mean, rest, max(second / count - rest * rest, 0.0)


@jit
def _moments_of_rows(x: Any, c0: int, c1: int, mean: Any, rest: Any, variance: Any) -> None:
    """The same for channels c0 to c1 of (N, C), row by row."""
    n, width = x.shape[0], c1 - c0
    part, square = np.empty(width, np.float32), np.empty(width, np.float32)
    near = np.empty(width, np.float32)
    first, second = np.zeros(width), np.zeros(width)
    for start in range(0, n, BLOCK):
        part[:] = ZERO
        for i in range(start, min(start + BLOCK, n)):
            row = x[i, c0:c1]
            for c in range(width):
                part[c] += row[c]
        for c in range(width):
            first[c] += part[c]
    for c in range(width):
        near[c] = first[c] / n
        first[c] = 0.0
    for start in range(0, n, BLOCK):
        part[:] = ZERO
        square[:] = ZERO
        for i in range(start, min(start + BLOCK, n)):
            row = x[i, c0:c1]
            for c in range(width):
                d = row[c] - near[c]
                part[c] += d
                square[c] += d * d
        for c in range(width):
            first[c] += part[c]
            second[c] += square[c]
    for c in range(width):
        mean[c0 + c] = near[c]
        r = first[c] / n
        rest[c0 + c] = r
        variance[c] = max(second[c] / n - r * r, 0.0)


@jit
def _forward(
    x: Any, w: Any, b: Any, running_mean: Any, running_var: Any, momentum: Any, eps: Any, mode: int,
    mean: Any, inverse: Any, rest: Any, y: Any, c0: int, c1: int,
) -> None:  # fmt: skip
    """Channels c0 to c1, whole: statistics (with TRAIN), running statistics, and y. Arrays of size 0 stand for None."""
    n, width = x.shape[0], c1 - c0
    count = x.size // x.shape[1]
    variance = np.empty(width)
    scale, shift = np.empty(width, np.float32), np.empty(width, np.float32)
    if x.ndim == 2 and mode & TRAIN:
        _moments_of_rows(x, c0, c1, mean, rest, variance)
    for c in range(c0, c1):
        if mode & TRAIN:
            if x.ndim == 3:
                mean[c], rest[c], variance[c - c0] = _moments_of_planes(x, c)
            if running_mean.size:
                unbiased = variance[c - c0] * count / (count - 1)
                running_mean[c] += momentum * (mean[c] + np.float64(rest[c]) - running_mean[c])
                running_var[c] += momentum * (unbiased - running_var[c])
        else:
            mean[c], rest[c], variance[c - c0] = running_mean[c], ZERO, running_var[c]
        r = 1.0 / np.sqrt(variance[c - c0] + eps)
        inverse[c] = r
        factor = r * w[c] if w.size else r
        scale[c - c0] = factor
        shift[c - c0] = (b[c] if b.size else 0.0) - rest[c] * factor
        if x.ndim == 3:
            for i in range(n):
                shift_and_scale(x[i, c], mean[c], scale[c - c0], shift[c - c0], mode & RELU != 0, y[i, c])
    if x.ndim == 2:
        centre = mean[c0:c1]
        for i in range(n):
            row, out = x[i, c0:c1], y[i, c0:c1]
            for c in range(width):
                z = (row[c] - centre[c]) * scale[c] + shift[c]
                out[c] = z
            if mode & RELU:
                for c in range(width):
                    out[c] = ZERO if out[c] < ZERO else out[c]


@jit(parallel=True)
def _forward_shared(
    x: Any, w: Any, b: Any, running_mean: Any, running_var: Any, momentum: Any, eps: Any, mode: int,
    mean: Any, inverse: Any, rest: Any, y: Any, parts: int,
) -> None:  # fmt: skip
    channels = x.shape[1]
    for t in prange(parts):
        c0, c1 = t * channels // parts, (t + 1) * channels // parts
        _forward(x, w, b, running_mean, running_var, momentum, eps, mode, mean, inverse, rest, y, c0, c1)


@jit
def products(dy: Any, x: Any, mean: Any) -> Any:
    """(Σ dy, Σ dy (x − mean))."""
    first, second = ZERO, ZERO
    for i in range(x.size):
        first += dy[i]
        second += dy[i] * (x[i] - mean)
    return first, second


@jit
def _masked_products(dy: Any, x: Any, mean: Any, y: Any) -> Any:
    """The same with the dy that a ReLU lets through."""
    first, second = ZERO, ZERO
    for i in range(x.size):
        g = dy[i] if y[i] > ZERO else ZERO
        first += g
        second += g * (x[i] - mean)
    return first, second


@jit
def _sums_of_rows(dy: Any, x: Any, mean: Any, y: Any, relu: bool, c0: int, c1: int, first: Any, second: Any) -> None:
    """Those sums for channels c0 to c1 of (N, C)."""
    n, width = x.shape[0], c1 - c0
    part, product = np.empty(width, np.float32), np.empty(width, np.float32)
    centre = mean[c0:c1]
    for start in range(0, n, BLOCK):
        part[:] = ZERO
        product[:] = ZERO
        for i in range(start, min(start + BLOCK, n)):
            row, g, out = x[i, c0:c1], dy[i, c0:c1], y[i, c0:c1]
            if relu:
                for c in range(width):
                    passed = g[c] if out[c] > ZERO else ZERO
                    part[c] += passed
                    product[c] += passed * (row[c] - centre[c])
            else:
                for c in range(width):
                    part[c] += g[c]
                    product[c] += g[c] * (row[c] - centre[c])
        for c in range(width):
            first[c] += part[c]
            second[c] += product[c]


@jit
def spread(dy: Any, x: Any, mean: Any, own: Any, along: Any, constant: Any, dx: Any) -> None:
    """dx = own · dy + along · (x − mean) + constant: the three terms of the rule, each with its number."""
    for i in range(x.size):
        dx[i] = dy[i] * own + ((x[i] - mean) * along + constant)


@jit
def _masked_spread(dy: Any, x: Any, mean: Any, own: Any, along: Any, constant: Any, y: Any, dx: Any) -> None:
    for i in range(x.size):
        g = dy[i] if y[i] > ZERO else ZERO
        dx[i] = g * own + ((x[i] - mean) * along + constant)


@jit
def _backward(
    dy: Any, x: Any, w: Any, mean: Any, inverse: Any, rest: Any, mode: int, y: Any,
    dx: Any, dw: Any, db: Any, c0: int, c1: int,
) -> None:  # fmt: skip
    """Channels c0 to c1, whole: db = Σ dy, dw = Σ dy x̂, and dx, which may have size 0 (not wanted)."""
    n, width = x.shape[0], c1 - c0
    count = x.size // x.shape[1]
    relu = mode & RELU != 0
    first, second = np.zeros(width), np.zeros(width)
    own, along, constant = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    if x.ndim == 2:
        _sums_of_rows(dy, x, mean, y, relu, c0, c1, first, second)
    for c in range(c0, c1):
        k = c - c0
        if x.ndim == 3:
            for i in range(n):
                a, b = (
                    _masked_products(dy[i, c], x[i, c], mean[c], y[i, c])
                    if relu
                    else products(dy[i, c], x[i, c], mean[c])
                )
                first[k] += a
                second[k] += b
        r, left = np.float64(inverse[c]), np.float64(rest[c])
        second[k] -= left * first[k]  # Σ dy (x − μ), μ = mean + rest
        db[c] = first[k]
        dw[c] = second[k] * r
        if dx.size:
            factor = r * w[c] if w.size else r
            slope, level = 0.0, 0.0
            if mode & TRAIN:  # otherwise mean and variance are given numbers, which do not move with x
                slope = -factor * r * r * second[k] / count
                level = -factor * first[k] / count - slope * left
            own[k], along[k], constant[k] = factor, slope, level
            if x.ndim == 3:
                for i in range(n):
                    if relu:
                        _masked_spread(dy[i, c], x[i, c], mean[c], own[k], along[k], constant[k], y[i, c], dx[i, c])
                    else:
                        spread(dy[i, c], x[i, c], mean[c], own[k], along[k], constant[k], dx[i, c])
    if x.ndim == 2 and dx.size:
        centre = mean[c0:c1]
        for i in range(n):
            row, g, z, out = x[i, c0:c1], dy[i, c0:c1], y[i, c0:c1], dx[i, c0:c1]
            if relu:
                for c in range(width):
                    passed = g[c] if z[c] > ZERO else ZERO
                    out[c] = passed * own[c] + ((row[c] - centre[c]) * along[c] + constant[c])
            else:
                for c in range(width):
                    out[c] = g[c] * own[c] + ((row[c] - centre[c]) * along[c] + constant[c])


@jit(parallel=True)
def _backward_shared(
    dy: Any, x: Any, w: Any, mean: Any, inverse: Any, rest: Any, mode: int, y: Any,
    dx: Any, dw: Any, db: Any, parts: int,
) -> None:  # fmt: skip
    channels = x.shape[1]
    for t in prange(parts):
        c0, c1 = t * channels // parts, (t + 1) * channels // parts
        _backward(dy, x, w, mean, inverse, rest, mode, y, dx, dw, db, c0, c1)


_NONE = np.empty(0, np.float32)


def fits(p: Any, shape: tuple[int, ...]) -> bool:
    """Whether a parameter is None, or a C-contiguous float32 array of this shape."""
    return p is None or (p.__class__ is np.ndarray and p.dtype is FLOAT32 and p.shape == shape and p.flags.c_contiguous)


def _planes(x: Any) -> Any:
    """(N, C, …) → (N, C, L); (N, C) as it is."""
    return x if x.ndim < 4 else x.reshape(x.shape[0], x.shape[1], -1)


def _run(
    ctx: Any, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float, eps: float,
    mode: int,
) -> Any:  # fmt: skip
    """y, or NotImplemented. Leaves in ``ctx.scratch`` what :func:`backward` needs beyond ``ctx.saved``."""
    if not takes(x, 1) or x.ndim < 2:
        return NotImplemented
    shape = x.shape[1:2]
    if not (fits(weight, shape) and fits(bias, shape) and fits(running_mean, shape) and fits(running_var, shape)):
        return NotImplemented
    y = memory.empty(x.shape)
    mean, inverse, rest = np.empty(shape, FLOAT32), np.empty(shape, FLOAT32), np.empty(shape, FLOAT32)
    w, b = _NONE if weight is None else weight, _NONE if bias is None else bias
    tracked = running_mean is not None
    m, v = (running_mean, running_var) if tracked else (_NONE, _NONE)
    x3, y3 = (x, y) if x.ndim < 4 else (_planes(x), _planes(y))
    if x.size < PARALLEL_FROM:
        _forward(x3, w, b, m, v, float(momentum), float(eps), mode, mean, inverse, rest, y3, 0, shape[0])
    else:
        parts = min(get_num_threads(), shape[0])
        _forward_shared(x3, w, b, m, v, float(momentum), float(eps), mode, mean, inverse, rest, y3, parts)
    ctx.scratch = w, mean, inverse, rest, mode, x3, y3 if mode & RELU else x3
    return y


def backward(ctx: Any, dy: Any) -> Any:
    if dy.dtype is not FLOAT32:
        return NotImplemented
    w, mean, inverse, rest, mode, x, y = ctx.scratch
    shape = dy.shape
    dx = memory.empty(shape) if ctx.edges[0] is not None else _NONE.reshape((0,) * dy.ndim)
    dw, db = np.empty(mean.shape, FLOAT32), np.empty(mean.shape, FLOAT32)
    dy = dy if dy.flags.c_contiguous else np.ascontiguousarray(dy)
    dy3, dx3 = (dy, dx) if dy.ndim < 4 else (_planes(dy), dx.reshape(x.shape if dx.size else (0, 0, 0)))
    if dy.size < PARALLEL_FROM:
        _backward(dy3, x, w, mean, inverse, rest, mode, y, dx3, dw, db, 0, mean.size)
    else:
        _backward_shared(dy3, x, w, mean, inverse, rest, mode, y, dx3, dw, db, min(get_num_threads(), mean.size))
    return dx if dx.size else None, dw, db


def batch_norm_forward(
    ctx: Any, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float, eps: float
) -> Any:
    y = _run(ctx, x, weight, bias, running_mean, running_var, momentum, eps, TRAIN)
    if y is not NotImplemented:
        ctx.eps = eps
        ctx.saved = (x, weight, ctx.scratch[1], ctx.scratch[2])
    return y


def batch_norm_eval_forward(
    ctx: Any, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, eps: float
) -> Any:
    y = _run(ctx, x, weight, bias, running_mean, running_var, 0.0, eps, 0)
    if y is not NotImplemented:
        ctx.saved = (x if ctx.edges[1] is not None else None, weight, ctx.scratch[1], ctx.scratch[2])
    return y


KERNELS = {
    "batch_norm": Kernel(batch_norm_forward, backward),
    "batch_norm_eval": Kernel(batch_norm_eval_forward, backward),
}
