"""The functions between layers. Each is element-wise except softmax, whose outputs share one sum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.op import Op, keep_input, keep_output
from ..autograd.variable import Variable, namespace
from ..errors import DtypeError, ShapeError
from .common import HALF, applied, axis_of, cast, floating, in_single, promote, select, sum_to, tensor_of
from .elementwise import Erfc, erfc_array, tanh  # noqa: F401  (tanh is an activation too)
from .sums import total


def sigmoid_of(x: Any) -> Any:
    """σ(x) of an array or Tensor, for arrays as e^min(x, 0) / (1 + e^−|x|), whose exponentials never overflow."""
    if isinstance(x, Variable):
        return Sigmoid.apply(x)
    return np.exp(np.minimum(x, 0)) / (1.0 + np.exp(-abs(x)))


class ReLU(Op, kernel="pointwise.activation.relu"):
    """y = max(x, 0).   dx = 0 where x ≤ 0 (also at the kink x = 0, as in PyTorch), else dy, also where x is NaN."""

    @staticmethod
    def compute(x: Any) -> Any:
        return np.maximum(x, 0)

    keep = staticmethod(keep_output)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return select(~(y <= 0), dy)


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


class Sigmoid(Op, kernel="pointwise.activation.sigmoid"):
    """y = σ(x) = 1 / (1 + e⁻ˣ).   dy/dx = e⁻ˣ / (1 + e⁻ˣ)² = y (1 − y), so dx = dy y (1 − y)."""

    @staticmethod
    def compute(x: Any) -> Any:
        return sigmoid_of(x)

    keep = staticmethod(keep_output)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved
        return dy * y * (1.0 - y)


class SiLU(Op, kernel="pointwise.activation.silu"):
    """y = x σ(x).   dy/dx = σ + x σ (1 − σ) = σ (1 + x (1 − σ)).   Elfwing et al. 2017.

    From x = −1000 on σ is 0 in every dtype, and so is y: x stops there, since −∞ · 0 is no number.
    """

    @staticmethod
    def compute(x: Any) -> Any:
        return np.maximum(x, -1000) * sigmoid_of(x)

    keep = staticmethod(keep_input)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return SiLU.gradient(dy, *ctx.saved)

    @staticmethod
    def gradient(dy: Any, x: Any) -> Any:
        xp = namespace(dy)
        s = sigmoid_of(x)
        return dy * s * (1.0 + xp.minimum(xp.maximum(x, -1000.0), 1000.0) * (1.0 - s))


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


class GELU(Op, kernel="pointwise.activation.gelu"):
    """y = x Φ(x), Φ(x) = erfc(−x/√2) / 2 the normal distribution.   dy/dx = Φ(x) + x φ(x), φ(x) = e^(−x²/2)/√2π.

    Beyond ±100 both factors are 0 or 1 in every dtype: x stops there, since ∞ · 0 is no number.

    Hendrycks & Gimpel 2016.
    """

    @staticmethod
    def compute(x: Any) -> Any:
        return np.maximum(x, -100) * normal_cdf(x)

    keep = staticmethod(keep_input)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        xp = namespace(dy)
        x = xp.minimum(xp.maximum(x, -100.0), 100.0)
        return dy * (normal_cdf(x) + x * xp.exp(-0.5 * x * x) * (1.0 / math.sqrt(2.0 * math.pi)))


def normal_cdf(x: Any) -> Any:
    """Φ(x) of an array or Tensor. (1 + erf(x/√2))/2 would lose its digits for x < 0, where erf is close to −1."""
    z = x * -math.sqrt(0.5)
    return 0.5 * (Erfc.apply(z) if isinstance(z, Variable) else erfc_array(z))


class GELUTanh(Op):
    """y = x/2 (1 + tanh u), u = √(2/π) (x + 0.044715 x³): GELU without erf.

    (1 + tanh u)/2 = 1 / (1 + e^(−2u)) = σ(2u), which keeps its digits where tanh is close to −1. So with v = 2u

        y = x σ(v),   dy/dx = σ + x σ (1 − σ) v′,   v′ = √(8/π) (1 + 3 · 0.044715 x²).

    Beyond ±100 σ is 0 or 1 in every dtype: x stops there, since its powers would overflow and ∞ · 0 is no number.
    """

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        return np.maximum(x, -100) * sigmoid_of(GELUTanh._inner(np.minimum(np.maximum(x, -100), 100)))

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        xp = namespace(dy)
        x = xp.minimum(xp.maximum(x, -100.0), 100.0)
        s = sigmoid_of(GELUTanh._inner(x))
        dv = math.sqrt(8.0 / math.pi) * (1.0 + 3.0 * 0.044715 * x * x)
        return dy * (s + x * s * (1.0 - s) * dv)

    @staticmethod
    def _inner(x: Any) -> Any:
        return math.sqrt(8.0 / math.pi) * (x + 0.044715 * x * x * x)


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
    """y = min(max(x, low), high).   dx = 0 where x ≤ low or x ≥ high (also at the kinks, as in PyTorch), else dy, also
    where x is NaN."""

    @staticmethod
    def forward(ctx: Any, x: Any, low: float, high: float) -> Any:
        ctx.saved = (~((x <= low) | (x >= high)),)
        return np.minimum(np.maximum(x, low), high)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (inside,) = ctx.saved
        return select(inside, dy)


class Hardswish(Op):
    """y = x · min(max(x + 3, 0), 6) / 6.   dy/dx = 0 for x ≤ −3, 1 for x ≥ 3, (2x + 3)/6 between.   Howard 2019."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = (x,)
        return np.maximum(x, -3) * (np.minimum(np.maximum(x + 3.0, 0), 6) * (1.0 / 6.0))

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return select(~(x <= -3.0), dy * namespace(dy).where(x >= 3.0, 1.0, (2.0 * x + 3.0) * (1.0 / 6.0)))


class Hardsigmoid(Op):
    """y = min(max(x + 3, 0), 6) / 6.   dx = dy / 6 where −3 < x < 3, else 0."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.saved = ((x > -3.0) & (x < 3.0),)
        return np.minimum(np.maximum(x + 3.0, 0), 6) * (1.0 / 6.0)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (inside,) = ctx.saved
        return select(inside, dy * (1.0 / 6.0))


class PReLU(Op):
    """y = x where x > 0, else w x, w trainable.   dx = dy where x > 0, else w dy;   dw = 0 where x > 0, else dy x."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any) -> Any:
        ctx.saved = x, w
        return np.where(x > 0, x, w * x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, w = ctx.saved
        positive = x > 0
        return (
            dy * namespace(dy).where(positive, 1.0, w) if ctx.needs(0) else None,
            sum_to(select(~positive, dy * x), w.shape) if ctx.needs(1) else None,
        )


def softmax_of(x: Any, axis: int) -> Any:
    """softmax of an array or Tensor."""
    return Softmax.apply(x, axis) if isinstance(x, Variable) else _softmax(x, x.max(axis=axis, keepdims=True), axis)


def _softmax(x: Any, largest: Any, axis: int) -> Any:
    """The maximum is taken off first, which changes nothing but the overflow. NaN where all scores are −∞."""
    with np.errstate(all="ignore"):
        e = np.exp(x - largest)
        return e / total(e, axis, True)


class Softmax(Op, kernel="pointwise.softmax.softmax"):
    """yᵢ = e^xᵢ / Σⱼ e^xⱼ along an axis.

    ∂yᵢ/∂xⱼ = yᵢ ([i = j] − yⱼ), so dxⱼ = Σᵢ dyᵢ yᵢ ([i = j] − yⱼ) = yⱼ (dyⱼ − Σᵢ dyᵢ yᵢ).

    A score of −∞ is left out. Where all are (a row of attention that is masked as a whole), y is 0/0, NaN as in
    PyTorch, but no score has a part in it: dx = 0.
    """

    @staticmethod
    def compute(x: Any, axis: int) -> tuple[Any, Any]:
        """y, and the largest score of each row."""
        largest = x.max(axis=axis, keepdims=True)
        return _softmax(x, largest, axis), largest

    @staticmethod
    def keep(ctx: Any, result: Any, x: Any, axis: int) -> Any:
        ctx.saved, ctx.options = result, (axis,)
        return result[0]

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y, largest), (axis,) = ctx.saved, ctx.options
        dx = y * (dy - total(dy * y, axis, True))
        return select(largest != -np.inf, dx)


def log_softmax_of(x: Any, axis: int) -> Any:
    """ln softmax of an array or Tensor."""
    if isinstance(x, Variable):
        return LogSoftmax.apply(x, axis)
    return _log_softmax(x, x.max(axis=axis, keepdims=True), axis)


def _log_softmax(x: Any, largest: Any, axis: int) -> Any:
    with np.errstate(all="ignore"):
        shifted = x - largest
        return shifted - np.log(total(np.exp(shifted), axis, True))


class LogSoftmax(Op, kernel="pointwise.softmax.log_softmax"):
    """yᵢ = xᵢ − ln Σⱼ e^xⱼ along an axis.   ∂yᵢ/∂xⱼ = [i = j] − e^yⱼ, so dxⱼ = dyⱼ − e^yⱼ Σᵢ dyᵢ.

    Where all scores are −∞, y is NaN and dx = 0, as in :class:`Softmax`.
    """

    @staticmethod
    def compute(x: Any, axis: int) -> tuple[Any, Any]:
        """y, and the largest score of each row."""
        largest = x.max(axis=axis, keepdims=True)
        return _log_softmax(x, largest, axis), largest

    keep = staticmethod(Softmax.keep)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y, largest), (axis,) = ctx.saved, ctx.options
        dx = dy - namespace(dy).exp(y) * total(dy, axis, True)
        return select(largest != -np.inf, dx)


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
    return _in_place("elu_", input, applied(ELU, floating(input, "elu"), float(alpha)), inplace)


def sigmoid(input: Any) -> Any:
    """1 / (1 + e⁻ˣ)."""
    return applied(Sigmoid, floating(input, "sigmoid"))


def silu(input: Any, inplace: bool = False) -> Any:
    """x σ(x), also called Swish."""
    return _in_place("silu_", input, applied(SiLU, floating(input, "silu")), inplace)


def swish(input: Any, beta: Any = 1.0) -> Any:
    """x σ(βx); ``beta`` a number, or a tensor (broadcast to x) that may be trained."""
    x = floating(input, "swish")
    if not isinstance(beta, Variable):
        return silu(x) if beta == 1 else mul_sigmoid(x, float(beta))
    beta = cast(beta, x._array.dtype)
    return in_single(Swish.apply, x, beta) if x._array.dtype == HALF else Swish.apply(x, beta)


def mul_sigmoid(x: Any, beta: float) -> Any:
    """x σ(βx) for a fixed β."""
    return x * sigmoid(x * beta)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x Φ(x), exactly or, with ``approximate="tanh"``, by its tanh formula."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return applied(GELU if approximate == "none" else GELUTanh, floating(input, "gelu"))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^βx)/β; x itself where βx > threshold."""
    return applied(Softplus, floating(input, "softplus"), float(beta), float(threshold))


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x · min(max(x + 3, 0), 6) / 6."""
    return _in_place("hardswish_", input, applied(Hardswish, floating(input, "hardswish")), inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """min(max(x, min_val), max_val); integers stay integers."""
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} must not be greater than max_val {max_val}")
    kind = tensor_of(input, "hardtanh")._array.dtype.kind
    if kind == "b" or (kind == "u" and min_val < 0):
        raise DtypeError(f"hardtanh: {input.dtype} does not reach from {min_val} to {max_val}; use .float()")
    low, high = (min_val, max_val) if kind == "f" else (int(min_val), int(max_val))
    return _in_place("hardtanh_", input, Hardtanh.apply(input, low, high), inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """min(max(x + 3, 0), 6) / 6."""
    return _in_place("hardsigmoid_", input, applied(Hardsigmoid, floating(input, "hardsigmoid")), inplace)


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
    return applied(Softmax, x, d) if x._array.ndim else applied(Softmax, x.reshape(1), 0).reshape(())


def log_softmax(input: Any, dim: Any = None, dtype: Any = None, *, axis: Any = None) -> Any:
    """ln softmax(x) along ``dim``, computed as x − ln Σ eˣ, exact where softmax underflows."""
    d = _softmax_axis(input, dim if axis is None else axis, "log_softmax")
    x = floating(input, "log_softmax") if dtype is None else input.to(dtype)
    if not x._array.size:
        return x.clone()
    return applied(LogSoftmax, x, d) if x._array.ndim else applied(LogSoftmax, x.reshape(1), 0).reshape(())


def glu(input: Any, dim: int = -1) -> Any:
    """a σ(b) for the halves a, b of ``input`` along ``dim``."""
    a, b = tensor_of(input, "glu").chunk(2, dim)
    if a._array.shape != b._array.shape:
        raise ShapeError(f"glu: axis {dim} of shape {input._array.shape} has an odd size")
    return a * sigmoid(b)


def prelu(input: Any, weight: Any) -> Any:
    """x where x > 0, else w x with a trainable w: one number, or one per channel (axis 1). He et al. 2015."""
    x, w = promote(tensor_of(input, "prelu"), tensor_of(weight, "prelu", "weight"))
    if w._array.size == 1:
        w = w.reshape(())
    else:
        channels = x._array.shape[1] if x._array.ndim > 1 else 1
        if w._array.shape != (channels,):
            raise ShapeError(
                f"prelu: weight has shape {w._array.shape}, expected (1,) or one per channel, ({channels},)"
            )
        w = w.reshape(*[channels if i == 1 else 1 for i in range(x._array.ndim)])
    return PReLU.apply(x, w)
