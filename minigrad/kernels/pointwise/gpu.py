"""ReLU on the GPU (``pointwise.cu``); the other activations run by the textbook."""

from __future__ import annotations

from typing import Any

from ..machine.gpu import contiguous, empty, launch_each, takes


def _relu(x: Any) -> Any:
    if not takes(x):
        return NotImplemented
    with x.device:
        y = empty(x.shape, x)
        launch_each("pointwise", "relu_output", x.size, x, (contiguous(x), y, x.size))
    return y


def _relu_gradients(needs: Any, dy: Any, y: Any) -> Any:
    if not takes(dy, y):
        return NotImplemented
    with dy.device:
        dx = empty(dy.shape, dy)
        launch_each("pointwise", "relu_dx", dy.size, dy, (contiguous(dy), contiguous(y), dx, dy.size))
    return dx


KERNELS = {"relu": (_relu, _relu_gradients)}
