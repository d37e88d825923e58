"""ReLU on the GPU (``activation.cu``); the other activations run by the textbook."""

from __future__ import annotations

from typing import Any

from .. import Kernel
from .launch import contiguous, empty, launch_each, takes


def _relu(ctx: Any, x: Any) -> Any:
    if not takes(x):
        return NotImplemented
    with x.device:
        y = empty(x.shape, x)
        launch_each("activation", "relu_output", x.size, x, (contiguous(x), y, x.size))
    ctx.saved = (y,)
    return y


def _relu_backward(ctx: Any, dy: Any) -> Any:
    (y,) = ctx.saved
    if not takes(dy, y):
        return NotImplemented
    with dy.device:
        dx = empty(dy.shape, dy)
        launch_each("activation", "relu_dx", dy.size, dy, (contiguous(dy), contiguous(y), dx, dy.size))
    return dx


KERNELS = {"relu": Kernel(_relu, _relu_backward)}
