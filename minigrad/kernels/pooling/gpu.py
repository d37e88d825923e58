"""Pooling on the GPU (``pooling.cu``). Windows of equal size only: those that share a plane out run by the textbook."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import cuda
from ..machine.gpu import LARGEST, contiguous, empty, integers, launch_each, record, takes

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


def _dx(dy: Any, windows: Any) -> Any:
    """An array for dx, whose planes have the windows' ``size``."""
    return empty((*dy.shape[:-2], *windows.size), dy)


# --- the largest -----------------------------------------------------------------------------------------------------


def _max(x: Any, windows: Any, return_indices: bool) -> Any:
    shape = _shape(x, windows)
    if shape is None:
        return NotImplemented
    with x.device:
        y = empty((*x.shape[:-2], *windows.out), x)
        elements = cuda.require().empty(y.shape, dtype=np.int32)
        indices = cuda.require().empty(y.shape, dtype=np.int64) if return_indices else None
        launch_each("pooling", "max_output", y.size, x, (contiguous(x), y, elements, indices, shape))
    return y, elements, indices


def _max_gradients(needs: Any, dy: Any, elements: Any, windows: Any, x_shape: tuple[int, ...]) -> Any:
    if not takes(dy):
        return NotImplemented
    with dy.device:
        dx = _dx(dy, windows)
        launch_each("pooling", "max_dx", dx.size, dy, (contiguous(dy), elements, dx, _shape(dx, windows)))
    return dx


# --- the mean --------------------------------------------------------------------------------------------------------


def _avg(x: Any, windows: Any, include_pad: bool = True, divisor: int | None = None) -> Any:
    shape = _shape(x, windows)
    if shape is None:
        return NotImplemented
    with x.device:
        y = empty((*x.shape[:-2], *windows.out), x)
        launch_each("pooling", "mean_output", y.size, x, (contiguous(x), y, shape, int(include_pad), divisor or 0))
    return y


def _avg_gradients(
    needs: Any, dy: Any, windows: Any, x_shape: tuple[int, ...], include_pad: bool, divisor: int | None
) -> Any:
    if not takes(dy):
        return NotImplemented
    with dy.device:
        dx = _dx(dy, windows)
        args = contiguous(dy), dx, _shape(dx, windows), int(include_pad), divisor or 0
        launch_each("pooling", "mean_dx", dx.size, dy, args)
    return dx


# --- the p-norm ------------------------------------------------------------------------------------------------------


def _lp(x: Any, windows: Any, p: float) -> Any:
    shape = _shape(x, windows)
    if shape is None:
        return NotImplemented
    with x.device:
        y = empty((*x.shape[:-2], *windows.out), x)
        launch_each("pooling", "norm_output", y.size, x, (contiguous(x), y, shape, x.dtype.type(p)))
    return y


def _lp_gradients(needs: Any, dy: Any, x: Any, y: Any, windows: Any, p: float) -> Any:
    if not takes(dy, x, y):
        return NotImplemented
    with dy.device:
        dx = _dx(dy, windows)
        args = contiguous(dy), contiguous(x), contiguous(y), dx, _shape(dx, windows), dy.dtype.type(p)
        launch_each("pooling", "norm_dx", dx.size, dy, args)
    return dx


KERNELS = {
    "max_pool2d": (_max, _max_gradients),
    "avg_pool2d": (_avg, _avg_gradients),
    "lp_pool2d": (_lp, _lp_gradients),
}
