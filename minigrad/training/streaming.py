"""Metrics that are computed batch by batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from ..ops.elementwise import where
from ..tensor import Tensor
from .classes import classes_of


class Metric:
    """A number over many batches: ``reset()``, then ``update(output, target)`` for each batch, then ``compute()``.

    A metric of your own overrides these three and keeps its state in attributes: numbers, NumPy arrays, tensors, and
    lists of them, from which ``state_dict`` is made. ``output`` is the model's (a tuple if it has several), ``target``
    the batch's.
    """

    def reset(self) -> None:
        raise NotImplementedError(f"{type(self).__name__}: reset is missing")

    def update(self, output: Any, target: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__}: update is missing")

    def compute(self) -> float:
        raise NotImplementedError(f"{type(self).__name__}: compute is missing")

    def clone(self) -> Self:
        """An independent copy with the same settings."""
        return copy.deepcopy(self)

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)


class Mean(Metric):
    """The mean over samples of a number that is given as a mean (or sum) over each batch: Σ nᵢ vᵢ / Σ nᵢ.

    A batch of weight 0 is ignored, also if its mean, 0 / 0, is NaN.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.total: Any = 0.0
        self.count: Any = 0

    def update(self, value: Any, weight: Any = 1, count: Any = None) -> None:
        """Add ``weight`` times ``value`` (a number or a tensor of one element), for ``count`` samples.

        For a batch's mean loss weight is n; for a summed loss weight is 1 and count n; for weighted samples weight is
        the sum of weights. ``count`` is ``weight`` if None.
        """
        if isinstance(value, Tensor):
            # On a GPU the sum stays there: fetching it would wait for the device at every batch.
            value = value.item() if value.device.type == "cpu" else value.detach().double()
        if isinstance(weight, Tensor):
            self.total = self.total + where(weight > 0, value * weight, 0.0)
        elif weight:
            self.total = self.total + value * weight
        self.count = self.count + (weight if count is None else count)

    def compute(self) -> float:
        """NaN before the first update."""
        count = float(self.count)
        return float(self.total) / count if count else float("nan")

    def state_dict(self) -> dict[str, Any]:
        return {"total": float(self.total), "count": self.count if isinstance(self.count, int) else float(self.count)}


class Accuracy(Metric):
    """The share of samples whose class is predicted correctly, 0 … 1.

    Outputs (N, K) are scores of K classes, the target class indices (N,) or rows (N, K), one-hot or probabilities,
    whose largest element is the class. A row without a single largest element raises ValueError. Outputs (N,) or (N, 1)
    are scores of class 1 of two, which is predicted above ``threshold``; the target is 0 or 1, of either shape.

    Args:
        threshold: for two classes; 0 for logits, 0.5 for probabilities.
    """

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = threshold
        self.reset()

    def reset(self) -> None:
        self.right: Any = 0
        self.count = 0

    def update(self, output: Tensor, target: Tensor) -> None:
        truth, predicted = classes_of("Accuracy", output, target, self.threshold)
        self.right = self.right + (predicted == truth).sum()
        self.count += len(truth)

    def compute(self) -> float:
        return float(self.right) / self.count if self.count else float("nan")

    def state_dict(self) -> dict[str, Any]:
        return {**vars(self), "right": int(self.right)}


class AUC(Metric):
    """The area under the ROC curve: how often a sample of class 1 is scored above one of class 0.

    Outputs (N,) or (N, 1) are scores of any scale; the target is 0 or 1. All are kept until ``compute``. The result is
    NaN if one of the classes has no samples, or a score is NaN. Source: sklearn.metrics.roc_auc_score.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.scores: list[Any] = []
        self.targets: list[Any] = []

    def update(self, output: Tensor, target: Tensor) -> None:
        scores, truth = output.numpy(force=True).ravel(), target.numpy(force=True).ravel()
        if scores.shape != truth.shape or math.prod(target.shape[1:]) != 1:
            raise ValueError(
                f"AUC: output has shape {tuple(output.shape)}, target {tuple(target.shape)}; expected (N,) or (N, 1)"
            )
        self.scores.append(scores.copy())
        self.targets.append(truth.copy())

    def state_dict(self) -> dict[str, Any]:
        return {name: np.concatenate(parts) if parts else None for name, parts in vars(self).items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, joined in state.items():
            setattr(self, name, [] if joined is None else [joined])

    def compute(self) -> float:
        from sklearn.metrics import roc_auc_score

        truth = np.concatenate(self.targets) > 0.5 if self.targets else np.zeros(0)
        scores = np.concatenate(self.scores) if self.scores else np.zeros(0)
        if not truth.any() or truth.all() or np.isnan(scores).any():
            return float("nan")
        return float(roc_auc_score(truth, np.nan_to_num(scores)))  # infinities become the largest numbers
