"""Losses: one number that says how far outputs are from targets.

Every loss is a term per element and a reduction: "none" keeps the terms, "sum" adds them up, "mean" divides by their
count. With L = Σ l / n the chain rule gives d(term) = dL / n for each, which :func:`spread` does once for all.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.function import Op
from ..autograd.variable import Variable, namespace, wrap
from ..errors import DtypeError, ShapeError
from .activation import LogSoftmax, Softplus, log_softmax_of, sigmoid_of, softmax_of
from .common import (
    HALF,
    cast,
    fill,
    in_dtype,
    in_single,
    meet,
    require_floating,
    same_device,
    select,
    sum_to,
    tensor_of,
)
from .sums import accumulated, total


def reduce(terms: Any, reduction: str) -> Any:
    """Terms (an array) → the loss."""
    if reduction == "none":
        return terms
    with np.errstate(all="ignore"):
        return total(terms) if reduction == "sum" else _mean(terms)


def _mean(terms: Any) -> Any:
    s = accumulated(terms)
    return in_dtype(s / s.dtype.type(terms.size), terms.dtype)


def spread(dy: Any, shape: tuple[int, ...], reduction: str) -> Any:
    """The gradient of the loss → a factor for each term's derivative (a scalar where all are the same)."""
    if reduction == "mean":
        size = 1
        for n in shape:
            size *= n
        return dy * (1.0 / max(size, 1))
    return dy


class MSE(Op, kernel="loss.mse"):
    """l = (x − t)².   dx = 2 (x − t) · dl, dt = −dx."""

    @staticmethod
    def forward(ctx: Any, x: Any, t: Any, reduction: str) -> Any:
        ctx.reduction, ctx.saved = reduction, (x, t)
        d = x - t
        return reduce(d * d, reduction)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, t = ctx.saved
        d = x - t
        g = d * (spread(dy, d.shape, ctx.reduction) * 2.0)
        return sum_to(g, x.shape) if ctx.needs(0) else None, sum_to(-g, t.shape) if ctx.needs(1) else None


class L1(Op):
    """l = |x − t|.   dx = sign(x − t) · dl, dt = −dx; 0 where x = t."""

    @staticmethod
    def forward(ctx: Any, x: Any, t: Any, reduction: str) -> Any:
        ctx.reduction, ctx.saved = reduction, (x, t)
        return reduce(abs(x - t), reduction)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, t = ctx.saved
        d = x - t
        g = select(d != 0, namespace(dy).sign(d) * spread(dy, d.shape, ctx.reduction))
        return sum_to(g, x.shape) if ctx.needs(0) else None, sum_to(-g, t.shape) if ctx.needs(1) else None


class Huber(Op):
    """With d = x − t: l = d²/2 where |d| ≤ δ, else δ (|d| − δ/2).   dl/dx = d where |d| ≤ δ, else δ sign d: d clamped.

    Quadratic near the target, linear far from it, so an outlier pulls with force δ at most. Divided by ``unit``: by δ
    it is the smooth L1 loss.   Huber 1964.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, t: Any, delta: float, unit: float, reduction: str) -> Any:
        ctx.delta, ctx.unit, ctx.reduction, ctx.saved = delta, unit, reduction, (x, t)
        with np.errstate(all="ignore"):
            d = abs(x - t)
            return reduce(np.where(d <= delta, 0.5 * d * (d / unit), (delta / unit) * (d - 0.5 * delta)), reduction)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, t = ctx.saved
        d = x - t
        g = d.clip(-ctx.delta, ctx.delta) / ctx.unit * spread(dy, d.shape, ctx.reduction)
        return sum_to(g, x.shape) if ctx.needs(0) else None, sum_to(-g, t.shape) if ctx.needs(1) else None


class BCE(Op, kernel="loss.bce"):
    """l = −(t ln x + (1 − t) ln(1 − x)), logarithms cut off at −100.

    dl/dx = −t/x + (1 − t)/(1 − x) = (x − t) / (x (1 − x)), the denominator kept above 1e-12 as PyTorch does;
    dl/dt = ln(1 − x) − ln x.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, t: Any, reduction: str) -> Any:
        BCE.check(x, t, reduction)
        ctx.reduction, ctx.saved = reduction, (x, t)
        log_x, log_1x = BCE._logs(x)
        return reduce(-(t * log_x + (1.0 - t) * log_1x), reduction)

    @staticmethod
    def check(x: Any, t: Any, reduction: str) -> None:
        hints = ("put a sigmoid before it or use binary_cross_entropy_with_logits", "classes are 0 and 1")
        for what, a, hint in zip(("input", "target"), (x, t), hints, strict=True):
            if not bool(((a >= 0) & (a <= 1)).all()):  # false for a NaN too
                got = "NaN" if bool((a != a).any()) else f"values from {float(a.min())} to {float(a.max())}"
                raise ValueError(
                    f"binary_cross_entropy: {what} must be probabilities between 0 and 1, got {got}; {hint}"
                )

    @staticmethod
    def _logs(x: Any) -> tuple[Any, Any]:
        """(ln x, ln(1 − x)), the latter without forming 1 − x, in which a small x would be lost."""
        xp = namespace(x)
        with np.errstate(divide="ignore"):
            return xp.log(x).clip(-100.0, None), xp.log1p(-x).clip(-100.0, None)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, t = ctx.saved
        g = spread(dy, x.shape, ctx.reduction)
        dx = g * ((x - t) / (x * (1.0 - x)).clip(1e-12, None)) if ctx.needs(0) else None
        if not ctx.needs(1):
            return dx, None
        log_x, log_1x = BCE._logs(x)
        return dx, g * (log_1x - log_x)


def softplus_of(z: Any) -> Any:
    """ln(1 + eᶻ) of an array or Tensor."""
    if isinstance(z, Variable):
        return Softplus.apply(z, 1.0, float("inf"))
    return np.maximum(z, 0) + np.log1p(np.exp(-abs(z)))


class BCEWithLogits(Op, kernel="loss.bce_with_logits"):
    """l = −(w t ln σ(x) + (1 − t) ln(1 − σ(x))), w = pos_weight.

    With ln σ(x) = −softplus(−x) and ln(1 − σ) = −x − softplus(−x):  l = (1 − t) x + (1 + (w − 1) t) softplus(−x), and
    softplus(−x) = max(−x, 0) + ln(1 + e^−|x|) never overflows. For x < 0 the two multiples of x are −w t x together:
    added up as they are, nothing would be left of a small loss.   dl/dx = (1 − t) − (1 + (w − 1) t)(1 − σ(x)), which
    for w = 1 is the well-known σ(x) − t.   dl/dt = −x + (w − 1) softplus(−x).
    """

    @staticmethod
    def forward(ctx: Any, x: Any, t: Any, w: Any, reduction: str) -> Any:
        ctx.reduction, ctx.saved = reduction, (x, t, w)
        with np.errstate(all="ignore"):
            tail = np.log1p(np.exp(-abs(x)))
            positive = t if w is None else w * t
            linear = x * np.where(x < 0, -positive, 1.0 - t)
            return reduce(linear + (tail if w is None else (1.0 + (w - 1.0) * t) * tail), reduction)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, t, w = ctx.saved
        g = spread(dy, x.shape, ctx.reduction)
        dx = dt = None
        if ctx.needs(0):
            s = sigmoid_of(x)
            dx = g * (s - t if w is None else (1.0 - t) - (1.0 + (w - 1.0) * t) * (1.0 - s))
        if ctx.needs(1):
            dt = g * (-x if w is None else (w - 1.0) * softplus_of(-x) - x)
        return dx, dt


class NLL(Op):
    """l = −wₜ xₜ: minus the log-probability x at the target class t, weighted.   dx = −wₜ dl there, 0 elsewhere.

    x (N, C), t (N). The mean divides by Σ wₜ; a target equal to ``ignore_index`` has weight 0. Where all weights are 0
    the mean is 0/0, NaN as in PyTorch, but no x has a part in it: dx = 0.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, t: Any, w: Any, ignore: int, reduction: str) -> Any:
        xp = namespace(x)
        used = t != ignore
        rows, classes = xp.arange(x.shape[0]), xp.where(used, t, 0)
        weights = used * (x.dtype.type(1) if w is None else w[classes])
        ctx.places, ctx.shape, ctx.reduction = (rows, classes), x.shape, reduction
        with np.errstate(all="ignore"):
            terms = xp.where(weights == 0, x.dtype.type(0), -x[rows, classes] * weights)
            sum_of_weights = accumulated(weights)
            share = in_dtype(weights / sum_of_weights, x.dtype) if reduction == "mean" else weights
            ctx.saved = weights, share
            if reduction == "none":
                return terms
            return in_dtype(accumulated(terms) / sum_of_weights, x.dtype) if reduction == "mean" else total(terms)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        weights, share = ctx.saved
        terms = namespace(dy).where(weights == 0, 0.0, -dy * share)  # (N,), or dy a scalar; a share may be 0/0
        if isinstance(dy, Variable):
            return namespace(dy).put_at(terms, ctx.places, ctx.shape)
        dx = namespace(weights).zeros(ctx.shape, dtype=weights.dtype)
        dx[ctx.places] = terms
        return dx


class CrossEntropy(Op, kernel="softmax.cross_entropy"):
    """l = −Σ_c q_c ln p_c with p = softmax(x): x (N, C) scores, q a class index per row (N) or a distribution (N, C).

    Through log-softmax, ∂l/∂x_c = p_c Σ q − q_c, and with Σ q = 1 that is p − q: what was predicted minus what is.
    dq_c = −ln p_c.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, q: Any, reduction: str) -> Any:
        ctx.reduction, ctx.saved = reduction, (x, q)
        y = LogSoftmax.forward(Op(), x, 1)
        terms = -y[namespace(x).arange(x.shape[0]), q] if q.ndim == 1 else -total(q * y, 1)
        return reduce(terms, reduction)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, q = ctx.saved
        g = spread(dy, x.shape[:1], ctx.reduction)
        if ctx.reduction == "none":
            g = g.reshape((-1, 1))  # (N) → (N, 1)
        p = softmax_of(x, 1)
        if q.ndim == 1:
            return g * (p - one_hot_like(x, q)), None
        dx = g * (p * total(q, 1, True) - q) if ctx.needs(0) else None
        return dx, -g * log_softmax_of(x, 1) if ctx.needs(1) else None  # not ln p: p of a small score is 0


def one_hot_like(x: Any, classes: Any) -> Any:
    """A constant array of x's shape and dtype with 1 at each row's class."""
    x = x._array if isinstance(x, Variable) else x
    classes = classes._array if isinstance(classes, Variable) else classes
    q = namespace(x).zeros(x.shape, dtype=x.dtype)
    q[namespace(x).arange(x.shape[0]), classes] = 1
    return q


class KLDiv(Op):
    """l = p (ln p − x), x the log of the model's probability: Σ l is the divergence KL(p ‖ eˣ).

    The target t is p, or ln p with ``log_target``. dx = −p dl; dp = (ln p − x + 1) dl, and p times that for ln p.
    Where p = 0, l is 0 (its limit), and p has no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, t: Any, log_target: bool, reduction: str) -> Any:
        ctx.log_target, ctx.reduction, ctx.saved = log_target, reduction, (x, t)
        with np.errstate(all="ignore"):
            p, log_p, absent = KLDiv.target(x, t, log_target)
            return reduce(np.where(absent, x.dtype.type(0), p * (log_p - x)), reduction)

    @staticmethod
    def target(x: Any, t: Any, log_target: bool) -> tuple[Any, Any, Any]:
        """p, ln p, and where p = 0 (and x is no NaN)."""
        xp = namespace(t)
        p = xp.exp(t) if log_target else t
        log_p = t if log_target else xp.log(xp.where(p == 0, 1.0, p))
        return p, log_p, (p == 0) & (x == x)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, t = ctx.saved
        xp = namespace(dy)
        shape = np.broadcast_shapes(x.shape, t.shape)
        g = spread(dy, shape, ctx.reduction)
        p, log_p, absent = KLDiv.target(x, t, ctx.log_target)
        dx = sum_to(fill(xp.where(absent, 0.0, -(g * p)), shape), x.shape) if ctx.needs(0) else None
        if not ctx.needs(1):
            return dx, None
        slope = log_p - x + 1.0
        return dx, sum_to(xp.where(absent, 0.0, g * (slope * p if ctx.log_target else slope)), t.shape)


# --- the functions users call ----------------------------------------------------------------------------------------


_REDUCTIONS = ("none", "mean", "sum")


def reduction_of(
    name: str, reduction: str, size_average: Any, reduce: Any, allowed: tuple[str, ...] = _REDUCTIONS
) -> str:
    """The reduction that a loss was asked for.

    ``size_average`` and ``reduce`` are PyTorch's old spelling, which it still takes with a warning, and so does
    minigrad. Both are True if not given: "none" without ``reduce``, else "mean" with ``size_average``, "sum" without.
    """
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn(
            f"{name}: size_average and reduce are PyTorch's old spelling; write reduction={reduction!r}", stacklevel=3
        )
    elif reduction not in allowed:
        raise ValueError(f"{name}: reduction must be one of {', '.join(allowed)}; got {reduction!r}")
    return reduction


def _pair(name: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Two tensors of one dtype whose shapes broadcast."""
    x, t = require_floating(input, name), tensor_of(target, name, "target")
    if x._array.dtype is not t._array.dtype:
        x, t = meet(x, t)
    if x._array.shape != t._array.shape:
        try:
            np.broadcast_shapes(x._array.shape, t._array.shape)
        except ValueError:
            raise ShapeError(
                f"{name}: input has shape {x._array.shape}, target {t._array.shape}; they must be equal"
            ) from None
    return x, t


def _apply(op: type[Op], x: Any, t: Any, *options: Any) -> Any:
    """The loss of two tensors; of float16 numbers it is worked out in float32."""
    if x._array.dtype == HALF:
        return in_single(lambda x, t: op.apply(x, t, *options), x, t)
    return op.apply(x, t, *options)


def _warn_of_broadcasting(name: str, x: Any, t: Any) -> None:
    """(N, 1) against (N) raises no error, yet holds each input against every target: say so, as PyTorch does."""
    if x._array.shape != t._array.shape:
        warnings.warn(
            f"{name}: input has shape {x._array.shape}, target {t._array.shape}: they are broadcast, so an element is "
            "held against several. If that is not meant, make the shapes equal with squeeze() or unsqueeze().",
            stacklevel=3,
        )


def _weighted(op: Any, weight: Any, reduction: str, by_weight: bool = False) -> Any:
    """A loss with a weight per element: the terms times the weight, then the reduction. As in PyTorch, the mean divides
    by the number of terms, but for ``mse_loss`` and ``l1_loss`` by the sum of the weights."""
    terms = op("none") * weight
    if reduction == "mean":
        return terms.sum() / weight.sum() if by_weight else terms.mean()
    return terms if reduction == "none" else terms.sum()


def mse_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None
) -> Any:
    """(x − t)², reduced. Shapes broadcast."""
    reduction = reduction_of("mse_loss", reduction, size_average, reduce)
    x, t = _pair("mse_loss", input, target)
    _warn_of_broadcasting("mse_loss", x, t)
    if weight is not None:
        return _weighted(lambda r: _apply(MSE, x, t, r), weight, reduction, by_weight=True)
    return _apply(MSE, x, t, reduction)


def l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None
) -> Any:
    """|x − t|, reduced. Shapes broadcast."""
    reduction = reduction_of("l1_loss", reduction, size_average, reduce)
    x, t = _pair("l1_loss", input, target)
    _warn_of_broadcasting("l1_loss", x, t)
    if weight is not None:
        return _weighted(lambda r: _apply(L1, x, t, r), weight, reduction, by_weight=True)
    return _apply(L1, x, t, reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """d²/2 where |d| ≤ delta, else delta (|d| − delta/2), d = x − t."""
    reduction = reduction_of("huber_loss", reduction, None, None)
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    x, t = _pair("huber_loss", input, target)
    _warn_of_broadcasting("huber_loss", x, t)
    if weight is not None:
        return _weighted(lambda r: _apply(Huber, x, t, float(delta), 1.0, r), weight, reduction)
    return _apply(Huber, x, t, float(delta), 1.0, reduction)


def smooth_l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0
) -> Any:
    """d²/(2 beta) where |d| ≤ beta, else |d| − beta/2: the Huber loss divided by beta (L1 for beta = 0)."""
    reduction = reduction_of("smooth_l1_loss", reduction, size_average, reduce)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    x, t = _pair("smooth_l1_loss", input, target)
    _warn_of_broadcasting("smooth_l1_loss", x, t)
    return _apply(Huber, x, t, float(beta), float(beta), reduction)


def _same_shape(name: str, x: Any, t: Any) -> None:
    if x._array.shape != t._array.shape:
        raise ShapeError(
            f"{name}: input has shape {x._array.shape}, target {t._array.shape}; they must be equal"
            + (" (is a squeeze() or unsqueeze() missing?)" if x._array.size == t._array.size else "")
        )


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """−(t ln x + (1 − t) ln(1 − x)) for probabilities x and targets t between 0 and 1."""
    name = "binary_cross_entropy"
    reduction = reduction_of(name, reduction, size_average, reduce)
    x, t = _pair(name, input, target)
    _same_shape(name, x, t)
    if weight is not None:
        return _weighted(lambda r: _apply(BCE, x, t, r), weight, reduction)
    return _apply(BCE, x, t, reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """−(w t ln σ(x) + (1 − t) ln(1 − σ(x))), w = ``pos_weight`` (broadcast), without overflow for any x."""
    name = "binary_cross_entropy_with_logits"
    reduction = reduction_of(name, reduction, size_average, reduce)
    x, t = _pair(name, input, target)
    _same_shape(name, x, t)
    w = None
    if pos_weight is not None:
        w = cast(tensor_of(pos_weight, name, "pos_weight"), x._array.dtype).detach()
        _fits(w, x._array.shape, name)
    if weight is not None:
        return _weighted(lambda r: _apply(BCEWithLogits, x, t, w, r), weight, reduction)
    return _apply(BCEWithLogits, x, t, w, reduction)


def _fits(w: Any, shape: tuple[int, ...], name: str) -> None:
    """Refuse a weight that does not broadcast to ``shape``."""
    try:
        if np.broadcast_shapes(w._array.shape, shape) == shape:
            return
    except ValueError:
        pass
    raise ShapeError(f"{name}: pos_weight of shape {w._array.shape} does not broadcast to {shape}")


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """−x at the target class.

    Shapes: input (N, C), (C) or (N, C, d₁, …) log-probabilities; target (N), () or (N, d₁, …) int64.
    """
    reduction = reduction_of("nll_loss", reduction, size_average, reduce)
    x, t = require_floating(input, "nll_loss"), tensor_of(target, "nll_loss", "target")
    if x._array.dtype == HALF:
        return in_single(lambda x: nll_loss(x, t, weight, None, ignore_index, None, reduction), x)
    w = _class_weight("nll_loss", weight, x)
    flat, classes, shape = _as_rows("nll_loss", x, t, w, ignore_index)
    y = NLL.apply(flat, classes, w, ignore_index, reduction)
    return y.reshape(*shape) if reduction == "none" else y


def _class_weight(name: str, weight: Any, x: Any) -> Any:
    """The array of a weight per class, in the dtype of the scores; None if there is none."""
    return None if weight is None else cast(tensor_of(weight, name, "weight"), x._array.dtype)._array


def _as_rows(name: str, x: Any, t: Any, w: Any, ignore: int) -> tuple[Any, Any, tuple[int, ...]]:
    """(N, C, d…) scores and (N, d…) classes → (rows, C), (rows) and the shape of the terms, everything checked."""
    a, b = x._array, t._array
    same_device(name, input=x, target=t)
    if b.dtype.kind not in "iu":
        raise DtypeError(
            f"{name}: class indices must be int64, got {dtypes.of_array(b)}; convert them with .long()"
            + (" (probabilities need the input's shape)" if b.dtype.kind == "f" else "")
        )
    if a.ndim == 0:
        raise ShapeError(f"{name}: input needs a class axis, got shape ()")
    classes_axis = 0 if a.ndim == 1 else 1
    expected = a.shape[:classes_axis] + a.shape[classes_axis + 1 :]
    if b.shape != expected:
        raise ShapeError(
            f"{name}: input of shape {a.shape} has classes on axis {classes_axis}, so the target must have shape "
            f"{expected}, got {b.shape}"
        )
    n = a.shape[classes_axis]
    wrong = (b != ignore) & ((b < 0) | (b >= n))
    if bool(wrong.any()):
        raise IndexError(f"{name}: target class {int(b[wrong][0])} is out of range for {n} classes (0 to {n - 1})")
    if w is not None and w.shape != (n,):
        raise ShapeError(f"{name}: weight has shape {w.shape}, expected one entry for each of the {n} classes")
    if a.ndim == 1:
        return x.reshape(1, n), b.reshape(1), expected
    if a.ndim == 2:
        return x, b, expected
    rows = x.permute(0, *range(2, a.ndim), 1).reshape(-1, n)  # (N, C, d…) → (N, d…, C) → (rows, C)
    return rows, b.reshape(-1), expected


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """−Σ_c w_c q_c ln softmax(x)_c for scores x and targets q: class indices (int64) or probabilities of x's shape.

    ``label_smoothing`` ε replaces q by (1 − ε) q + ε/C. The mean over class indices divides by the weights of the
    targets, the mean over probabilities by their number. Source: torch.nn.functional.cross_entropy.

    Shapes: input (C), (N, C) or (N, C, d₁, …); target (), (N) or (N, d₁, …), or the input's for probabilities.

    Raises:
        DtypeError: float targets that do not have the input's shape.
        IndexError: a class index out of range.
    """
    reduction = reduction_of("cross_entropy", reduction, size_average, reduce)
    x, t = require_floating(input, "cross_entropy"), tensor_of(target, "cross_entropy", "target")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must lie between 0 and 1, got {label_smoothing}")
    if x._array.dtype == HALF:
        options: Any = ignore_index, None, reduction, label_smoothing
        return in_single(lambda x: cross_entropy(x, t, weight, None, *options), x)
    plain = weight is None and not label_smoothing and x._array.ndim == 2
    if t._array.dtype.kind == "f":
        if t._array.shape != x._array.shape:
            raise (DtypeError if t._array.ndim < x._array.ndim else ShapeError)(
                f"cross_entropy: a floating target holds probabilities and must have the input's shape "
                f"{x._array.shape}, got {t._array.shape}; class indices must be int64 (.long())"
            )
        t = cast(t, x._array.dtype)
        if plain:
            return CrossEntropy.apply(x, t, reduction)
        return _soft_cross_entropy(x, t, weight, reduction, label_smoothing)
    w = _class_weight("cross_entropy", weight, x)
    rows, classes, shape = _as_rows("cross_entropy", x, t, w, ignore_index)
    ignored = classes == ignore_index
    if bool(ignored.any()):
        rows = rows.masked_fill(wrap(ignored[:, None]), 0.0)  # whatever stands there
    elif plain:
        return CrossEntropy.apply(x, t, reduction)
    log_p = LogSoftmax.apply(rows, 1)
    y = NLL.apply(log_p, classes, w, ignore_index, reduction)
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + _smooth_part(log_p, classes, w, ignore_index, reduction) * label_smoothing
    return y.reshape(*shape) if reduction == "none" else y


def _smooth_part(log_p: Any, classes: Any, w: Any, ignore: int, reduction: str) -> Any:
    """−Σ_c w_c ln p_c / C for each row that is not ignored, reduced as NLL is."""
    used = classes != ignore
    terms = -(log_p if w is None else log_p * wrap(w)).mean(dim=1) * wrap(used)
    if reduction == "none":
        return terms
    if reduction == "sum":
        return terms.sum()
    weights = used.sum() if w is None else accumulated(w[classes * used][used])
    return terms.sum() / (float(weights) or 1.0)  # without any, the loss is NaN already


def _soft_cross_entropy(x: Any, q: Any, weight: Any, reduction: str, smoothing: float) -> Any:
    axis = 0 if x._array.ndim == 1 else 1
    classes = x._array.shape[axis]
    if smoothing:
        q = q * (1.0 - smoothing) + smoothing / classes
    log_p = LogSoftmax.apply(x, axis)
    if weight is not None:
        if weight._array.shape != (classes,):
            raise ShapeError(f"cross_entropy: weight has shape {weight._array.shape}, expected ({classes},)")
        weight = wrap(_class_weight("cross_entropy", weight, x))
        log_p = log_p * weight.reshape(*[classes if i == axis else 1 for i in range(x._array.ndim)])
    terms = -(q * log_p).sum(dim=axis)
    return terms if reduction == "none" else terms.sum() if reduction == "sum" else terms.mean()


def kl_div(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """t (ln t − x) for log-probabilities x and probabilities t (or their logarithms with ``log_target``).

    ``reduction="batchmean"`` divides the sum by the first axis: the divergence itself; "mean" divides by all elements.
    """
    reduction = reduction_of("kl_div", reduction, size_average, reduce, (*_REDUCTIONS, "batchmean"))
    x, t = _pair("kl_div", input, target)
    how = "sum" if reduction == "batchmean" else reduction
    y = _apply(KLDiv, x, t, bool(log_target), how)
    if reduction == "batchmean":
        return y / float(x._array.shape[0] if x._array.ndim else 1)
    return y
