"""Batch norm of (N, C) on the CPU: loops run along rows, over all channels at once.

Threads share the rows; each adds up rows of its own, and the sums meet before the next pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine.compile import jit
from ..machine.shared import share, shared
from ..machine.sums import BLOCK, add_rows
from ..pointwise.functions import ZERO
from .terms import RELU, TRAIN, settle, split, terms


@shared
def _add_rows(t: int, parts: int, x: Any, sums: Any) -> None:
    """Σ x over this share of the rows, added to sums[t, 0]."""
    first, last = share(t, parts, x.shape[0])
    add_rows(x, first, last, sums[t, 0])


@shared(allocates=False)
def _add_deviations(t: int, parts: int, x: Any, near: Any, blocks: Any, sums: Any) -> None:
    """Σ d and Σ d² of d = x − near, added to ``sums[t]``, four rows at a time."""
    n, width = x.shape
    i0, i1 = share(t, parts, n)
    first, second = blocks[t, 0], blocks[t, 1]
    for start in range(i0, i1, BLOCK):
        end = min(start + BLOCK, i1)
        whole = end - (end - start) % 4
        for i in range(start, whole, 4):
            x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
            for c in range(width):
                d0, d1, d2, d3 = x0[c] - near[c], x1[c] - near[c], x2[c] - near[c], x3[c] - near[c]
                first[c] += (d0 + d1) + (d2 + d3)
                second[c] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
        for i in range(whole, end):
            x0 = x[i]
            for c in range(width):
                d0 = x0[c] - near[c]
                first[c] += d0
                second[c] += d0 * d0
        _add_block(blocks[t], sums[t])


@jit(allocates=False)
def _add_block(block: Any, sums: Any) -> None:
    """The two float32 sums of a block of rows, added to those in float64, and 0 for the next block."""
    for k in range(2):
        part, total = block[k], sums[k]
        for c in range(part.size):
            total[c] += part[c]
            part[c] = ZERO


@shared(allocates=False)
def _scale_rows(t: int, parts: int, x: Any, mean: Any, scale: Any, shift: Any, relu: bool, y: Any) -> None:
    """y = (x − mean) · scale + shift, or the ReLU of that."""
    first, last = share(t, parts, x.shape[0])
    for i in range(first, last):
        row, out = x[i], y[i]
        for c in range(row.size):
            z = (row[c] - mean[c]) * scale[c] + shift[c]
            out[c] = ZERO if relu and z < ZERO else z


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
    """The rest of the mean, and the variance, out of every part's sums of deviations."""
    for t in range(1, sums.shape[0]):
        sums[0] += sums[t]
    first, second = sums[0, 0], sums[0, 1]
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


@jit(fixed=True)
def forward_rows(parts: int, arguments: Any) -> None:
    x, w, b, running_mean, running_var, momentum, eps, mode, mean, inverse, y = arguments
    n, channels = x.shape
    sums, numbers, variance = np.zeros((parts, 2, channels)), np.empty((4, channels), np.float32), np.empty(channels)
    near, rest, scale, shift = numbers[0], numbers[1], numbers[2], numbers[3]
    if mode & TRAIN:
        _add_rows(parts, (x, sums))
        _mean_near(sums, n, near)
        _add_deviations(parts, (x, near, np.zeros((parts, 2, channels), np.float32), sums))
        _moments_of_rows(sums, n, rest, variance)
        _widen_moments(x, near, rest, variance)
    else:
        near[:], rest[:], variance[:] = running_mean, ZERO, running_var
    settle(
        variance, near, rest, w, b, running_mean, running_var, momentum, eps, n, mode, mean, inverse, scale, shift
    )  # fmt: skip
    _scale_rows(parts, (x, near, scale, shift, mode & RELU != 0, y))


@shared(allocates=False)
def _add_products(t: int, parts: int, dy: Any, x: Any, mean: Any, y: Any, relu: bool, blocks: Any, sums: Any) -> None:
    """Σ dy and Σ dy (x − mean), added to ``sums[t]``, without a ReLU two rows at a time."""
    n, width = x.shape
    i0, i1 = share(t, parts, n)
    first, second = blocks[t, 0], blocks[t, 1]
    for start in range(i0, i1, BLOCK):
        end = min(start + BLOCK, i1)
        whole = start if relu else end - (end - start) % 2
        for i in range(start, whole, 2):
            x0, g0, x1, g1 = x[i], dy[i], x[i + 1], dy[i + 1]
            for c in range(width):
                first[c] += g0[c] + g1[c]
                second[c] += g0[c] * (x0[c] - mean[c]) + g1[c] * (x1[c] - mean[c])
        for i in range(whole, end):
            x0, g0, y0 = x[i], dy[i], y[i]
            for c in range(width):
                passed = ZERO if relu and y0[c] <= ZERO else g0[c]
                first[c] += passed
                second[c] += passed * (x0[c] - mean[c])
        _add_block(blocks[t], sums[t])


@shared(allocates=False)
def _dx_of_rows(t: int, parts: int, dy: Any, x: Any, mean: Any, numbers: Any, y: Any, mode: int, dx: Any) -> None:
    """dx. In evaluation it does not depend on x, and an infinite x leaves no trace."""
    own, along, constant, relu = numbers[0], numbers[1], numbers[2], mode & RELU != 0
    first, last = share(t, parts, x.shape[0])
    for i in range(first, last):
        row, g, z, out = x[i], dy[i], y[i], dx[i]
        if mode & TRAIN:
            for c in range(row.size):
                passed = ZERO if relu and z[c] <= ZERO else g[c]
                out[c] = (passed + ((row[c] - mean[c]) * along[c] + constant[c])) * own[c]
        else:
            for c in range(row.size):
                out[c] = (ZERO if relu and z[c] <= ZERO else g[c]) * own[c]


@jit(fixed=True)
def backward_rows(parts: int, arguments: Any) -> None:
    dy, x, w, mean, inverse, mode, y, dx, dw, db = arguments
    n, channels = x.shape
    sums, numbers = np.zeros((parts, 2, channels)), np.empty((5, channels), np.float32)
    near, rest = numbers[3], numbers[4]
    split(mean, near, rest)
    _add_products(parts, (dy, x, near, y, mode & RELU != 0, np.zeros((parts, 2, channels), np.float32), sums))
    for t in range(1, parts):
        sums[0] += sums[t]
    terms(sums[0, 0], sums[0, 1], w, inverse, rest, n, mode, dw, db, numbers[0], numbers[1], numbers[2])
    if dx.size:
        _dx_of_rows(parts, (dy, x, near, numbers, y, mode, dx))
