"""Normalization: numbers brought to mean 0 and variance 1, then scaled and shifted as training likes it.

Every layer here computes

    x̂ = (x − μ) / σ,   y = γ x̂ + β,   with σ = √(variance + ε),

and they differ in the values that share one μ and one σ. For x (N, C, H, W):

    batch norm      all of a channel: over N, H, W         γ, β (C)
    layer norm      all of a sample: over C, H, W          γ, β (C, H, W)
    group norm      C/G channels of a sample               γ, β (C)
    instance norm   one channel of a sample: G = C         γ, β (C)
    RMS norm        as layer norm, with μ = 0

So they share one backward. Let n values x₁ … xₙ share μ and σ, and let gⱼ = γ dyⱼ be the gradient that reaches x̂ⱼ. A
change of xᵢ acts on the loss in three ways:

    through xᵢ itself:   ∂x̂ᵢ/∂xᵢ = 1/σ, which gives  gᵢ / σ
    through the mean:    ∂x̂ⱼ/∂μ = −1/σ for every j, and ∂μ/∂xᵢ = 1/n, which gives  −(1/σ) · (1/n) Σⱼ gⱼ
    through the variance: ∂x̂ⱼ/∂σ = −x̂ⱼ/σ for every j. With variance = (1/n) Σ (xⱼ − μ)², whose mean moves too but to
        no effect since Σ (xⱼ − μ) = 0, ∂σ/∂xᵢ = (1/2σ) · (2/n)(xᵢ − μ) = x̂ᵢ/n. Together  −(1/σ) · x̂ᵢ · (1/n) Σⱼ gⱼ x̂ⱼ

    dx = (g − mean(g) − x̂ mean(g x̂)) / σ

Read it as: adding a constant to all x, or stretching them about their mean, leaves x̂ as it was; so what g holds along
those two directions (1, …, 1) and x̂ is taken out of it. γ multiplies x̂ and β is added, once for every value that they
serve: dγ = Σ dy x̂ and dβ = Σ dy.
"""

from __future__ import annotations

import math
from typing import Any

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from .common import DOUBLE, HALF, in_dtype, in_single, require_floating
from .normalization_checks import (
    channel_groups,
    check_channels,
    check_tensors,
    check_trailing,
    more_than_one,
    trailing_shape,
)
from .sums import total


def mean_of(x: Any, axes: tuple[int, ...]) -> Any:
    """The mean over ``axes``, which stay as axes of size 1."""
    return total(x, axes, True) * (1.0 / max(math.prod(x.shape[a] for a in axes), 1))


def moments(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """(x − mean, mean, variance) over ``axes``, which stay as axes of size 1; mean and variance in float64.

    The differences are formed before they are squared: E[x²] − μ² would subtract two large numbers to find a small one,
    and in float32 has no digit left once μ is a few thousand times σ. In float32 x less its mean is exact where it
    matters, but the mean is not; the mean of the differences is what is missing. Squares soon overflow in float32.
    """
    near = mean_of(x, axes)
    difference = x - near
    rest = mean_of(difference, axes)
    difference = difference - rest
    wide = in_dtype(difference, DOUBLE)
    return difference, in_dtype(near, DOUBLE) + in_dtype(rest, DOUBLE), mean_of(wide * wide, axes)


def deviations(x: Any, mean: Any) -> Any:
    """x − mean in x's dtype, for a mean in float64 as :func:`moments` gives it."""
    near = mean.astype(x.dtype)
    return (x - near) - (mean - near).astype(x.dtype)


def inverse_of(variance: Any, eps: float, dtype: Any) -> Any:
    """1/σ in ``dtype``, the variance in float64."""
    return in_dtype(1.0 / namespace(variance).sqrt(variance + eps), dtype)


def scaled(x_hat: Any, weight: Any, bias: Any) -> Any:
    """γ x̂ + β, with γ and β in a shape that broadcasts; None stands for 1 and 0."""
    y = x_hat if weight is None else x_hat * weight
    return y if bias is None else y + bias


def _gradients(needs: Any, dy: Any, x_hat: Any, inverse: Any, weight: Any, axes: Any, repeated: Any) -> Any:
    """(dx, dγ, dβ) as derived above: x̂ was formed over ``axes``, and γ and β were repeated over ``repeated``.

    dγ and dβ come flat; without ``axes``, μ and σ were given numbers, and only the first of the three terms is left.
    """
    dx = None
    if needs(0):
        dx = dy if weight is None else dy * weight
        if axes:
            dx = dx - mean_of(dx, axes) - x_hat * mean_of(dx * x_hat, axes)
        dx = dx * inverse
    d_weight = total(dy * x_hat, repeated).reshape(-1) if needs(1) else None
    d_bias = total(dy, repeated).reshape(-1) if needs(2) else None
    return dx, d_weight, d_bias


def _update(running: Any, momentum: float, batch: Any) -> None:
    """running ← (1 − momentum) running + momentum · batch, in place."""
    running[...] = (1.0 - momentum) * running + momentum * batch


def _unbiased(n: int) -> float:
    """n/(n − 1). Differences from a mean taken of the same n values are too small by that factor on average."""
    return n / (n - 1) if n > 1 else math.nan


def rows_of(x: Any, shape: tuple[int, ...]) -> Any:
    """(…, *shape) → (rows, values of a row)."""
    return x.reshape((math.prod(x.shape[: x.ndim - len(shape)]), math.prod(shape)))


def _all_but_channels(ndim: int) -> tuple[int, ...]:
    return (0, *range(2, ndim))


def _by_channel(p: Any, ndim: int) -> Any:
    """(C) → (1, C, 1, …), to go with (N, C, …); None stays None."""
    return None if p is None else p.reshape((1, p.shape[0], *[1] * (ndim - 2)))


class BatchNorm(Op, kernel="normalization.batch.batch_norm"):
    """y = γ x̂ + β for x (N, C, …), μ and σ over all axes but C; in training.   Backward: see the module's docstring.

    ``running_mean`` and ``running_var`` (arrays, or None) move towards the batch's mean and unbiased variance, by the
    share ``momentum``. They take no part in y.
    """

    @staticmethod
    def compute(
        x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float, eps: float
    ) -> tuple[Any, Any, Any]:
        """y, μ in float64 and 1/σ, the last two (C)."""
        BatchNorm.check(x, weight, bias, running_mean, running_var, momentum, eps)
        axes = _all_but_channels(x.ndim)
        difference, mean, variance = moments(x, axes)  # the last two (1, C, 1, …)
        inverse = inverse_of(variance, eps, x.dtype)
        y = scaled(difference * inverse, _by_channel(weight, x.ndim), _by_channel(bias, x.ndim))
        if running_mean is not None and x.size:
            _update(running_mean, momentum, mean.reshape(-1))
            _update(running_var, momentum, variance.reshape(-1) * _unbiased(x.size // x.shape[1]))
        return y, mean.reshape(-1), inverse.reshape(-1)

    @staticmethod
    def keep(
        ctx: Any, result: Any, x: Any, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float
    ) -> Any:
        y, mean, inverse = result
        ctx.saved, ctx.options = (x, weight, mean, inverse), (eps,)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return BatchNorm.gradients(ctx.needs, dy, *ctx.saved, *ctx.options)

    @staticmethod
    def gradients(needs: Any, dy: Any, x: Any, weight: Any, mean: Any, inverse: Any, eps: float) -> Any:
        """(dx, dγ, dβ)."""
        axes = _all_but_channels(x.ndim)
        if isinstance(dy, Variable):  # a rule that will itself be differentiated: mean and σ are functions of x there
            difference, _, variance = moments(x, axes)
            inverse = inverse_of(variance, eps, inverse.dtype)
        else:
            difference, inverse = deviations(x, _by_channel(mean, x.ndim)), _by_channel(inverse, x.ndim)
        return _gradients(needs, dy, difference * inverse, inverse, _by_channel(weight, x.ndim), axes, axes)

    @staticmethod
    def check(x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, *options: Any) -> None:
        """As :class:`BatchNormEval` has it too."""
        check_channels("batch_norm", x, running_mean, running_var, weight, bias)


class BatchNormEval(Op, kernel="normalization.batch.batch_norm_eval"):
    """y = γ (x − μ)/σ + β for x (N, C, …), with μ and σ² given numbers, one per channel: batch norm in evaluation.

    Nothing but x itself moves with x: dx = γ dy / σ.
    """

    @staticmethod
    def compute(
        x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        """y, and copies of μ and 1/σ: later training steps change the running statistics in place."""
        BatchNorm.check(x, weight, bias, running_mean, running_var, eps)
        mean, inverse = running_mean.astype(x.dtype), inverse_of(running_var.astype(DOUBLE), eps, x.dtype)
        x_hat = (x - _by_channel(mean, x.ndim)) * _by_channel(inverse, x.ndim)
        return scaled(x_hat, _by_channel(weight, x.ndim), _by_channel(bias, x.ndim)), mean, inverse

    @staticmethod
    def keep(ctx: Any, result: Any, x: Any, weight: Any, *rest: Any) -> Any:
        y, mean, inverse = result
        ctx.saved = (x if ctx.needs(1) else None, weight, mean, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return BatchNormEval.gradients(ctx.needs, dy, *ctx.saved)

    @staticmethod
    def gradients(needs: Any, dy: Any, x: Any, weight: Any, mean: Any, inverse: Any) -> Any:
        """(dx, dγ, dβ)."""
        weight, mean, inverse = (_by_channel(p, dy.ndim) for p in (weight, mean, inverse))
        x_hat = (x - mean) * inverse if needs(1) else None
        return _gradients(needs, dy, x_hat, inverse, weight, (), _all_but_channels(dy.ndim))

    @staticmethod
    def check(x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, *options: Any) -> None:
        BatchNorm.check(x, weight, bias, running_mean, running_var)


class GroupNorm(Op, kernel="normalization.sample.group_norm"):
    """y = γ x̂ + β for x (N, C, …), μ and σ over C/G neighbouring channels and all places of one sample.

    Backward: see the module's docstring. The running statistics are instance norm's (G = C): of each channel the mean
    over the samples.
    """

    @staticmethod
    def compute(
        x: Any,
        weight: Any,
        bias: Any,
        groups: int,
        eps: float,
        running_mean: Any = None,
        running_var: Any = None,
        momentum: float = 0.0,
    ) -> tuple[Any, Any, Any]:
        """y, μ in float64 and 1/σ, the last two (N, G, 1, 1)."""
        GroupNorm.check(x, weight, bias, groups, eps, running_mean, running_var)
        by_group = GroupNorm.by_group(x, groups)
        difference, mean, variance = moments(by_group, (2, 3))  # the last two (N, G, 1, 1)
        inverse = inverse_of(variance, eps, x.dtype)
        y = scaled(difference * inverse, *(GroupNorm.parameter(p, groups) for p in (weight, bias)))
        if running_mean is not None and x.size:
            _update(running_mean, momentum, mean_of(mean, (0,)).reshape(-1))
            _update(running_var, momentum, mean_of(variance, (0,)).reshape(-1) * _unbiased(math.prod(x.shape[2:])))
        return y.reshape(x.shape), mean, inverse

    @staticmethod
    def keep(ctx: Any, result: Any, x: Any, weight: Any, bias: Any, groups: int, eps: float, *running: Any) -> Any:
        y, mean, inverse = result
        ctx.saved, ctx.options = (x, weight, mean, inverse), (groups, eps)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x, weight, mean, inverse), (groups, eps) = ctx.saved, ctx.options
        by_group = GroupNorm.by_group(x, groups)
        if isinstance(dy, Variable):
            difference, _, variance = moments(by_group, (2, 3))
            inverse = inverse_of(variance, eps, inverse.dtype)
        else:
            difference = deviations(by_group, mean)
        x_hat, dy, weight = difference * inverse, GroupNorm.by_group(dy, groups), GroupNorm.parameter(weight, groups)
        dx, d_weight, d_bias = _gradients(ctx.needs, dy, x_hat, inverse, weight, (2, 3), (0, 3))
        return dx if dx is None else dx.reshape(x.shape), d_weight, d_bias

    @staticmethod
    def by_group(x: Any, groups: int) -> Any:
        """(N, C, …) → (N, G, C/G, places)."""
        return x.reshape((x.shape[0], groups, x.shape[1] // max(groups, 1), math.prod(x.shape[2:])))

    @staticmethod
    def parameter(p: Any, groups: int) -> Any:
        """(C) → (1, G, C/G, 1)."""
        return None if p is None else p.reshape((1, groups, p.shape[0] // max(groups, 1), 1))

    @staticmethod
    def check(
        x: Any,
        weight: Any,
        bias: Any,
        groups: int,
        eps: float,
        running_mean: Any = None,
        running_var: Any = None,
        momentum: float = 0.0,
    ) -> None:
        check_channels(
            "group_norm" if running_mean is None else "instance_norm", x, running_mean, running_var, weight, bias
        )


class LayerNorm(Op, kernel="normalization.sample.layer_norm"):
    """y = γ x̂ + β, μ and σ over the last axes, whose sizes are ``shape``; γ and β have that shape.

    Backward: see the module's docstring.
    """

    @staticmethod
    def compute(x: Any, weight: Any, bias: Any, shape: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
        """y, μ in float64 and 1/σ, the last two (rows, 1)."""
        LayerNorm.check(x, weight, bias, shape, eps)
        rows = rows_of(x, shape)
        difference, mean, variance = moments(rows, (1,))  # the last two (rows, 1)
        inverse = inverse_of(variance, eps, x.dtype)
        y = scaled(difference * inverse, *(p if p is None else p.reshape(-1) for p in (weight, bias)))
        return y.reshape(x.shape), mean, inverse

    @staticmethod
    def keep(ctx: Any, result: Any, x: Any, weight: Any, bias: Any, shape: tuple[int, ...], eps: float) -> Any:
        y, mean, inverse = result
        ctx.saved, ctx.options = (x, weight, mean, inverse), (shape, eps)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x, weight, mean, inverse), (shape, eps) = ctx.saved, ctx.options
        rows = rows_of(x, shape)
        if isinstance(dy, Variable):
            difference, _, variance = moments(rows, (1,))
            inverse = inverse_of(variance, eps, inverse.dtype)
        else:
            difference = deviations(rows, mean)
        weight = weight if weight is None else weight.reshape(-1)
        grads = _gradients(ctx.needs, rows_of(dy, shape), difference * inverse, inverse, weight, (1,), (0,))
        shapes = x.shape, shape, shape
        return tuple(g if g is None else g.reshape(s) for g, s in zip(grads, shapes, strict=True))

    @staticmethod
    def check(x: Any, weight: Any, bias: Any, shape: tuple[int, ...], eps: float) -> None:
        check_trailing("layer_norm", x, shape, weight=weight, bias=bias)


# --- the functions users call ----------------------------------------------------------------------------------------


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    _ops: Any = (BatchNorm, BatchNormEval),
) -> Any:
    """y = (x − μ)/√(σ² + ε) · weight + bias for x (N, C, …), with one μ and σ² per channel.

    In training they are the batch's own, taken over all axes but C, and ``running_mean`` and ``running_var`` (C), if
    given, change in place: running ← (1 − momentum) · running + momentum · batch's, the variance with n − 1. Otherwise
    μ and σ² are the running ones. Source: Ioffe and Szegedy 2015; torch.nn.functional.batch_norm.

    Raises:
        ShapeError: a parameter that does not have one number per channel.
        ValueError: one value per channel, or an ``eps`` that is not positive, in training; no running statistics
            outside it.
    """
    if not isinstance(input, Variable) or input._array.dtype.kind != "f":
        require_floating(input, "batch_norm")
    for p in (running_mean, running_var, weight, bias):
        if p is not None and not isinstance(p, Variable):
            check_tensors("batch_norm", running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if (running_mean is None) is not (running_var is None):
        raise ValueError("batch_norm: running_mean and running_var must be given both or not at all")
    x = input._array
    if x.dtype == HALF:
        return in_single(
            lambda x, w, b: batch_norm(x, running_mean, running_var, w, b, training, momentum, eps, _ops),
            input,
            weight,
            bias,
        )
    if x.shape == (0,):  # PyTorch lets it pass, without channels
        return input.clone()
    mean, var = (None, None) if running_mean is None else (running_mean._array, running_var._array)
    if not training:
        if mean is None:
            raise ValueError("batch_norm: training=False needs running_mean and running_var")
        return _ops[1].apply(input, weight, bias, mean, var, eps)
    if x.ndim > 1 and x.size == x.shape[1]:
        more_than_one("batch_norm", x.shape, x.size // max(x.shape[1], 1), "channel")
    if eps <= 0:
        raise ValueError(f"batch_norm: eps must be positive in training, got {eps}")
    y = _ops[0].apply(input, weight, bias, mean, var, momentum, eps)
    if mean is not None:
        running_mean._version[0] += 1
        running_var._version[0] += 1
    return y


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """y = (x − μ)/√(σ² + ε) · weight + bias, with μ and σ² over the last axes, whose sizes are ``normalized_shape``.

    x (…, *normalized_shape); weight and bias have ``normalized_shape``. Source: Ba et al. 2016;
    torch.nn.functional.layer_norm.

    Raises:
        ShapeError: the last axes of x, the weight or the bias are not of ``normalized_shape``.
    """
    if not isinstance(input, Variable) or input._array.dtype.kind != "f":
        require_floating(input, "layer_norm")
    check_tensors("layer_norm", weight=weight, bias=bias)
    shape = trailing_shape("layer_norm", normalized_shape)
    if input._array.dtype == HALF:
        return in_single(lambda x, w, b: layer_norm(x, shape, w, b, eps), input, weight, bias)
    return LayerNorm.apply(input, weight, bias, shape, eps)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """y = (x − μ)/√(σ² + ε) · weight + bias for x (N, C, …), with μ and σ² over C/num_groups channels of a sample.

    weight and bias (C). Source: Wu and He 2018; torch.nn.functional.group_norm.

    Raises:
        ShapeError: weight or bias do not have one number per channel.
        ValueError: ``num_groups`` does not divide C; one value per group in a batch of one.
    """
    require_floating(input, "group_norm")
    check_tensors("group_norm", weight=weight, bias=bias)
    x = input._array
    if x.ndim > 1:
        channel_groups("group_norm", x.shape[1], num_groups)
        more_than_one("group_norm", x.shape, x.size // num_groups, "group")
    if x.dtype == HALF:
        return in_single(lambda x, w, b: group_norm(x, num_groups, w, b, eps), input, weight, bias)
    return GroupNorm.apply(input, weight, bias, num_groups, eps, None, None, 0.0)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """y = (x − μ)/√(σ² + ε) · weight + bias for x (N, C, places …), with μ and σ² over the places of one channel of one
    sample.

    Running statistics (C), if given, move as in :func:`batch_norm`, by the samples' mean; with
    ``use_input_stats=False`` they are used instead. Source: Ulyanov et al. 2016; torch.nn.functional.instance_norm.

    Raises:
        ShapeError: a parameter that does not have one number per channel.
        ValueError: one place per channel; ``use_input_stats=False`` without running statistics.
    """
    require_floating(input, "instance_norm")
    check_tensors("instance_norm", running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if (running_mean is None) is not (running_var is None):
        raise ValueError("instance_norm: running_mean and running_var must be given both or not at all")
    if not use_input_stats:
        if running_mean is None:
            raise ValueError("instance_norm: use_input_stats=False needs running_mean and running_var")
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    x = input._array
    if x.ndim > 1:
        more_than_one("instance_norm", x.shape, math.prod(x.shape[2:]), "channel of a sample")
    if x.dtype == HALF:
        return in_single(
            lambda x, w, b: instance_norm(x, running_mean, running_var, w, b, True, momentum, eps), input, weight, bias
        )
    mean, var = (None, None) if running_mean is None else (running_mean._array, running_var._array)
    y = GroupNorm.apply(input, weight, bias, x.shape[1] if x.ndim > 1 else 1, eps, mean, var, momentum)
    if running_mean is not None:
        running_mean._version[0] += 1
        running_var._version[0] += 1
    return y
