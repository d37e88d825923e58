"""Layer norm, RMS norm, group norm and instance norm on the CPU: what shares a mean is contiguous in memory.

Such a *run* is read three times while it is in the cache: for its mean, for its variance, for the result. Runs are
shared out over threads; each thread has its own sums for dw and db, which are added up at the end.

All four are one loop over x (runs, K · L): a run has K weights, each for L neighbouring elements. Layer norm and RMS
norm have L = 1; group norm has K channels of L pixels, and run i belongs to group i mod G.

As in batch norm (see :mod:`.batch`) sums are accumulated in float64, and a mean is the sum of two float32, ``near`` and
``rest``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..machine import memory
from ..machine.compile import jit
from ..machine.layout import FLOAT32, takes
from ..machine.shared import share, shared, shared_rows
from ..machine.sums import BLOCK, RUN, deviations_of, dot_of, sum_of, wide_deviations_of
from ..machine.threads import shares
from ..pointwise.functions import ZERO, F
from .terms import BACKWARD, FORWARD, fit, ones_and_zeros


@jit
def _moments(run: Any) -> Any:
    """(mean, rest, variance)."""
    near = F(sum_of(run) / run.size)
    first, second = deviations_of(run, near)
    if second < np.inf:
        left = first / run.size
        return near, F(left), max(second / run.size - left * left, 0.0)
    mean = wide_deviations_of(run, 0.0)[0] / run.size  # squares too large for float32, or NaN
    near = F(mean)
    return near, F(mean - near), wide_deviations_of(run, mean)[1] / run.size


@jit
def _mean_square(run: Any) -> Any:
    square = dot_of(run, run)
    return (square if square < np.inf else wide_deviations_of(run, 0.0)[1]) / run.size


@shared_rows(fixed=True)
def _forward(
    i: int, x: Any, w: Any, b: Any, length: int, centred: bool, eps: Any, mean: Any, inverse: Any, y: Any
) -> None:
    """Run i of y."""
    groups, weights = w.shape
    run, out, wg, bg = x[i], y[i], w[i % groups], b[i % groups]
    if centred:
        near, left, variance = _moments(run)
    else:
        near, left, variance = ZERO, ZERO, _mean_square(run)
    r = F(1.0 / np.sqrt(variance + eps))
    mean[i], inverse[i] = near + np.float64(left), r
    offset = -left * r
    if length == 1:
        for j in range(weights):
            out[j] = ((run[j] - near) * r + offset) * wg[j] + bg[j]
    else:
        for k in range(weights):
            part, target = run[k * length : (k + 1) * length], out[k * length : (k + 1) * length]
            scale = r * wg[k]
            shift = bg[k] + offset * wg[k]
            for j in range(part.size):
                target[j] = (part[j] - near) * scale + shift


@jit(inline=True, allocates=False)
def _sums_of_elements(run: Any, g: Any, w: Any, near: Any, r: Any, offset: Any, dw: Any, db: Any) -> Any:
    """(Σ w g, Σ w g x̂) of a run, each of whose elements has a weight; dw grows by g x̂, db by g."""
    s: Any = 0.0
    q: Any = 0.0
    for first in range(0, w.size, RUN):
        a, e = ZERO, ZERO
        for j in range(first, min(first + RUN, w.size)):
            normal = (run[j] - near) * r + offset
            dw[j] += g[j] * normal
            db[j] += g[j]
            a += g[j] * w[j]
            e += g[j] * w[j] * normal
        s += a
        q += e
    return s, q


@jit(inline=True, allocates=False)
def _sums_of_channels(run: Any, g: Any, w: Any, length: int, near: Any, r: Any, offset: Any, dw: Any, db: Any) -> Any:
    """The same where a weight serves ``length`` neighbours, a channel's pixels."""
    s: Any = 0.0
    q: Any = 0.0
    for k in range(w.size):
        part, upstream = run[k * length : (k + 1) * length], g[k * length : (k + 1) * length]
        own: Any = 0.0
        along: Any = 0.0
        for first in range(0, length, RUN):
            a, e = ZERO, ZERO
            for j in range(first, min(first + RUN, length)):
                a += upstream[j]
                e += upstream[j] * (part[j] - near)
            own += a
            along += e
        along = along * r + own * offset
        dw[k] += along
        db[k] += own
        s += w[k] * own
        q += w[k] * along
    return s, q


@jit(inline=True, allocates=False)
def _dx(run: Any, g: Any, w: Any, length: int, near: Any, r: Any, slope: Any, constant: Any, dx: Any) -> None:
    """dx = (w g + (x − near) · slope + constant) · r, of one run."""
    if length == 1:
        for j in range(w.size):
            dx[j] = (g[j] * w[j] + ((run[j] - near) * slope + constant)) * r
    else:
        for k in range(w.size):
            part, upstream = run[k * length : (k + 1) * length], g[k * length : (k + 1) * length]
            target, weight = dx[k * length : (k + 1) * length], w[k]
            for j in range(part.size):
                target[j] = (upstream[j] * weight + ((part[j] - near) * slope + constant)) * r


@shared
def _backward_runs(
    t: int, parts: int, dy: Any, x: Any, w: Any, length: int, centred: bool, mean: Any, inverse: Any, dx: Any, sums: Any
) -> None:
    """dx of the runs, and what they add to dw and db, in ``sums[t]`` (2, G, K). dx may have size 0."""
    n, size = x.shape
    groups, weights = w.shape
    i0, i1 = share(t, parts, n)
    short = np.zeros((2, groups, weights), np.float32)
    for start in range(i0, i1, BLOCK):
        for i in range(start, min(start + BLOCK, i1)):
            run, g, wg, dw, db = x[i], dy[i], w[i % groups], short[0, i % groups], short[1, i % groups]
            near, r = F(mean[i]), inverse[i]
            offset = -F(mean[i] - near) * r
            if length == 1:
                s, q = _sums_of_elements(run, g, wg, near, r, offset, dw, db)
            else:
                s, q = _sums_of_channels(run, g, wg, length, near, r, offset, dw, db)
            if dx.size:
                along = F(-q / size)  # times x̂
                constant = (F(-s / size) if centred else ZERO) + along * offset
                _dx(run, g, wg, length, near, r, along * r, constant, dx[i])
        sums[t] += short
        short[:] = ZERO


@jit(fixed=True)
def _backward(parts: int, arguments: Any) -> None:
    dy, x, w, length, centred, mean, inverse, dx, dw, db = arguments
    groups, weights = w.shape
    sums = np.zeros((parts, 2, groups, weights))
    _backward_runs(parts, (dy, x, w, length, centred, mean, inverse, dx, sums))
    for t in range(1, parts):
        sums[0] += sums[t]
    dw[:], db[:] = sums[0, 0].ravel(), sums[0, 1].ravel()


_NO_RESULT = np.empty((0, 0), np.float32)


def _runs(x: Any, weights: int, groups: int) -> tuple[int, int]:
    """How many runs x is cut into, and the length of each: ``weights`` weights, each for all places of a channel if
    there are groups, for one element if not (groups = 0)."""
    length = weights * (math.prod(x.shape[2:]) if groups else 1)
    return x.size // length, length


def _normalized(
    x: Any, w: Any, b: Any, shape: tuple[int, ...], groups: int, weights: int, centred: bool, eps: float
) -> Any:
    """(y, μ in float64, 1/σ), the last two (runs), or NotImplemented. The parameters have ``shape``."""
    if not fit(shape, w, b):
        return NotImplemented
    runs, length = _runs(x, weights, groups)
    ones, zeros = ones_and_zeros((max(groups, 1), weights))
    w = ones if w is None else w.reshape(ones.shape)
    b = zeros if b is None else b.reshape(ones.shape)
    y, mean, inverse = memory.empty(x.shape), np.empty(runs), np.empty(runs, FLOAT32)
    arguments = (
        x.reshape(runs, length), w, b, length // weights, centred, float(eps), mean, inverse, y.reshape(runs, length)
    )  # fmt: skip
    _forward.launch(shares(FORWARD * x.size, runs), arguments)
    return y, mean, inverse


def _gradients(
    needs: Any, dy: Any, x: Any, w: Any, mean: Any, inverse: Any, shape: tuple[int, ...], groups: int, weights: int
) -> Any:
    """(dx, dw, db); RMS norm has no mean (None)."""
    if dy.dtype is not FLOAT32:
        return NotImplemented
    runs, length = _runs(x, weights, groups)
    ones, _ = ones_and_zeros((max(groups, 1), weights))
    w = ones if w is None else w.reshape(ones.shape)
    dx = memory.empty(dy.shape) if needs(0) else None
    dw, db = np.empty(shape, FLOAT32), np.empty(shape, FLOAT32)
    if not dy.flags.c_contiguous:
        dy = np.ascontiguousarray(dy)
    arguments = (
        dy.reshape(runs, length), x.reshape(runs, length), w, length // weights, mean is not None,
        np.zeros(runs) if mean is None else mean.reshape(runs), inverse.reshape(runs),
        _NO_RESULT if dx is None else dx.reshape(runs, length), dw.ravel(), db.ravel(),
    )  # fmt: skip
    _backward.launch(shares(BACKWARD * x.size, runs), arguments)
    return dx, dw, db


def _last_axes(x: Any, shape: tuple[int, ...]) -> bool:
    return takes(x, 1) and x.shape[max(x.ndim - len(shape), 0) :] == shape


def layer_norm(x: Any, w: Any, b: Any, shape: tuple[int, ...], eps: float) -> Any:
    result = _normalized(x, w, b, shape, 0, math.prod(shape), True, eps) if _last_axes(x, shape) else NotImplemented
    return result if result is NotImplemented else (result[0], result[1][:, None], result[2][:, None])


def layer_norm_gradients(
    needs: Any, dy: Any, x: Any, w: Any, mean: Any, inverse: Any, shape: tuple[int, ...], eps: float
) -> Any:
    return _gradients(needs, dy, x, w, mean, inverse, shape, 0, math.prod(shape))


def rms_norm(x: Any, w: Any, shape: tuple[int, ...], eps: float) -> Any:
    result = _normalized(x, w, None, shape, 0, math.prod(shape), False, eps) if _last_axes(x, shape) else NotImplemented
    return result if result is NotImplemented else (result[0], result[2][:, None])


def rms_norm_gradients(needs: Any, dy: Any, x: Any, w: Any, inverse: Any, shape: tuple[int, ...], eps: float) -> Any:
    grads = _gradients(needs, dy, x, w, None, inverse, shape, 0, math.prod(shape))
    return grads if grads is NotImplemented else grads[:2]


def group_norm(x: Any, w: Any, b: Any, groups: int, eps: float, running_mean: Any, *running: Any) -> Any:
    if not takes(x, 1) or x.ndim < 2 or running_mean is not None:
        return NotImplemented
    n, channels = x.shape[:2]
    result = _normalized(x, w, b, (channels,), groups, channels // groups, True, eps)
    if result is NotImplemented:
        return NotImplemented
    y, mean, inverse = result
    return y, mean.reshape(n, groups, 1, 1), inverse.reshape(n, groups, 1, 1)


def group_norm_gradients(needs: Any, dy: Any, x: Any, w: Any, mean: Any, inverse: Any, groups: int, eps: float) -> Any:
    channels = x.shape[1]
    return _gradients(needs, dy, x, w, mean, inverse, (channels,), groups, channels // groups)


KERNELS = {
    "layer_norm": (layer_norm, layer_norm_gradients),
    "rms_norm": (rms_norm, rms_norm_gradients),
    "group_norm": (group_norm, group_norm_gradients),
}
