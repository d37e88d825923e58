"""Losses: one number that says how far outputs are from targets.

Every loss is a term per element and a reduction: "none" keeps the terms, "sum" adds them up, "mean" divides by their
count. With L = Σ l / n the chain rule gives d(term) = dL / n for each, which :func:`term_factor` does once for all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from .activation import Softplus, log_softmax_of, sigmoid_of, softmax_of
from .common import (
    fill,
    in_dtype,
    select,
    sum_to,
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


def term_factor(dy: Any, shape: tuple[int, ...], reduction: str) -> Any:
    """The gradient of the loss → a factor for each term's derivative (a scalar where all are the same)."""
    if reduction == "mean":
        size = 1
        for n in shape:
            size *= n
        return dy * (1.0 / max(size, 1))
    return dy


class MSE(Op, kernel="pointwise.loss.mse"):
    """l = (x − t)².   dx = 2 (x − t) · dl, dt = −dx."""

    @staticmethod
    def compute(x: Any, t: Any, reduction: str) -> Any:
        d = x - t
        return reduce(d * d, reduction)

    @staticmethod
    def keep(ctx: Any, result: Any, *args: Any) -> Any:
        ctx.saved, ctx.options = args[:2], args[2:]
        return result

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x, t), (reduction,) = ctx.saved, ctx.options
        d = x - t
        g = d * (term_factor(dy, d.shape, reduction) * 2.0)
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
        g = select(d != 0, namespace(dy).sign(d) * term_factor(dy, d.shape, ctx.reduction))
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
        g = d.clip(-ctx.delta, ctx.delta) / ctx.unit * term_factor(dy, d.shape, ctx.reduction)
        return sum_to(g, x.shape) if ctx.needs(0) else None, sum_to(-g, t.shape) if ctx.needs(1) else None


class BCE(Op, kernel="pointwise.loss.bce"):
    """l = −(t ln x + (1 − t) ln(1 − x)), logarithms cut off at −100.

    dl/dx = −t/x + (1 − t)/(1 − x) = (x − t) / (x (1 − x)), the denominator kept above 1e-12 as PyTorch does;
    dl/dt = ln(1 − x) − ln x.
    """

    @staticmethod
    def compute(x: Any, t: Any, reduction: str) -> Any:
        BCE.check(x, t, reduction)
        log_x, log_1x = BCE._logs(x)
        return reduce(-(t * log_x + (1.0 - t) * log_1x), reduction)

    keep = staticmethod(MSE.keep)

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
        (x, t), (reduction,) = ctx.saved, ctx.options
        g = term_factor(dy, x.shape, reduction)
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


class BCEWithLogits(Op, kernel="pointwise.loss.bce_with_logits"):
    """l = −(w t ln σ(x) + (1 − t) ln(1 − σ(x))), w = pos_weight.

    With ln σ(x) = −softplus(−x) and ln(1 − σ) = −x − softplus(−x):  l = (1 − t) x + (1 + (w − 1) t) softplus(−x), and
    softplus(−x) = max(−x, 0) + ln(1 + e^−|x|) never overflows. For x < 0 the two multiples of x are −w t x together:
    added up as they are, nothing would be left of a small loss.   dl/dx = (1 − t) − (1 + (w − 1) t)(1 − σ(x)), which
    for w = 1 is the well-known σ(x) − t.   dl/dt = −x + (w − 1) softplus(−x).
    """

    @staticmethod
    def compute(x: Any, t: Any, w: Any, reduction: str) -> Any:
        with np.errstate(all="ignore"):
            tail = np.log1p(np.exp(-abs(x)))
            positive = t if w is None else w * t
            linear = x * np.where(x < 0, -positive, 1.0 - t)
            return reduce(linear + (tail if w is None else (1.0 + (w - 1.0) * t) * tail), reduction)

    @staticmethod
    def keep(ctx: Any, loss: Any, x: Any, t: Any, w: Any, reduction: str) -> Any:
        ctx.saved, ctx.options = (x, t, w), (reduction,)
        return loss

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x, t, w), (reduction,) = ctx.saved, ctx.options
        g = term_factor(dy, x.shape, reduction)
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


class CrossEntropy(Op, kernel="pointwise.softmax.cross_entropy"):
    """l = −Σ_c q_c ln p_c with p = softmax(x): x (N, C) scores, q a class index per row (N) or a distribution (N, C).

    Through log-softmax, ∂l/∂x_c = p_c Σ q − q_c, and with Σ q = 1 that is p − q: what was predicted minus what is.
    dq_c = −ln p_c.
    """

    @staticmethod
    def compute(x: Any, q: Any, reduction: str) -> tuple[Any, Any]:
        """The loss, and p, which the backward rule need not compute again."""
        y = log_softmax_of(x, 1)
        terms = -y[namespace(x).arange(x.shape[0]), q] if q.ndim == 1 else -total(q * y, 1)
        return reduce(terms, reduction), softmax_of(x, 1)

    @staticmethod
    def keep(ctx: Any, result: Any, x: Any, q: Any, reduction: str) -> Any:
        loss, p = result
        ctx.saved, ctx.options = (x, q, p), (reduction,)
        return loss

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x, q, p), (reduction,) = ctx.saved, ctx.options
        g = term_factor(dy, x.shape[:1], reduction)
        if reduction == "none":
            g = g.reshape((-1, 1))  # (N) → (N, 1)
        if isinstance(dy, Variable):  # a rule that will itself be differentiated: p is a function of x there
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
        g = term_factor(dy, shape, ctx.reduction)
        p, log_p, absent = KLDiv.target(x, t, ctx.log_target)
        dx = sum_to(fill(xp.where(absent, 0.0, -(g * p)), shape), x.shape) if ctx.needs(0) else None
        if not ctx.needs(1):
            return dx, None
        slope = log_p - x + 1.0
        return dx, sum_to(xp.where(absent, 0.0, g * p * slope if ctx.log_target else g * slope), t.shape)
