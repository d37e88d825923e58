"""Pooling of float32 planes on the CPU: one pass over memory each way.

Forward, a block of neighbouring outputs is worked out at once, one in each lane of a vector register: the sums, or the
largest numbers so far and the taps they came from, stay in registers until the last tap (``pooling_blocks.py``). A row
whose length is no multiple of the block's ends with a block that overlaps the one before: what both write is the same.
Where windows reach into the padding, a plane is first laid into a frame, so that no block has to look for edges.

Backward, windows of 2 × 2 with a stride of 2 (each input in one window) are blocks too: a register of gradients becomes
two of the row above and two of the row below, and every input's gradient is written once. Otherwise a maximum's
gradient is added at its place, and a sum's is gathered: over the windows that hold row h, then over those that hold
column w. Which input was the largest is kept in a byte, as the number of its tap in the window.

Planes are shared out over threads, so no two threads write to one place and the numbers do not depend on the threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import Kernel
from ..memory import empty
from ..threads import get_num_threads
from .layout import takes
from .pooling_blocks import ABSOLUTE, MEAN, SQUARE, ZERO
from .pooling_max import max_back_planes, max_back_planes_shared, max_planes, max_planes_shared, places
from .pooling_sum import (
    parts_back_planes,
    parts_planes,
    parts_planes_shared,
    powers,
    powers_shared,
    sum_back_planes,
    sum_back_planes_shared,
    sum_planes,
    sum_planes_shared,
)

PARALLEL_FROM = 1 << 17  # elements of the input from which a second thread pays
MOST_TAPS = 256  # that a byte can number


def _threads(elements: int, planes: int) -> int:
    return 1 if elements < PARALLEL_FROM else min(get_num_threads(), planes)


def _floats(g: Any) -> Any:
    """An upstream gradient as the flat array that a kernel walks; None if it is none of float32."""
    g = g[0] if type(g) is list else g  # of the outputs (values, indices) the first alone has a gradient
    if type(g) is not np.ndarray or g.dtype != np.float32:
        return None
    return np.ascontiguousarray(g).reshape(-1)


def max_pool_forward(ctx: Any, x: Any, windows: Any, return_indices: bool) -> Any:
    if not takes(x, 1) or windows.kernel[0] * windows.kernel[1] > MOST_TAPS:
        return NotImplemented
    shape = windows.numbers()
    out = (*x.shape[:-2], *windows.out)
    y, tap = empty(out), np.empty(out, np.uint8)
    planes = x.size // (shape[0] * shape[1])
    threads = _threads(x.size, planes)
    if threads == 1:
        max_planes(x.reshape(-1), y.reshape(-1), tap.reshape(-1), 0, planes, shape)
    else:
        max_planes_shared(x.reshape(-1), y.reshape(-1), tap.reshape(-1), planes, shape, threads)
    ctx.windows, ctx.shape, ctx.saved = windows, x.shape, (tap,)
    return (y, places(tap.reshape(-1), shape).reshape(out)) if return_indices else y


def max_pool_backward(ctx: Any, dy: Any) -> Any:
    g = _floats(dy)
    if g is None:
        return NotImplemented
    (tap,) = ctx.saved
    shape = ctx.windows.numbers()
    dx = empty(ctx.shape)
    planes = dx.size // (shape[0] * shape[1])
    threads = _threads(dx.size, planes)
    if threads == 1:
        max_back_planes(g, tap.reshape(-1), dx.reshape(-1), 0, planes, shape)
    else:
        max_back_planes_shared(g, tap.reshape(-1), dx.reshape(-1), planes, shape, threads)
    return dx


def _sum_forward(x: Any, windows: Any, kind: int, factors: Any) -> Any:
    y = empty((*x.shape[:-2], *windows.out))
    _sum(x.reshape(-1), y.reshape(-1), windows.numbers(), kind, factors)
    return y


def _sum(x: Any, y: Any, shape: tuple[int, ...], kind: int, factors: Any) -> None:
    planes = x.size // (shape[0] * shape[1])
    threads = _threads(x.size, planes)
    if threads == 1:
        sum_planes(x, y, 0, planes, shape, kind, *factors)
    else:
        sum_planes_shared(x, y, planes, shape, kind, *factors, threads)


def _sum_backward(g: Any, x: Any, y: Any, size: tuple[int, ...], windows: Any, kind: int, factors: Any) -> Any:
    """dx = f′(x) · Σ g · factors over the windows that hold x, f being x, |x| or x² (see :func:`sum_back_planes`).

    x and y are read for norms only; for means, any float32 arrays will do."""
    shape = windows.numbers()
    dx = empty(size)
    if kind == MEAN and windows.stride == (1, 1):
        _mirrored(g, dx.reshape(-1), shape, factors)
        return dx
    planes = dx.size // (shape[0] * shape[1])
    threads = _threads(dx.size, planes)
    arrays = g, x.reshape(-1), y.reshape(-1), dx.reshape(-1)
    if threads == 1:
        sum_back_planes(*arrays, 0, planes, shape, kind, *factors)
    else:
        sum_back_planes_shared(*arrays, planes, shape, kind, *factors, threads)
    return dx


def _mirrored(g: Any, dx: Any, shape: tuple[int, ...], factors: Any) -> None:
    """Windows a step of 1 apart: those that hold a place are themselves a window, of gradients.

    Place h is in the windows h + padding − k for k = 0 … kernel − 1, so the padding of the mirrored window is
    kernel − 1 − padding.
    """
    h, w, oh, ow, kh, kw, _, _, ph, pw, _, _ = shape
    rows, columns = factors
    if (rows == rows[0]).all() and (columns == columns[0]).all():
        factors = np.full(h, rows[0]), np.full(w, columns[0])
    else:
        g = (g.reshape(-1, oh, ow) * (rows[:, None] * columns)).reshape(-1)
        factors = np.ones(h, np.float32), np.ones(w, np.float32)
    _sum(g, dx, (oh, ow, h, w, kh, kw, 1, 1, kh - 1 - ph, kw - 1 - pw, 1, 1), MEAN, factors)


def avg_pool_forward(ctx: Any, x: Any, windows: Any, include_pad: bool, divisor: Any) -> Any:
    if not takes(x, 1):
        return NotImplemented
    ctx.windows, ctx.shape, ctx.factors = windows, x.shape, windows.mean_factors(include_pad, divisor, x.dtype)
    return _sum_forward(x, windows, MEAN, ctx.factors)


def avg_pool_backward(ctx: Any, dy: Any) -> Any:
    g = _floats(dy)
    if g is None:
        return NotImplemented
    return _sum_backward(g, g, g, ctx.shape, ctx.windows, MEAN, ctx.factors)


def _power(x: Any, p: float, signed: bool = False) -> Any:
    """|x|ᵖ, or sign(x) |x|ᵖ."""
    y = empty(x.shape)
    threads = _threads(x.size, x.size)
    if threads == 1:
        powers(x.reshape(-1), np.float32(p), signed, y.reshape(-1))
    else:
        powers_shared(x.reshape(-1), np.float32(p), signed, y.reshape(-1), threads)
    return y


def lp_pool_forward(ctx: Any, x: Any, windows: Any, p: float) -> Any:
    if not takes(x, 1):
        return NotImplemented
    ctx.windows, ctx.p, ctx.dtype = windows, p, x.dtype
    factors = windows.whole_factors(x.dtype)
    if p in (ABSOLUTE, SQUARE):
        y = _sum_forward(x, windows, int(p), factors)
    else:
        y = _power(_sum_forward(_power(x, p), windows, MEAN, factors), 1.0 / p)
    ctx.saved = x, y
    return y


def lp_pool_backward(ctx: Any, dy: Any) -> Any:
    g = _floats(dy)
    if g is None:
        return NotImplemented
    (x, y), p = ctx.saved, ctx.p
    factors = ctx.windows.whole_factors(x.dtype)
    if p in (ABSOLUTE, SQUARE):
        return _sum_backward(g, x, y, x.shape, ctx.windows, int(p), factors)
    flat = y.reshape(-1)
    with np.errstate(all="ignore"):
        g = np.where(flat == 0, ZERO, g * _power(flat, 1.0 - p))
        dx = _sum_backward(g, g, g, x.shape, ctx.windows, MEAN, factors)
        dx *= _power(x, p - 1.0, signed=True)
    return dx


def parts_forward(ctx: Any, x: Any, parts: Any, include_pad: bool, divisor: Any) -> Any:
    if not takes(x, 1):
        return NotImplemented
    ctx.windows, ctx.shape, ctx.factors = parts, x.shape, parts.mean_factors(include_pad, divisor, x.dtype)
    y = empty((*x.shape[:-2], *parts.out))
    _parts(x.reshape(-1, *parts.size), y.reshape(-1, *parts.out), back=False)
    return y


def parts_backward(ctx: Any, dy: Any) -> Any:
    g = _floats(dy)
    if g is None:
        return NotImplemented
    dx = empty(ctx.shape)
    _parts(dx.reshape(-1, *ctx.windows.size), g.reshape(-1, *ctx.windows.out), back=True)
    return dx


def _parts(x: Any, y: Any, back: bool) -> None:
    threads = _threads(max(x.size, y.size), len(x))
    if threads > 1:
        parts_planes_shared(x, y, back, threads)
    elif back:
        parts_back_planes(y, x, 0, len(x))
    else:
        parts_planes(x, y, 0, len(x))


KERNELS = {
    "max_pool2d": Kernel(max_pool_forward, max_pool_backward),
    "avg_pool2d": Kernel(avg_pool_forward, avg_pool_backward),
    "lp_pool2d": Kernel(lp_pool_forward, lp_pool_backward),
    "adaptive_avg_pool2d": Kernel(parts_forward, parts_backward),
}
