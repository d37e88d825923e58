"""Fully connected layers."""

from __future__ import annotations

import math
from typing import Any

from numpy import ndarray

from ...creation import empty
from ...ops.fused import LinearActivation
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from .arguments import naturals


class Identity(Module):
    """y = x, whatever it is made with: a placeholder for a layer that is left out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """y = x Wᵀ + b.

    Shapes: x (…, in_features) → y (…, out_features); weight (out_features, in_features), bias
    (out_features,).

    Both start uniform in ±1/√in_features, PyTorch's choice (see :func:`minigrad.nn.init.kaiming_uniform_`, a
    = √5).

    Raises:
        ValueError: a size that is not a non-negative integer.
        ShapeError: (when called) an input whose last axis is not ``in_features`` long.
    """

    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        naturals("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None and self.in_features > 0:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def with_activation(self, input: Tensor, name: str) -> Tensor:
        """f(self(input)) as one op, for Sequential. (On a GPU the activation's own kernel serves it better.)"""
        if type(getattr(input, "_array", None)) is ndarray:
            return LinearActivation.apply(input, self.weight, self.bias, name)
        return getattr(F, name)(self.forward(input))

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
