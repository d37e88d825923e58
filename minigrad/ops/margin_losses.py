"""Losses made of other ops: margins between scores, and likelihoods of counts and of measurements.

Each is a term for every element or sample, and a reduction; its gradient is that of its parts. [z]₊ = max(z, 0), whose
gradient is 0 at z = 0.
"""

from __future__ import annotations

import math
from typing import Any

from ..errors import DtypeError, ShapeError
from .activation import logsigmoid, relu
from .common import require_floating, tensor_of
from .distance import cosine_similarity, pairwise_distance
from .elementwise import exp, log, where
from .indexing import gather, one_hot
from .loss_functions import reduction_of


def _reduced(terms: Any, reduction: str) -> Any:
    return terms if reduction == "none" else terms.mean() if reduction == "mean" else terms.sum()


def _checked(name: str, reduction: str, size_average: Any, reduce: Any, **tensors: Any) -> str:
    for argument, t in tensors.items():
        require_floating(t, name, argument)
    return reduction_of(name, reduction, size_average, reduce)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """[−y (x₁ − x₂) + margin]₊: where y = 1, x₁ should be above x₂ by the margin, where y = −1 below."""
    name = "margin_ranking_loss"
    reduction = _checked(name, reduction, size_average, reduce, input1=input1, input2=input2)
    if not input1.ndim == input2.ndim == tensor_of(target, name, "target").ndim:
        raise ShapeError(
            f"{name}: input1, input2 and target must have as many axes, got shapes {tuple(input1.shape)}, "
            f"{tuple(input2.shape)} and {tuple(target.shape)}"
        )
    return _reduced(relu(-target * (input1 - input2) + margin), reduction)


def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """x where y = 1, [margin − x]₊ where y = −1: x is a distance, which should be small or beyond the margin."""
    name = "hinge_embedding_loss"
    reduction = _checked(name, reduction, size_average, reduce, input=input)
    target = tensor_of(target, name, "target")
    return _reduced(where(target != -1, input, 0.0) + where(target != 1, relu(margin - input), 0.0), reduction)


def soft_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """ln(1 + e^(−y x)) for y = ±1: without overflow for any x."""
    reduction = _checked("soft_margin_loss", reduction, size_average, reduce, input=input)
    return _reduced(-logsigmoid(tensor_of(target, "soft_margin_loss", "target") * input), reduction)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """1 − cos(x₁, x₂) where y = 1, [cos(x₁, x₂) − margin]₊ where y = −1; x (N, D) and y (N,), or (D,) and ()."""
    name = "cosine_embedding_loss"
    reduction = _checked(name, reduction, size_average, reduce, input1=input1, input2=input2)
    target = tensor_of(target, name, "target")
    if target.ndim not in (0, 1) or input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise ShapeError(
            f"{name}: expected vectors (N, D) with targets (N,), or (D,) with (), got shapes {tuple(input1.shape)}, "
            f"{tuple(input2.shape)} and {tuple(target.shape)}"
        )
    cos = cosine_similarity(input1, input2, -1, 1e-12)
    return _reduced(where(target == 1, 1 - cos, 0.0) + where(target == -1, relu(cos - margin), 0.0), reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, size_average: Any = None,
    reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Σ_{j≠y} ([margin − x_y + xⱼ]₊)ᵖ w_y / C: the score of class y should be above all others by the margin.

    x (N, C) and y (N,), or (C,) and (); p is 1 or 2.
    """
    name = "multi_margin_loss"
    reduction = _checked(name, reduction, size_average, reduce, input=input)
    if p not in (1, 2):
        raise ValueError(f"{name}: p must be 1 or 2, got {p!r}")
    x, y = _rows(name, input, target)
    own = gather(x, 1, y.unsqueeze(1))
    terms = where(one_hot(y, x.shape[1]) == 1, 0.0, relu(margin - own + x) ** p)
    if weight is not None:
        if tuple(weight.shape) != (x.shape[1],):
            raise ShapeError(f"{name}: weight has shape {tuple(weight.shape)}, expected one per class, ({x.shape[1]},)")
        terms = terms * weight[y].unsqueeze(1)
    terms = terms.sum(1) / x.shape[1]
    return _reduced(terms if input.ndim == 2 else terms.squeeze(0), reduction)


def _rows(name: str, input: Any, target: Any) -> tuple[Any, Any]:
    """(N, C) and (N,) from these or from (C,) and ()."""
    target = tensor_of(target, name, "target")
    if input.ndim > 2 or (tuple(target.shape) != tuple(input.shape[:-1]) and target.numel() != 1):
        raise ShapeError(
            f"{name}: expected scores (N, C) with classes (N,), or (C,) with (), got shapes {tuple(input.shape)} and "
            f"{tuple(target.shape)}"
        )
    if target.is_floating_point():
        raise DtypeError(f"{name}: target must hold class indices (int64), got {target.dtype}")
    return input if input.ndim == 2 else input.reshape(1, -1), target.reshape(-1)


def multilabel_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """Σ_{j∈Y, i∉Y} [1 − (xⱼ − xᵢ)]₊ / C, with Y the classes in ``target`` before its first −1.

    x and target (N, C), or (C,): every class of Y should score above every other by 1.
    """
    name = "multilabel_margin_loss"
    reduction = _checked(name, reduction, size_average, reduce, input=input)
    target = tensor_of(target, name, "target")
    if tuple(target.shape) != tuple(input.shape) or input.ndim > 2:
        raise ShapeError(
            f"{name}: input and target must both be (N, C) or (C,), got shapes {tuple(input.shape)} and "
            f"{tuple(target.shape)}"
        )
    x, t = (a if input.ndim == 2 else a.reshape(1, -1) for a in (input, target))
    listed = ((t < 0).cumsum(1) == 0) & (t >= 0)  # the classes before the first −1
    chosen = where(listed, t, 0)
    member = (one_hot(chosen, x.shape[1]) * listed.unsqueeze(-1)).sum(1) > 0  # (N, C): whether a class is in Y
    own = gather(x, 1, chosen)
    terms = relu(1 - own.unsqueeze(2) + x.unsqueeze(1))  # (N, place in the target, class)
    terms = where(listed.unsqueeze(2) & ~member.unsqueeze(1), terms, 0.0).sum((1, 2)) / x.shape[1]
    return _reduced(terms if input.ndim == 2 else terms.squeeze(0), reduction)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """−mean over the classes of w (y ln σ(x) + (1 − y) ln σ(−x)): a question with yes or no for each class."""
    name = "multilabel_soft_margin_loss"
    reduction = _checked(name, reduction, size_average, reduce, input=input)
    target = tensor_of(target, name, "target")
    terms = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        terms = terms * weight
    return _reduced(terms.mean(-1), reduction)


def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *, distance_function: Any = None, margin: float = 1.0,
    swap: bool = False, reduction: str = "mean",
) -> Any:  # fmt: skip
    """[d(a, p) − d(a, n) + margin]₊: what is like the anchor should be nearer than what is not, by the margin.

    d is ``distance_function``, the Euclidean distance if None; with ``swap`` the smaller of d(a, n) and d(p, n) counts.
    """
    name = "triplet_margin_with_distance_loss"
    reduction = _checked(name, reduction, None, None, anchor=anchor, positive=positive, negative=negative)
    if not margin > 0:
        raise ValueError(f"{name}: margin must be positive, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        other = distance(positive, negative)
        far = where(other < far, other, far)
    return _reduced(relu(near - far + margin), reduction)


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """[‖a − p‖ − ‖a − n‖ + margin]₊ with the ``p``-norm: see :func:`triplet_margin_with_distance_loss`.

    Balntas et al. 2016.
    """
    reduction = reduction_of("triplet_margin_loss", reduction, size_average, reduce)
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, size_average: Any = None, eps: float = 1e-8,
    reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """−ln P(t) of counts t with the mean λ: λ − t ln λ + ln t!, with λ = eˣ, or x itself without ``log_input``.

    ln t! does not depend on x and is left out unless ``full``, as t ln t − t + ½ ln 2πt (Stirling) where t > 1.
    """
    reduction = _checked("poisson_nll_loss", reduction, size_average, reduce, input=input)
    t = tensor_of(target, "poisson_nll_loss", "target")
    terms = exp(input) - t * input if log_input else input - t * log(input + eps)
    if full:
        many = t > 1
        safe = where(many, t, 1)  # the logarithm of 0 is not asked for
        terms = terms + where(many, safe * log(safe) - safe + 0.5 * log(2 * math.pi * safe), 0.0)
    return _reduced(terms, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """−ln of the normal density: ½ (ln v + (x − t)²/v), v = max(var, eps), and ½ ln 2π more with ``full``.

    The variance is a number, or a tensor: of the input's shape, with one axis of size 1, or without the last axis.
    max passes no gradient to var: v counts as var where it is cut off.
    """
    name = "gaussian_nll_loss"
    reduction = _checked(name, reduction, None, None, input=input)
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError(f"{name}: var must not be negative, got {var}")
        var = var + 0 * input.detach()
    require_floating(var, name, "var")
    shape, own = tuple(input.shape), tuple(var.shape)
    if own == shape[:-1] and own != shape:
        var = var.unsqueeze(-1)
    elif len(own) != len(shape) or [m for n, m in zip(shape, own, strict=True) if n != m] not in ([], [1]):
        raise ShapeError(
            f"{name}: var has shape {own}, expected that of the input, {shape}, one axis of size 1, or no last axis"
        )
    if (var < 0).any():
        raise ValueError(f"{name}: var must not be negative")
    cut = where(var < eps, var, eps)
    v = where(var < eps, eps + (cut - cut.detach()), var)
    terms = 0.5 * (log(v) + (input - target) ** 2 / v)
    return _reduced(terms + 0.5 * math.log(2 * math.pi) if full else terms, reduction)
