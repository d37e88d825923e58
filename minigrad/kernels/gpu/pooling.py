"""Pooling on the GPU (``pooling.cu``). Windows of equal size only: those that share a plane out run by the textbook."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import cuda
from .. import Kernel
from .launch import LARGEST, contiguous, empty, integers, launch_each, record, takes

SHAPE = integers("planes h w oh ow kh kw sh sw ph pw dh dw")


def _shape(x: Any, windows: Any) -> Any:
    """The struct for planes of x in these windows; None for windows or planes that are not for the GPU."""
    if not takes(x) or not hasattr(windows, "stride") or x.ndim < 2:
        return None
    if max(n + 2 * p + k * d for n, k, p, d in zip(*windows[:1], windows.kernel, *windows[4:], strict=True)) > LARGEST:
        return None
    planes = math.prod(x.shape[:-2])
    if planes * math.prod(windows.out) > LARGEST or x.shape[-2:] != tuple(windows.size):
        return None
    return record(SHAPE, planes, *windows.numbers())


def _dx(ctx: Any, dy: Any) -> Any:
    """An array for dx, whose planes have the windows' ``size``."""
    return empty((*dy.shape[:-2], *ctx.windows.size), dy)


# --- the largest -----------------------------------------------------------------------------------------------------


def _max(ctx: Any, x: Any, windows: Any, return_indices: bool) -> Any:
    shape = _shape(x, windows)
    if shape is None:
        return NotImplemented
    with x.device:
        y = empty((*x.shape[:-2], *windows.out), x)
        elements = cuda.require().empty(y.shape, dtype=np.int32)
        places = cuda.require().empty(y.shape, dtype=np.int64) if return_indices else None
        launch_each("pooling", "max_output", y.size, x, (contiguous(x), y, elements, places, shape))
    ctx.windows, ctx.shape, ctx.saved, ctx.scratch = windows, x.shape, (elements,), shape
    return (y, places) if return_indices else y


def _max_backward(ctx: Any, dy: Any) -> Any:
    if isinstance(dy, list):  # of (values, indices); only values have a gradient
        dy = dy[0]
    if not takes(dy):
        return NotImplemented
    with dy.device:
        dx = _dx(ctx, dy)
        launch_each("pooling", "max_dx", dx.size, dy, (contiguous(dy), ctx.saved[0], dx, ctx.scratch))
    return dx


# --- the mean --------------------------------------------------------------------------------------------------------


def _avg(ctx: Any, x: Any, windows: Any, include_pad: bool = True, divisor: int | None = None) -> Any:
    shape = _shape(x, windows)
    if shape is None:
        return NotImplemented
    settings = int(include_pad), divisor or 0
    with x.device:
        y = empty((*x.shape[:-2], *windows.out), x)
        launch_each("pooling", "mean_output", y.size, x, (contiguous(x), y, shape, *settings))
    ctx.windows, ctx.factors, ctx.scratch = (
        windows,
        windows.mean_factors(include_pad, divisor, x.dtype),
        (shape, *settings),
    )
    return y


def _avg_backward(ctx: Any, dy: Any) -> Any:
    if not takes(dy):
        return NotImplemented
    with dy.device:
        dx = _dx(ctx, dy)
        launch_each("pooling", "mean_dx", dx.size, dy, (contiguous(dy), dx, *ctx.scratch))
    return dx


# --- the p-norm ------------------------------------------------------------------------------------------------------


def _lp(ctx: Any, x: Any, windows: Any, p: float) -> Any:
    shape = _shape(x, windows)
    if shape is None:
        return NotImplemented
    with x.device:
        y = empty((*x.shape[:-2], *windows.out), x)
        launch_each("pooling", "norm_output", y.size, x, (contiguous(x), y, shape, x.dtype.type(p)))
    ctx.windows, ctx.p, ctx.dtype, ctx.saved, ctx.scratch = windows, p, x.dtype, (x, y), shape
    return y


def _lp_backward(ctx: Any, dy: Any) -> Any:
    x, y = ctx.saved
    if not takes(dy, x, y):
        return NotImplemented
    with dy.device:
        dx = _dx(ctx, dy)
        args = contiguous(dy), contiguous(x), contiguous(y), dx, ctx.scratch, dy.dtype.type(ctx.p)
        launch_each("pooling", "norm_dx", dx.size, dy, args)
    return dx


KERNELS = {
    "max_pool2d": Kernel(_max, _max_backward),
    "avg_pool2d": Kernel(_avg, _avg_backward),
    "lp_pool2d": Kernel(_lp, _lp_backward),
}
