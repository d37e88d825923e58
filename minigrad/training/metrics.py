"""scikit-learn's metrics on tensors.

Every function takes the true labels first, as scikit-learn does. Both arguments are integer labels (N,): tensors on any
device, arrays or lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor

__all__ = ["accuracy", "classification_report", "confusion_matrix"]


def accuracy(target: Any, predicted: Any) -> float:
    """The share of labels that were predicted correctly, 0 … 1.

    Raises ValueError for labels that are not whole numbers of shape (N,), for N = 0 or two different N.
    Source: sklearn.metrics.accuracy_score.
    """
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(*_labels("accuracy", target, predicted)))


def classification_report(target: Any, predicted: Any, names: Sequence[str] | None = None, digits: int = 4) -> str:
    """Precision, recall, F1 and support of each class as a table of text; a class never predicted has precision 0.

    Args: `names` for the classes 0, 1, … of the labels, in order (their numbers if None), `digits` after the point.
    Raises ValueError as `accuracy`, and where a label has no name. Source: sklearn.metrics.classification_report.
    """
    from sklearn import metrics

    target, predicted = _labels("classification_report", target, predicted)
    named = _named("classification_report", target, predicted, names)
    return str(metrics.classification_report(target, predicted, digits=digits, zero_division=0.0, **named))


def confusion_matrix(target: Any, predicted: Any, classes: int | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How often class i (row) was predicted as class j (column): an array (classes, classes) of counts.

    Raises ValueError as `accuracy`, and for a label not in 0 … classes − 1. Source: sklearn.metrics.confusion_matrix.
    """
    from sklearn import metrics

    target, predicted = _labels("confusion_matrix", target, predicted)
    count = classes if classes is not None else int(max(target.max(), predicted.max())) + 1
    _check_range("confusion_matrix", target, predicted, count)
    return np.asarray(metrics.confusion_matrix(target, predicted, labels=range(count)), dtype=np.int64)


def _labels(caller: str, target: Any, predicted: Any) -> tuple[Any, Any]:
    arrays = []
    for name, value in (("target", target), ("predicted", predicted)):
        array = value.numpy(force=True) if isinstance(value, Tensor) else np.asarray(value)
        if array.ndim != 1 or array.dtype.kind not in "iub":
            hint = "; take the best class of each row with .argmax(1)" if array.ndim == 2 else ""
            raise ValueError(
                f"{caller}: {name} has shape {array.shape} and {array.dtype}, expected labels (N,), whole numbers{hint}"
            )
        arrays.append(array)
    if len(arrays[0]) != len(arrays[1]) or not len(arrays[0]):
        raise ValueError(
            f"{caller}: target has {len(arrays[0])} labels and predicted {len(arrays[1])}, expected the same N > 0"
        )
    return arrays[0], arrays[1]


def _named(caller: str, target: Any, predicted: Any, names: Sequence[str] | None) -> dict[str, Any]:
    if names is None:
        return {}
    _check_range(caller, target, predicted, len(names))
    return {"labels": range(len(names)), "target_names": list(names)}


def _check_range(caller: str, target: Any, predicted: Any, classes: int) -> None:
    low, high = min(target.min(), predicted.min()), max(target.max(), predicted.max())
    if low < 0 or high >= classes:
        raise ValueError(
            f"{caller}: labels run from {low} to {high}, expected 0 to {classes - 1} for {classes} classes"
        )
