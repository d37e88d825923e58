"""Two textbook ops in one node, for speed: a layer and the activation right behind it.

y = f(x Wᵀ + b) as two nodes writes x Wᵀ + b to memory only to read it again, keeps two arrays where one will do, and
walks two nodes on the way back. Where the slope of f can be read off its output (ReLU, sigmoid, tanh), the inner sum is
never needed: one node does both. So it is with a convolution, and with batch norm and the ReLU behind it.
``nn.Sequential`` uses these ops for such a pair; written out by hand, the two ops stay two.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.function import Op
from .activation import sigmoid_of
from .common import select
from .conv import Conv2d
from .matmul import Linear
from .normalization import BatchNorm, BatchNormEval, batch_norm


def relu_rule(dy: Any, y: Any) -> Any:
    """0 where y = max(z, 0) is 0, else dy."""
    return select(~(y <= 0), dy)


# y = f(z), and dz = dy · f′(z) written in terms of y
ACTIVATIONS: dict[str, tuple[Any, Any]] = {
    "relu": (lambda z: np.maximum(z, 0), relu_rule),
    "sigmoid": (sigmoid_of, lambda dy, y: dy * (y * (1.0 - y))),
    "tanh": (np.tanh, lambda dy, y: dy * (1.0 - y * y)),
}


class LinearActivation(Op, kernel="matmul.linear_activation"):
    """y = f(z), z = x Wᵀ + b.   dz = dy · f′(z), and from dz as in Linear: dx = dz W, dW = dzᵀ x, db = Σ dz."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, b: Any, name: str) -> Any:
        z = Linear.forward(ctx, x, w, b)
        y = ACTIVATIONS[name][0](z)
        ctx.activation = name
        ctx.saved = (*ctx.saved, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, w, y = ctx.saved
        return Linear.gradients(ctx, ACTIVATIONS[ctx.activation][1](dy, y), x, w)

    @staticmethod
    def check(x: Any, w: Any, b: Any, name: str) -> None:
        Linear.check(x, w, b)


class Conv2dActivation(Op, kernel="conv.conv2d_activation"):
    """y = f(z), z = b + w ⋆ x.   dz = dy · f′(z), and from dz as in Conv2d."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        *convolution, name = args
        y = ACTIVATIONS[name][0](Conv2d.forward(ctx, *convolution))
        ctx.activation = name
        ctx.saved = (*ctx.saved, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, w, y = ctx.saved
        return Conv2d.gradients(ctx, ACTIVATIONS[ctx.activation][1](dy, y), x, w)


class BatchNormReLU(Op, kernel="normalization.batch_norm_relu"):
    """y = max(z, 0), z = γ x̂ + β in training.   dz = dy where y > 0, else 0, and from dz as in BatchNorm."""

    @staticmethod
    def forward(ctx: Any, x: Any, *options: Any) -> Any:
        y = np.maximum(BatchNorm.forward(ctx, x, *options), 0)
        ctx.saved = (*ctx.saved, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        *saved, y = ctx.saved
        return BatchNorm.gradients(ctx, relu_rule(dy, y), *saved)


class BatchNormEvalReLU(Op, kernel="normalization.batch_norm_eval_relu"):
    """The same in evaluation."""

    @staticmethod
    def forward(ctx: Any, x: Any, *options: Any) -> Any:
        y = np.maximum(BatchNormEval.forward(ctx, x, *options), 0)
        ctx.saved = (*ctx.saved, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        *saved, y = ctx.saved
        return BatchNormEval.gradients(ctx, relu_rule(dy, y), *saved)


def batch_norm_relu(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    """relu(batch_norm(…)) of the same arguments."""
    ops = (BatchNormReLU, BatchNormEvalReLU)
    return batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps, ops)
