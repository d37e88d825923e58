"""The gradients of convolutions as functions: what :mod:`minigrad.ops.conv` derives, under ``torch.nn.grad``'s names.

Each is itself an op that can be differentiated, and raises ShapeError for shapes or settings that do not fit together.
"""

from __future__ import annotations

from typing import Any

from ..ops.conv_functions import gradient_of_input, gradient_of_weight
from ..tensor import Tensor


def conv1d_input(
    input_size: Any,
    weight: Tensor,
    grad_output: Tensor,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv1d`` with respect to an input of shape ``input_size`` (N, C, L).

    weight (O, C/groups, K), grad_output (N, O, OL).
    """
    return gradient_of_input("conv1d_input", 1, input_size, weight, grad_output, stride, padding, dilation, groups)


def conv1d_weight(
    input: Tensor,
    weight_size: Any,
    grad_output: Tensor,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv1d`` with respect to a weight of shape ``weight_size`` (O, C/groups, K).

    input (N, C, L), grad_output (N, O, OL).
    """
    return gradient_of_weight("conv1d_weight", 1, input, weight_size, grad_output, stride, padding, dilation, groups)


def conv2d_input(
    input_size: Any,
    weight: Tensor,
    grad_output: Tensor,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv2d`` with respect to an input of shape ``input_size`` (N, C, H, W).

    weight (O, C/groups, KH, KW), grad_output (N, O, OH, OW).
    """
    return gradient_of_input("conv2d_input", 2, input_size, weight, grad_output, stride, padding, dilation, groups)


def conv2d_weight(
    input: Tensor,
    weight_size: Any,
    grad_output: Tensor,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv2d`` with respect to a weight of shape ``weight_size`` (O, C/groups, KH, KW).

    input (N, C, H, W), grad_output (N, O, OH, OW).
    """
    return gradient_of_weight("conv2d_weight", 2, input, weight_size, grad_output, stride, padding, dilation, groups)
