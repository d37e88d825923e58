"""Functions of each element on the GPU: CuPy makes a kernel of an expression in C, whatever the arrays' layout.

The activations that are not here run by the textbook.
"""

from __future__ import annotations

from typing import Any

from ..machine.gpu import launch_elementwise, takes


def _elementwise(name: str, forward: str, backward: str) -> tuple[Any, Any]:
    """(compute, gradients) of a function: y from x, and dx from dy and the array that the op saved."""

    def compute(x: Any) -> Any:
        return launch_elementwise(name, forward, "y", x=x) if takes(x) else NotImplemented

    def gradients(needs: Any, dy: Any, saved: Any) -> Any:
        if not takes(dy, saved):
            return NotImplemented
        return launch_elementwise(f"{name}_gradient", backward, "dx", dy=dy, saved=saved)

    return compute, gradients


KERNELS = {
    "relu": _elementwise("relu", "y = x > 0 || isnan(x) ? x : T(0)", "dx = saved <= 0 ? T(0) : dy"),
    "sigmoid": _elementwise(
        "sigmoid", "y = exp(x < 0 ? x : T(0)) / (T(1) + exp(-fabs(x)))", "dx = dy * saved * (T(1) - saved)"
    ),
    "tanh": _elementwise("tanh", "y = tanh(x)", "dx = dy * (T(1) - saved * saved)"),
}
