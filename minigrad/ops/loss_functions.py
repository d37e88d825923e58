"""Losses as users call them: arguments are read and checked here, the mathematics is in :mod:`minigrad.ops.loss`.

Scores of classes (N, C, ...) become rows (·, C) here, so that one op serves single samples, batches and images.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.op import Op
from ..autograd.variable import wrap
from ..errors import DtypeError, ShapeError
from .activation import LogSoftmax
from .common import (
    HALF,
    cast,
    in_single,
    promote,
    require_floating,
    same_device,
    tensor_of,
)
from .loss import BCE, L1, MSE, NLL, BCEWithLogits, CrossEntropy, Huber, KLDiv
from .sums import accumulated

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


def _pair(name: str, input: Any, target: Any, warn: bool = False) -> tuple[Any, Any]:
    """Two tensors of one dtype whose shapes broadcast. (N, 1) against (N) raises no error, yet holds each input against
    every target: ``warn`` says so, as PyTorch does."""
    x, t = require_floating(input, name), tensor_of(target, name, "target")
    if x._array.dtype is not t._array.dtype:
        x, t = promote(x, t)
    if x._array.shape != t._array.shape:
        try:
            np.broadcast_shapes(x._array.shape, t._array.shape)
        except ValueError:
            raise ShapeError(
                f"{name}: input has shape {x._array.shape}, target {t._array.shape}; they must be equal"
            ) from None
        if warn:
            warnings.warn(
                f"{name}: input has shape {x._array.shape}, target {t._array.shape}: they are broadcast, so an element "
                "is held against several. If that is not meant, make the shapes equal with squeeze() or unsqueeze().",
                stacklevel=3,
            )
    return x, t


def _apply(op: type[Op], x: Any, t: Any, *options: Any) -> Any:
    """The loss of two tensors; of float16 numbers it is worked out in float32."""
    if x._array.dtype == HALF:
        return in_single(lambda x, t: op.apply(x, t, *options), x, t)
    return op.apply(x, t, *options)


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
    x, t = _pair("mse_loss", input, target, warn=True)
    if weight is not None:
        return _weighted(lambda r: _apply(MSE, x, t, r), weight, reduction, by_weight=True)
    return _apply(MSE, x, t, reduction)


def l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None
) -> Any:
    """|x − t|, reduced. Shapes broadcast."""
    reduction = reduction_of("l1_loss", reduction, size_average, reduce)
    x, t = _pair("l1_loss", input, target, warn=True)
    if weight is not None:
        return _weighted(lambda r: _apply(L1, x, t, r), weight, reduction, by_weight=True)
    return _apply(L1, x, t, reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """d²/2 where |d| ≤ delta, else delta (|d| − delta/2), d = x − t."""
    reduction = reduction_of("huber_loss", reduction, None, None)
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    x, t = _pair("huber_loss", input, target, warn=True)
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
    x, t = _pair("smooth_l1_loss", input, target, warn=True)
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
