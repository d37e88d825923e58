"""Batch normalization on the GPU (``normalization.cu``), in training and in evaluation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..machine.gpu import THREADS, contiguous, empty, integers, launch, launch_each, record, takes
from ..machine.gpu_sums import over_channels, parts_of

SHAPE = integers("n c places parts length")


def _shape(x: Any) -> Any:
    n, c, places = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    return record(SHAPE, n, c, places, *parts_of(c, n * places))


def _fit(x: Any, *of_channels: Any) -> bool:
    """Whether these (None aside) are for the GPU, and all but x have one number per channel."""
    return (
        takes(x, *of_channels)
        and x.ndim >= 2
        and all(p is None or (p.shape == (x.shape[1],) and p.flags.c_contiguous) for p in of_channels)
    )


def _output(x: Any, mean: Any, inverse: Any, weight: Any, bias: Any, shape: Any) -> Any:
    y = empty(x.shape, x)
    launch_each("normalization", "batch_norm_output", y.size, x, (x, mean, inverse, weight, bias, y, shape))
    return y


def _train(x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float, eps: float) -> Any:
    if not _fit(x, weight, bias, running_mean, running_var):
        return NotImplemented
    with x.device:
        in_order, shape = contiguous(x), _shape(x)
        channels, parts = x.shape[1], int(shape["parts"])
        means, squares = empty((parts, channels), x, np.float64), empty((parts, channels), x, np.float64)
        mean, inverse = empty((channels,), x), empty((channels,), x)
        launch(
            "normalization", "batch_norm_moments", (channels, parts), (THREADS,), x, (in_order, means, squares, shape)
        )
        number = x.dtype.type
        args = means, squares, mean, inverse, running_mean, running_var, number(momentum), number(eps), shape
        launch_each("normalization", "batch_norm_statistics", channels, x, args)
        return _output(in_order, mean, inverse, weight, bias, shape), mean, inverse


def _evaluate(x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, eps: float) -> Any:
    if not _fit(x, weight, bias, running_mean, running_var):
        return NotImplemented
    with x.device:
        # Copies, since later training steps change the running statistics in place
        mean, inverse = running_mean.copy(), 1.0 / (running_var + eps) ** 0.5
        return _output(contiguous(x), mean, inverse, weight, bias, _shape(x)), mean, inverse


def _gradients(training: bool) -> Any:
    def gradients(needs: Any, dy: Any, x: Any, weight: Any, mean: Any, inverse: Any, *eps: float) -> Any:
        """(dx, dγ, dβ)."""
        if not _fit(dy, weight, mean, inverse) or not takes(dy, x):
            return NotImplemented
        with dy.device:
            shape, dy, x = _shape(dy), contiguous(dy), contiguous(x)
            channels, parts = dy.shape[1], int(shape["parts"])
            dx, d_weight, d_bias = None, None, None
            if needs(1) or (training and needs(0)):
                d_weight, d_bias = empty((channels,), dy), empty((channels,), dy)
                partial = empty((2, parts, channels), dy)
                args = dy, x, mean, inverse, partial, shape
                launch("normalization", "batch_norm_sums", (channels, parts), (THREADS,), dy, args)
                launch_each("normalization", "batch_norm_add_parts", channels, dy, (partial, d_weight, d_bias, shape))
            elif needs(2):
                d_bias = over_channels(dy)
            if needs(0):
                dx = empty(dy.shape, dy)
                sums = (d_weight, d_bias) if training else (None, None)
                arrays = dy, x, mean, inverse, weight, *sums, dx
                launch_each("normalization", "batch_norm_dx", dx.size, dy, (*arrays, shape))
            return dx, d_weight if needs(1) else None, d_bias if needs(2) else None

    return gradients


KERNELS = {"batch_norm": (_train, _gradients(True)), "batch_norm_eval": (_evaluate, _gradients(False))}
