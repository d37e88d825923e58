"""The functions between layers. Each is element-wise except softmax, whose outputs share one sum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.function import Op
from ..autograd.variable import Variable, namespace
from ..errors import ShapeError
from .common import axis_of, cast, floating, sum_to, tensor_of
from .elementwise import Erf, erf_array, tanh, where  # noqa: F401  (tanh is an activation too)


def sigmoid_of(x: Any) -> Any:
    """σ(x) of an array or Tensor, for arrays as e^min(x, 0) / (1 + e^−|x|), whose exponentials never overflow."""
    if isinstance(x, Variable):
        return Sigmoid.apply(x)
    return np.exp(np.minimum(x, 0)) / (1.0 + np.exp(-abs(x)))


class ReLU(Op, kernel="activation.relu"):
    """y = max(x, 0).   dx = dy where x > 0, else 0 (also at the kink x = 0, as in PyTorch)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = np.maximum(x, 0)
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy * (y > 0)


class LeakyReLU(Op):
    """y = x where x > 0, else slope · x.   dx = dy where x > 0, else slope · dy."""

    @staticmethod
    def forward(ctx: Any, x: Any, slope: float) -> Any:
        ctx.saved = (np.where(x > 0, x.dtype.type(1), x.dtype.type(slope)),)
        return x * ctx.saved[0]

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (slopes,) = ctx.saved
        return dy * slopes


class ELU(Op):
    """y = x where x > 0, else α (eˣ − 1).   dx = dy where x > 0, else dy · α eˣ.   Clevert et al. 2015."""

    @staticmethod
    def forward(ctx: Any, x: Any, alpha: float) -> Any:
        ctx.alpha, ctx.saved = alpha, (x,)
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * x.dtype.type(alpha))

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        xp = namespace(dy)
        return dy * xp.where(x > 0, 1.0, xp.exp(xp.minimum(x, 0.0)) * ctx.alpha)


class Sigmoid(Op, kernel="activation.sigmoid"):
    """y = σ(x) = 1 / (1 + e⁻ˣ).   dy/dx = e⁻ˣ / (1 + e⁻ˣ)² = y (1 − y), so dx = dy y (1 − y)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = sigmoid_of(x)
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy * y * (1.0 - y)


class SiLU(Op, kernel="activation.silu"):
    """y = x σ(x).   dy/dx = σ + x σ (1 − σ) = σ (1 + x (1 − σ)).   Elfwing et al. 2017."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        return x * sigmoid_of(x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        s = sigmoid_of(x)
        return dy * s * (1.0 + x * (1.0 - s))


class Swish(Op):
    """y = x σ(βx), β trainable.   dx = dy σ (1 + βx (1 − σ));   dβ = dy · x² σ (1 − σ), summed to β's shape.

    β = 0 gives x/2, β → ∞ gives ReLU, β = 1 SiLU.   Ramachandran et al. 2017.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, beta: Any) -> Any:
        ctx.saved = x, beta
        return x * sigmoid_of(beta * x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, beta = ctx.saved
        s = sigmoid_of(beta * x)
        dx = sum_to(dy * s * (1.0 + beta * x * (1.0 - s)), x.shape) if ctx.needs(0) else None
        db = sum_to(dy * x * x * s * (1.0 - s), beta.shape) if ctx.needs(1) else None
        return dx, db


class GELU(Op, kernel="activation.gelu"):
    """y = x Φ(x), Φ(x) = (1 + erf(x/√2)) / 2 the normal distribution.   dy/dx = Φ(x) + x φ(x), φ(x) = e^(−x²/2)/√2π.

    Hendrycks & Gimpel 2016.
    """

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        return x * (0.5 * (1.0 + erf_array(x * math.sqrt(0.5))))

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        xp = namespace(dy)
        z = x * math.sqrt(0.5)
        cdf = 0.5 * (1.0 + (Erf.apply(z) if isinstance(z, Variable) else erf_array(z)))
        return dy * (cdf + x * xp.exp(-0.5 * x * x) * (1.0 / math.sqrt(2.0 * math.pi)))


class GELUTanh(Op):
    """y = x/2 (1 + tanh u), u = √(2/π) (x + 0.044715 x³): GELU without erf.

    dy/dx = (1 + tanh u)/2 + x/2 (1 − tanh² u) · √(2/π) (1 + 3 · 0.044715 x²).
    """

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        return 0.5 * x * (1.0 + np.tanh(GELUTanh._inner(x)))

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        t = namespace(dy).tanh(GELUTanh._inner(x))
        du = math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * x * x)
        return dy * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * du)

    @staticmethod
    def _inner(x: Any) -> Any:
        return math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)


class Softplus(Op):
    """y = ln(1 + e^βx)/β, a smooth ReLU; x itself where βx exceeds the threshold.   dy/dx = σ(βx), and 1 there."""

    @staticmethod
    def forward(ctx: Any, x: Any, beta: float, threshold: float) -> Any:
        ctx.beta, ctx.threshold, ctx.saved = beta, threshold, (x,)
        z = x * beta
        soft = (np.maximum(z, 0) + np.log1p(np.exp(-abs(z)))) * (1.0 / beta)
        return np.where(z > threshold, x, soft)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        z = x * ctx.beta
        return dy * namespace(dy).where(z > ctx.threshold, 1.0, sigmoid_of(z))


class Hardtanh(Op):
    """y = min(max(x, low), high).   dx = dy where low < x < high, else 0 (also at the kinks, as in PyTorch)."""

    @staticmethod
    def forward(ctx: Any, x: Any, low: float, high: float) -> Any:
        ctx.saved = ((x > low) & (x < high),)
        return np.minimum(np.maximum(x, low), high)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (inside,) = ctx.saved
        return dy * inside


class Hardswish(Op):
    """y = x · min(max(x + 3, 0), 6) / 6.   dy/dx = 0 for x ≤ −3, 1 for x ≥ 3, (2x + 3)/6 between.   Howard 2019."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        return x * (np.minimum(np.maximum(x + 3.0, 0), 6) * (1.0 / 6.0))

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        xp = namespace(dy)
        return dy * xp.where(x <= -3.0, 0.0, xp.where(x >= 3.0, 1.0, (2.0 * x + 3.0) * (1.0 / 6.0)))


def softmax_of(x: Any, axis: int) -> Any:
    """softmax of an array or Tensor; the maximum is taken off first, which changes nothing but the overflow."""
    if isinstance(x, Variable):
        return Softmax.apply(x, axis)
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


class Softmax(Op, kernel="softmax.softmax"):
    """yᵢ = e^xᵢ / Σⱼ e^xⱼ along an axis.

    ∂yᵢ/∂xⱼ = yᵢ ([i = j] − yⱼ), so dxⱼ = Σᵢ dyᵢ yᵢ ([i = j] − yⱼ) = yⱼ (dyⱼ − Σᵢ dyᵢ yᵢ).
    """

    @staticmethod
    def forward(ctx: Any, x: Any, axis: int) -> Any:
        ctx.axis = axis
        y = softmax_of(x, axis)
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return y * (dy - (dy * y).sum(axis=ctx.axis, keepdims=True))


class LogSoftmax(Op, kernel="softmax.log_softmax"):
    """yᵢ = xᵢ − ln Σⱼ e^xⱼ along an axis.   ∂yᵢ/∂xⱼ = [i = j] − e^yⱼ, so dxⱼ = dyⱼ − e^yⱼ Σᵢ dyᵢ."""

    @staticmethod
    def forward(ctx: Any, x: Any, axis: int) -> Any:
        ctx.axis = axis
        shifted = x - x.max(axis=axis, keepdims=True)
        y = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy - namespace(dy).exp(y) * dy.sum(axis=ctx.axis, keepdims=True)


# --- the functions users call ----------------------------------------------------------------------------------------


def _in_place(name: str, input: Any, result: Any, inplace: bool) -> Any:
    return input._replace(result, name) if inplace else result


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0)."""
    if not isinstance(input, Variable):
        tensor_of(input, "relu")
    y = ReLU.apply(input)
    return _in_place("relu_", input, y, True) if inplace else y


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where x > 0, else negative_slope · x."""
    return _in_place(
        "leaky_relu_", input, LeakyReLU.apply(floating(input, "leaky_relu"), float(negative_slope)), inplace
    )


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (eˣ − 1)."""
    return _in_place("elu_", input, ELU.apply(floating(input, "elu"), float(alpha)), inplace)


def sigmoid(input: Any) -> Any:
    """1 / (1 + e⁻ˣ)."""
    return Sigmoid.apply(floating(input, "sigmoid"))


def silu(input: Any, inplace: bool = False) -> Any:
    """x σ(x), also called Swish."""
    return _in_place("silu_", input, SiLU.apply(floating(input, "silu")), inplace)


def swish(input: Any, beta: Any = 1.0) -> Any:
    """x σ(βx); ``beta`` a number, or a tensor (broadcast to x) that may be trained."""
    x = floating(input, "swish")
    if not isinstance(beta, Variable):
        return silu(x) if beta == 1 else mul_sigmoid(x, float(beta))
    return Swish.apply(x, cast(beta, x._array.dtype))


def mul_sigmoid(x: Any, beta: float) -> Any:
    """x σ(βx) for a fixed β."""
    return x * sigmoid(x * beta)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x Φ(x), exactly or, with ``approximate="tanh"``, by its tanh formula."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return (GELU if approximate == "none" else GELUTanh).apply(floating(input, "gelu"))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^βx)/β; x itself where βx > threshold."""
    return Softplus.apply(floating(input, "softplus"), float(beta), float(threshold))


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x · min(max(x + 3, 0), 6) / 6."""
    return _in_place("hardswish_", input, Hardswish.apply(floating(input, "hardswish")), inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """min(max(x, min_val), max_val)."""
    return _in_place("hardtanh_", input, Hardtanh.apply(floating(input, "hardtanh"), min_val, max_val), inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """min(max(x + 3, 0), 6) / 6."""
    y = Hardtanh.apply(floating(input, "hardsigmoid") + 3.0, 0.0, 6.0) / 6.0
    return _in_place("hardsigmoid_", input, y, inplace)


def logsigmoid(input: Any) -> Any:
    """ln σ(x) = −softplus(−x)."""
    return -softplus(-floating(input, "logsigmoid"), threshold=math.inf)


def _softmax_axis(input: Any, dim: Any, name: str) -> int:
    if dim is None:
        raise TypeError(
            f"{name}: dim is missing; say along which axis the outputs sum to 1 (classes are usually dim=1)"
        )
    return axis_of(dim, tensor_of(input, name)._array.ndim, name)


def softmax(input: Any, dim: Any = None, dtype: Any = None, *, axis: Any = None) -> Any:
    """e^x / Σ e^x along ``dim``: positive numbers that sum to 1."""
    d = _softmax_axis(input, dim if axis is None else axis, "softmax")
    x = floating(input, "softmax") if dtype is None else input.to(dtype)
    if not x._array.size:
        return x.clone()
    return Softmax.apply(x, d) if x._array.ndim else Softmax.apply(x.reshape(1), 0).reshape(())


def log_softmax(input: Any, dim: Any = None, dtype: Any = None, *, axis: Any = None) -> Any:
    """ln softmax(x) along ``dim``, computed as x − ln Σ eˣ, exact where softmax underflows."""
    d = _softmax_axis(input, dim if axis is None else axis, "log_softmax")
    x = floating(input, "log_softmax") if dtype is None else input.to(dtype)
    if not x._array.size:
        return x.clone()
    return LogSoftmax.apply(x, d) if x._array.ndim else LogSoftmax.apply(x.reshape(1), 0).reshape(())


def glu(input: Any, dim: int = -1) -> Any:
    """a σ(b) for the halves a, b of ``input`` along ``dim``."""
    a, b = tensor_of(input, "glu").chunk(2, dim)
    if a._array.shape != b._array.shape:
        raise ShapeError(f"glu: axis {dim} of shape {input._array.shape} has an odd size")
    return a * sigmoid(b)


def prelu(input: Any, weight: Any) -> Any:
    """x where x > 0, else w x with a trainable w: one number, or one per channel (axis 1). He et al. 2015."""
    x, w = tensor_of(input, "prelu"), tensor_of(weight, "prelu", "weight")
    if w._array.size != 1:
        channels = x._array.shape[1] if x._array.ndim > 1 else 1
        if w._array.shape != (channels,):
            raise ShapeError(
                f"prelu: weight has shape {w._array.shape}, expected (1,) or one per channel, ({channels},)"
            )
        w = w.reshape(*[channels if i == 1 else 1 for i in range(x._array.ndim)])
    return where(x > 0, x, w * x)
