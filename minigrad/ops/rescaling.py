"""Normalizations that only rescale: no mean is subtracted.

RMS norm divides by the root of the mean square of a row, local response norm by a power of the mean square of the
neighbouring channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from ..errors import ShapeError
from .common import DOUBLE, HALF, in_dtype, in_single, require_floating
from .normalization import inverse_of, mean_of, rows_of, scaled
from .normalization_checks import check_tensors, check_trailing, trailing_shape
from .sums import total


class RMSNorm(Op, kernel="normalization.sample.rms_norm"):
    """y = γ x̂, x̂ = x/r, r = √(mean(x²) + ε), the mean over the last axes, whose sizes are ``shape``.

    There is no mean to subtract, so of the three ways through which x acts two are left: through itself, g/r, and
    through r. ∂x̂ⱼ/∂r = −x̂ⱼ/r and ∂r/∂xᵢ = (1/2r)(2/n) xᵢ = x̂ᵢ/n give −(1/r) x̂ᵢ mean(g x̂):
    dx = (g − x̂ mean(g x̂)) / r.   Zhang and Sennrich 2019.
    """

    @staticmethod
    def compute(x: Any, weight: Any, shape: tuple[int, ...], eps: float) -> tuple[Any, Any]:
        """y, and 1/r of each row."""
        RMSNorm.check(x, weight, shape, eps)
        rows = rows_of(x, shape)
        inverse = RMSNorm.inverse(rows, eps, x.dtype)  # (rows, 1)
        y = scaled(rows * inverse, weight if weight is None else weight.reshape(-1), None)
        return y.reshape(x.shape), inverse

    @staticmethod
    def keep(ctx: Any, result: Any, x: Any, weight: Any, shape: tuple[int, ...], eps: float) -> Any:
        y, inverse = result
        ctx.saved, ctx.options = (x, weight, inverse), (shape, eps)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x, weight, inverse), (shape, eps) = ctx.saved, ctx.options
        rows, dy = rows_of(x, shape), rows_of(dy, shape)
        if isinstance(dy, Variable):
            inverse = RMSNorm.inverse(rows, eps, inverse.dtype)
        x_hat = rows * inverse
        dx = None
        if ctx.needs(0):
            g = dy if weight is None else dy * weight.reshape(-1)
            dx = ((g - x_hat * mean_of(g * x_hat, (1,))) * inverse).reshape(x.shape)
        return dx, total(dy * x_hat, 0).reshape(shape) if ctx.needs(1) else None

    @staticmethod
    def inverse(rows: Any, eps: float, dtype: Any) -> Any:
        """1/r; the squares, which soon overflow in float32, in float64."""
        wide = in_dtype(rows, DOUBLE)
        return inverse_of(mean_of(wide * wide, (1,)), eps, dtype)

    @staticmethod
    def check(x: Any, weight: Any, shape: tuple[int, ...], eps: float) -> None:
        check_trailing("rms_norm", x, shape, weight=weight)


class NeighbourSums(Op):
    """y_c = Σ x_j over the channels j = c − before … c + after, as far as they exist:  (N, C, …) → (N, C, …).

    x_j is part of y_c for c = j − after … j + before: the rule is the same op with the two exchanged.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, before: int, after: int) -> Any:
        ctx.reach = before, after
        y, channels = namespace(x).zeros_like(x), x.shape[1]
        for step in range(max(-before, 1 - channels), min(after, channels - 1) + 1):
            low, high = max(-step, 0), channels - max(step, 0)  # of the c that have a channel c + step
            y[:, low:high] += x[:, low + step : high + step]
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        before, after = ctx.reach
        return neighbour_sums(dy, after, before)


def neighbour_sums(x: Any, before: int, after: int) -> Any:
    """:class:`NeighbourSums` of an array or a Tensor."""
    if isinstance(x, Variable):
        return NeighbourSums.apply(x, before, after)
    return NeighbourSums.forward(Op(), x, before, after)


class LocalResponseNorm(Op):
    """y = x s^−β with s_c = k + (α/m) Σ x_j², j over the m channels around c: a loud channel quiets its neighbours.

    x_j acts through its own y and through s of all channels that it is near to:

        dx = dy s^−β + Σ ds_c · (α/m) 2x,   where  ds = −β dy x s^(−β−1)  and the sum is over these channels c.

    Krizhevsky et al. 2012.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
        ctx.reach, ctx.options, ctx.saved = (size // 2, (size - 1) // 2), (alpha / size, beta, k), (x,)
        return x * LocalResponseNorm.scale(ctx, x) ** -beta

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        (before, after), (share, beta, _) = ctx.reach, ctx.options
        s = LocalResponseNorm.scale(ctx, x)
        ds = dy * x * s ** (-beta - 1.0) * -beta
        return dy * s**-beta + neighbour_sums(ds, after, before) * x * (2.0 * share)

    @staticmethod
    def scale(ctx: Any, x: Any) -> Any:
        """s, in the shape of x."""
        share, _, k = ctx.options
        return neighbour_sums(x * x, *ctx.reach) * share + k


# --- the functions users call ----------------------------------------------------------------------------------------


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """y = x/√(mean(x²) + ε) · weight, the mean over the last axes, whose sizes are ``normalized_shape``.

    ``eps`` None: the smallest ε with 1 + ε ≠ 1 in x's dtype. Source: torch.nn.functional.rms_norm.

    Raises:
        ShapeError: the last axes of x, or the weight, are not of ``normalized_shape``.
    """
    require_floating(input, "rms_norm")
    check_tensors("rms_norm", weight=weight)
    shape = trailing_shape("rms_norm", normalized_shape)
    eps = float(np.finfo(input._array.dtype).eps) if eps is None else eps
    if input._array.dtype == HALF:
        return in_single(lambda x, w: rms_norm(x, shape, w, eps), input, weight)
    return RMSNorm.apply(input, weight, shape, eps)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """y = x / (k + alpha · mean of x² over ``size`` neighbouring channels)^beta for x (N, C, places …).

    Beyond the first and the last channel there are zeros, which count. Source: torch.nn.functional.local_response_norm.

    Raises:
        ShapeError: x has less than 3 axes.
        ValueError: ``size`` is not a positive integer.
    """
    require_floating(input, "local_response_norm")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"local_response_norm: size must be a positive integer, got {size!r}")
    if input._array.ndim < 3:
        raise ShapeError(
            f"local_response_norm: input must have at least 3 axes (N, C, places …), got shape {input._array.shape}"
        )
    if input._array.dtype == HALF:
        return in_single(lambda x: local_response_norm(x, size, alpha, beta, k), input)
    return LocalResponseNorm.apply(input, size, alpha, beta, k)
