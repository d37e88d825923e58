"""Losses: how far a prediction is from its target, as one number.

Each computes a loss per element (or per sample) and reduces it: ``reduction="mean"`` (default), ``"sum"``, or
``"none"``, which leaves the single losses. Prediction and target have the same shape, whatever it is, where
nothing else is said.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ...autograd.variable import namespace
from ...ops.loss_functions import reduction_of
from ...tensor import Tensor
from .. import functional as F
from ..module import Module


class _Loss(Module):
    reductions: tuple[str, ...] = ("none", "mean", "sum")

    def __init__(self, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction_of(type(self).__name__, reduction, size_average, reduce, self.reductions)

    def divisor(self, input: Tensor, target: Tensor) -> Any:
        """What ``reduction="mean"`` divides the sum of the losses by: the number of elements, or the sum of weights.

        The mean over a set is Σ divisor · mean / Σ divisor over its batches, whatever their sizes. A number; on a GPU
        a tensor, so that the CPU need not wait for it.
        """
        return max(input.numel(), target.numel())


class _WeightedLoss(_Loss):
    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class _ClassLoss(_WeightedLoss):
    """A loss whose targets may be class indices, of which one may be ignored."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def divisor(self, input: Tensor, target: Tensor) -> Any:
        if target.is_floating_point():  # probabilities: a sum over the classes for each sample or pixel
            return input.numel() // input.shape[0 if input.ndim == 1 else 1]
        classes = target._array
        kept = classes != self.ignore_index
        if self.weight is None:
            total = kept.sum()
        else:
            weights = self.weight._array[classes * kept]
            total = namespace(classes).where(kept, weights, 0).sum(dtype="float64")
        return total.item() if target.device.type == "cpu" else Tensor._wrap(total).double()


class MSELoss(_Loss):
    """(x − y)² for each element."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|x − y| for each element; the gradient at x = y is 0."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class HuberLoss(_Loss):
    """With d = |x − y|: ½ d² where d < delta, else delta (d − ½ delta). Outliers pull with constant force.

    Source: Huber 1964.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if not delta > 0:
            raise ValueError(f"HuberLoss: delta must be positive, got {delta!r}")
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class SmoothL1Loss(_Loss):
    """With d = |x − y|: ½ d² / beta where d < beta, else d − ½ beta: HuberLoss divided by beta.

    ``beta=0`` is L1Loss. Source: Girshick 2015.
    """

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if not beta >= 0:
            raise ValueError(f"SmoothL1Loss: beta must not be negative, got {beta!r}")
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class BCELoss(_WeightedLoss):
    """−w [y log p + (1 − y) log(1 − p)] for each probability p and its target y in [0, 1]; logs end at −100.

    After a sigmoid, prefer :class:`BCEWithLogitsLoss`: it stays accurate where the sigmoid saturates.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """−w [q y log σ(x) + (1 − y) log(1 − σ(x))] for each logit x: sigmoid and BCELoss in one.

    It overflows nowhere. ``weight`` w and ``pos_weight`` q (of positive targets, one per class) are buffers.
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class NLLLoss(_ClassLoss):
    """−w[y] · x[y] for log-probabilities x (N, C) or (N, C, …) and class indices y (N,) or (N, …).

    The mean is weighted: Σ losses / Σ w[y]. Targets equal to ``ignore_index`` are ignored.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(_ClassLoss):
    """LogSoftmax and NLLLoss in one: −w[y] log softmax(x)[y] for logits x (N, C) or (N, C, …).

    The target holds class indices (N,) or (N, …), or probabilities of the shape of x. ``label_smoothing`` ε
    mixes it with the uniform distribution: (1 − ε) · target + ε / C.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: label_smoothing must lie between 0 and 1, got {label_smoothing!r}")
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class KLDivLoss(_Loss):
    """y (log y − x) for each element: the Kullback-Leibler divergence of the target from log-probabilities x.

    ``log_target=True``: the target holds log-probabilities too. ``reduction="batchmean"`` divides the sum by
    the batch size, which is the definition; ``"mean"`` divides by the number of elements.
    """

    reductions = ("none", "batchmean", "mean", "sum")

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean", log_target: bool = False
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)

    def divisor(self, input: Tensor, target: Tensor) -> Any:
        return super().divisor(input, target) if self.reduction == "mean" or not input.ndim else len(input)


class SoftMarginLoss(_Loss):
    """ln(1 + e^(−y x)) for each element, y = ±1."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """Σ [1 − (xⱼ − xᵢ)]₊ / C over classes j in the target and i that are not; see F.multilabel_margin_loss."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """−mean over the classes of w (y ln σ(x) + (1 − y) ln σ(−x))."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class _MarginLoss(_Loss):
    _shown_in_repr: ClassVar[tuple[str, ...]] = ("margin",)

    def __init__(self, margin: float, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class MarginRankingLoss(_MarginLoss):
    """[−y (x₁ − x₂) + margin]₊: which of two scores should be the larger, y = 1 the first, −1 the second."""

    def __init__(
        self, margin: float = 0.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_MarginLoss):
    """1 − cos(x₁, x₂) where y = 1, [cos(x₁, x₂) − margin]₊ where y = −1."""

    def __init__(
        self, margin: float = 0.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(_MarginLoss):
    """x where y = 1, [margin − x]₊ where y = −1."""

    def __init__(
        self, margin: float = 1.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """Σ_{j≠y} ([margin − x_y + xⱼ]₊)ᵖ w_y / C for scores (N, C) and classes (N,); p is 1 or 2."""

    _shown_in_repr = ("p", "margin")

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class TripletMarginLoss(_MarginLoss):
    """[‖a − p‖ − ‖a − n‖ + margin]₊ with the ``p``-norm: what is like the anchor should be nearer than what is not."""

    _shown_in_repr = ("margin", "p", "eps", "swap")

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)
        self.p, self.eps, self.swap = p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        settings = (self.margin, self.p, self.eps, self.swap)
        return F.triplet_margin_loss(anchor, positive, negative, *settings, reduction=self.reduction)


class TripletMarginWithDistanceLoss(_Loss):
    """[d(a, p) − d(a, n) + margin]₊ with a distance d of one's own, the Euclidean one if None."""

    _shown_in_repr = ("margin", "swap")

    def __init__(
        self, *, distance_function: Any = None, margin: float = 1.0, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        if not margin > 0:
            raise ValueError(f"TripletMarginWithDistanceLoss: margin must be positive, got {margin}")
        self.distance_function, self.margin, self.swap = distance_function, margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class PoissonNLLLoss(_Loss):
    """λ − t ln λ (+ ln t! with ``full``) for counts t with the mean λ = eˣ, or x without ``log_input``."""

    _shown_in_repr = ("log_input", "full", "eps")

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: Any = None,
        eps: float = 1e-8,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(log_input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction)


class GaussianNLLLoss(_Loss):
    """½ (ln v + (x − t)²/v) for measurements t with mean x and variance v = max(var, eps)."""

    _shown_in_repr = ("full", "eps")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Any) -> Tensor:
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)
