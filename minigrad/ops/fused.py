"""Two textbook ops in one node, for speed: a layer and the activation right behind it.

y = f(x Wᵀ + b) as two nodes writes x Wᵀ + b to memory only to read it again, keeps two arrays where one will do, and
runs two backward rules. Where the derivative of f can be read off its output (ReLU, sigmoid, tanh), the inner sum is
never needed: one node does both. So it is with a convolution, and with batch norm and the ReLU behind it.
``nn.Sequential`` uses these ops for such a pair; written out by hand, the two ops stay two.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..autograd.op import Op
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


class LinearActivation(Op, kernel="matmul.choose.linear_activation"):
    """y = f(z), z = x Wᵀ + b.   dz = dy · f′(z), and from dz as in Linear: dx = dz W, dW = dzᵀ x, db = Σ dz."""

    @property
    def activation(self) -> str:
        """Its name."""
        return self.options[-1]

    @staticmethod
    def compute(x: Any, w: Any, b: Any, name: str) -> Any:
        return ACTIVATIONS[name][0](Linear.compute(x, w, b))

    @staticmethod
    def keep(ctx: Any, y: Any, x: Any, w: Any, b: Any, name: str) -> Any:
        ctx.saved = (x if ctx.needs(1) else None, w if ctx.needs(0) else None, y)
        ctx.options = x.shape, w.shape, name
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x, w, y), (shape, _, name) = ctx.saved, ctx.options
        return Linear.gradients(ctx.needs, ACTIVATIONS[name][1](dy, y), x, w, shape)

    @staticmethod
    def check(x: Any, w: Any, b: Any, name: str) -> None:
        Linear.check(x, w, b)


class Conv2dActivation(Op, kernel="conv.choose.conv2d_activation"):
    """y = f(z), z = b + w ⋆ x.   dz = dy · f′(z), and from dz as in Conv2d."""

    activation = LinearActivation.activation

    @staticmethod
    def compute(*args: Any) -> Any:
        *convolution, name = args
        return ACTIVATIONS[name][0](Conv2d.compute(*convolution))

    @staticmethod
    def keep(ctx: Any, y: Any, *args: Any) -> Any:
        Conv2d.keep(ctx, y, *args)
        ctx.saved = (*ctx.saved, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x, w, y), (*options, name) = ctx.saved, ctx.options
        return Conv2d.gradients(ctx.needs, ACTIVATIONS[name][1](dy, y), x, w, *options)


class BatchNormReLU(Op, kernel="normalization.batch.batch_norm_relu"):
    """y = max(z, 0), z = γ x̂ + β in training.   dz = dy where y > 0, else 0, and from dz as in BatchNorm."""

    layer: ClassVar[type[Op]] = BatchNorm

    @classmethod
    def compute(cls, *args: Any) -> tuple[Any, Any, Any]:
        z, mean, inverse = cls.layer.compute(*args)
        return np.maximum(z, 0), mean, inverse

    @classmethod
    def keep(cls, ctx: Any, result: Any, *args: Any) -> Any:
        y = cls.layer.keep(ctx, result, *args)
        ctx.saved = (*ctx.saved, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        *saved, y = ctx.saved
        return ctx.layer.gradients(ctx.needs, relu_rule(dy, y), *saved, *ctx.options)


class BatchNormEvalReLU(BatchNormReLU, kernel="normalization.batch.batch_norm_eval_relu"):
    """The same in evaluation."""

    layer = BatchNormEval


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
