"""Batch norm of (N, C) on the CPU: loops run along rows, over all channels at once.

Threads share the rows; each adds up rows of its own, and the sums meet before the next pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..machine.compile import jit
from ..machine.sums import BLOCK, add_rows
from ..pointwise.functions import ZERO
from .terms import RELU, TRAIN, settle, split, terms


@jit
def _add_deviations(x: Any, near: Any, i0: int, i1: int, first: Any, second: Any) -> None:
    """The rows' deviations from ``near`` and their squares, in the same way."""
    width = x.shape[1]
    parts = np.zeros((2, width), np.float32)
    part, square = parts[0], parts[1]
    for start in range(i0, i1, BLOCK):
        end = min(start + BLOCK, i1)
        whole = end - (end - start) % 4
        for i in range(start, whole, 4):
            x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
            for c in range(width):
                d0, d1, d2, d3 = x0[c] - near[c], x1[c] - near[c], x2[c] - near[c], x3[c] - near[c]
                part[c] += (d0 + d1) + (d2 + d3)
                square[c] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
        for i in range(whole, end):
            x0 = x[i]
            for c in range(width):
                d0 = x0[c] - near[c]
                part[c] += d0
                square[c] += d0 * d0
        for c in range(width):
            first[c] += part[c]
            second[c] += square[c]
            part[c] = square[c] = ZERO


@jit
def _scale_rows(x: Any, mean: Any, scale: Any, shift: Any, relu: bool, y: Any, i0: int, i1: int) -> None:
    for i in range(i0, i1):
        row, out = x[i], y[i]
        if relu:
            for c in range(row.size):
                z = (row[c] - mean[c]) * scale[c] + shift[c]
                out[c] = ZERO if z < ZERO else z
        else:
            for c in range(row.size):
                out[c] = (row[c] - mean[c]) * scale[c] + shift[c]


@jit
def _mean_near(sums: Any, n: int, mean: Any) -> None:
    """A first mean out of every part's sums, which are 0 afterwards."""
    first = sums[0, 0]
    for t in range(1, sums.shape[0]):
        first += sums[t, 0]
    for c in range(mean.size):
        mean[c] = first[c] / n
    sums[:] = 0.0


@jit
def _moments_of_rows(sums: Any, n: int, rest: Any, variance: Any) -> None:
    """Mean and variance out of every part's sums of deviations."""
    first, second = sums[0, 0], sums[0, 1]
    for t in range(1, sums.shape[0]):
        first += sums[t, 0]
        second += sums[t, 1]
    for c in range(rest.size):
        left = first[c] / n
        rest[c] = left
        variance[c] = max(second[c] / n - left * left, 0.0)


@jit
def _widen_moments(x: Any, mean: Any, rest: Any, variance: Any) -> None:
    """Mean and variance once more where squares were too large for float32, in float64 throughout."""
    n, width = x.shape
    infinite = False
    for c in range(width):
        infinite |= not variance[c] < np.inf
    if not infinite:
        return
    first = np.zeros(width)
    for i in range(n):
        for c in range(width):
            first[c] += x[i, c]
    for c in range(width):
        first[c] /= n
        mean[c] = first[c]
        rest[c] = first[c] - mean[c]
        variance[c] = 0.0
    for i in range(n):
        for c in range(width):
            d = x[i, c] - first[c]
            variance[c] += d * d
    for c in range(width):
        variance[c] /= n


@jit
def forward_rows(
    x: Any, w: Any, b: Any, running_mean: Any, running_var: Any, momentum: Any, eps: Any, mode: int,
    mean: Any, inverse: Any, y: Any,
) -> None:  # fmt: skip
    n, channels = x.shape
    sums, numbers = np.zeros((1, 2, channels)), np.empty((4, channels), np.float32)
    near, rest, scale, shift = numbers[0], numbers[1], numbers[2], numbers[3]
    variance = np.empty(channels)
    if mode & TRAIN:
        add_rows(x, 0, n, sums[0, 0])
        _mean_near(sums, n, near)
        _add_deviations(x, near, 0, n, sums[0, 0], sums[0, 1])
        _moments_of_rows(sums, n, rest, variance)
        _widen_moments(x, near, rest, variance)
    else:
        near[:], rest[:], variance[:] = running_mean, ZERO, running_var
    settle(
        variance, near, rest, w, b, running_mean, running_var, momentum, eps, n, mode, mean, inverse, scale, shift
    )  # fmt: skip
    _scale_rows(x, near, scale, shift, mode & RELU != 0, y, 0, n)


@jit(parallel=True)
def forward_rows_shared(
    x: Any, w: Any, b: Any, running_mean: Any, running_var: Any, momentum: Any, eps: Any, mode: int,
    mean: Any, inverse: Any, y: Any, parts: int,
) -> None:  # fmt: skip
    n, channels = x.shape
    sums, numbers = np.zeros((parts, 2, channels)), np.empty((4, channels), np.float32)
    near, rest, scale, shift = numbers[0], numbers[1], numbers[2], numbers[3]
    variance = np.empty(channels)
    if mode & TRAIN:
        for t in prange(parts):
            add_rows(x, t * n // parts, (t + 1) * n // parts, sums[t, 0])
        _mean_near(sums, n, near)
        for t in prange(parts):
            _add_deviations(x, near, t * n // parts, (t + 1) * n // parts, sums[t, 0], sums[t, 1])
        _moments_of_rows(sums, n, rest, variance)
        _widen_moments(x, near, rest, variance)
    else:
        near[:], rest[:], variance[:] = running_mean, ZERO, running_var
    settle(
        variance, near, rest, w, b, running_mean, running_var, momentum, eps, n, mode, mean, inverse, scale, shift
    )  # fmt: skip
    for t in prange(parts):
        _scale_rows(x, near, scale, shift, mode & RELU != 0, y, t * n // parts, (t + 1) * n // parts)


@jit
def _add_products(dy: Any, x: Any, mean: Any, y: Any, relu: bool, i0: int, i1: int, sums: Any) -> None:
    """Σ dy and Σ dy (x − mean) over rows i0 to i1 added to ``sums``, without a ReLU two rows at a time."""
    width = x.shape[1]
    first, second = sums[0], sums[1]
    parts = np.zeros((2, width), np.float32)
    part, product = parts[0], parts[1]
    for start in range(i0, i1, BLOCK):
        end = min(start + BLOCK, i1)
        whole = start if relu else end - (end - start) % 2
        for i in range(start, whole, 2):
            x0, g0, x1, g1 = x[i], dy[i], x[i + 1], dy[i + 1]
            for c in range(width):
                part[c] += g0[c] + g1[c]
                product[c] += g0[c] * (x0[c] - mean[c]) + g1[c] * (x1[c] - mean[c])
        for i in range(whole, end):
            x0, g0, y0 = x[i], dy[i], y[i]
            for c in range(width):
                passed = ZERO if relu and y0[c] <= ZERO else g0[c]
                part[c] += passed
                product[c] += passed * (x0[c] - mean[c])
        for c in range(width):
            first[c] += part[c]
            second[c] += product[c]
            part[c] = product[c] = ZERO


@jit
def _dx_of_rows(dy: Any, x: Any, mean: Any, numbers: Any, y: Any, mode: int, dx: Any, i0: int, i1: int) -> None:
    """Rows of dx. In evaluation x has no part in it, and an infinite x leaves no trace."""
    own, along, constant, relu = numbers[0], numbers[1], numbers[2], mode & RELU != 0
    for i in range(i0, i1):
        row, g, z, out = x[i], dy[i], y[i], dx[i]
        if not mode & TRAIN:
            for c in range(row.size):
                out[c] = (ZERO if relu and z[c] <= ZERO else g[c]) * own[c]
        elif relu:
            for c in range(row.size):
                passed = ZERO if z[c] <= ZERO else g[c]
                out[c] = (passed + ((row[c] - mean[c]) * along[c] + constant[c])) * own[c]
        else:
            for c in range(row.size):
                out[c] = (g[c] + ((row[c] - mean[c]) * along[c] + constant[c])) * own[c]


@jit
def backward_rows(
    dy: Any, x: Any, w: Any, mean: Any, inverse: Any, mode: int, y: Any, dx: Any, dw: Any, db: Any
) -> None:
    n, channels = x.shape
    sums, numbers = np.zeros((2, channels)), np.empty((5, channels), np.float32)
    near, rest = numbers[3], numbers[4]
    split(mean, near, rest)
    _add_products(dy, x, near, y, mode & RELU != 0, 0, n, sums)
    terms(sums[0], sums[1], w, inverse, rest, n, mode, dw, db, numbers[0], numbers[1], numbers[2])
    if dx.size:
        _dx_of_rows(dy, x, near, numbers, y, mode, dx, 0, n)


@jit(parallel=True)
def backward_rows_shared(
    dy: Any, x: Any, w: Any, mean: Any, inverse: Any, mode: int, y: Any, dx: Any, dw: Any, db: Any, parts: int
) -> None:
    n, channels = x.shape
    sums, numbers = np.zeros((parts, 2, channels)), np.empty((5, channels), np.float32)
    near, rest = numbers[3], numbers[4]
    split(mean, near, rest)
    for t in prange(parts):
        _add_products(dy, x, near, y, mode & RELU != 0, t * n // parts, (t + 1) * n // parts, sums[t])
    for t in range(1, parts):
        sums[0] += sums[t]
    terms(sums[0, 0], sums[0, 1], w, inverse, rest, n, mode, dw, db, numbers[0], numbers[1], numbers[2])
    if dx.size:
        for t in prange(parts):
            _dx_of_rows(dy, x, near, numbers, y, mode, dx, t * n // parts, (t + 1) * n // parts)
