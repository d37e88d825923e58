"""True and predicted classes of a batch, for metrics and callbacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices import CPU, move
from ..tensor import Tensor


def classes_of(who: str, output: Tensor, target: Tensor, threshold: float = 0.0) -> tuple[Any, Any]:
    """(true, predicted) classes, arrays (N,) on the tensors' device.

    Outputs (N, K) are scores, the target (N,) class indices or (N, K) one-hot rows; outputs (N,) or (N, 1) are scores
    of class 1 of two, which is predicted above ``threshold``. Raises ValueError for other shapes and TypeError for
    other values than tensors, with the name ``who``.
    """
    for name, value in (("output", output), ("target", target)):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{who}: {name} is a {type(value).__name__}, expected a tensor; of several, take the one that is meant"
            )
    scores, truth = output.detach()._array, target.detach()._array
    if scores.ndim == 2 and scores.shape[1] > 1:
        predicted = scores.argmax(1)
        truth = _class_of_rows(who, truth) if truth.shape == scores.shape else truth
    else:
        predicted, truth = scores.reshape(-1) > threshold, truth.reshape(-1) > 0.5
    if predicted.shape != truth.shape:
        raise ValueError(
            f"{who}: output has shape {scores.shape}, target {tuple(target.shape)}; expected (N, K) with (N,) "
            "or (N, K), or for two classes (N,) or (N, 1)"
        )
    return truth, predicted


def _class_of_rows(who: str, rows: Any) -> Any:
    """The index of the largest element of each row (K,)."""
    largest = (rows == rows.max(1, keepdims=True)).sum(1)
    if (largest != 1).any():
        row = int((largest != 1).argmax())
        raise ValueError(
            f"{who}: row {row} of the target is {rows[row].tolist()}, which is of no one class; expected one-hot rows. "
            "Where a sample may be of several classes, count each class by itself"
        )
    return rows.argmax(1)


def classes_on_host(who: str, output: Tensor, target: Tensor, threshold: float = 0.0) -> tuple[Any, Any]:
    """:func:`classes_of` as NumPy's int64."""
    true, predicted = classes_of(who, output, target, threshold)
    return move(true, CPU).astype(np.int64), move(predicted, CPU).astype(np.int64)
