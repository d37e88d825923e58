"""True and predicted classes of a batch; shared by the callbacks that look at single predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...devices import CPU, move
from ...tensor import Tensor


def classes_of(output: Tensor, target: Tensor, threshold: float = 0.0) -> tuple[Any, Any]:
    """(true, predicted) classes as NumPy's int64 (N,), by the conventions of :class:`minigrad.training.Accuracy`.

    Outputs (N, K) are scores, the target (N,) numbers or (N, K) one-hot rows; outputs (N,) or (N, 1) are scores of
    class 1, which is predicted above ``threshold``. Raises ValueError for other shapes.
    """
    scores, truth = output.detach()._array, target.detach()._array
    if scores.ndim == 2 and scores.shape[1] > 1:
        predicted = scores.argmax(1)
        truth = truth.argmax(1) if truth.ndim == 2 else truth
    else:
        predicted, truth = scores.reshape(-1) > threshold, truth.reshape(-1)
    if predicted.shape != truth.shape:
        raise ValueError(
            f"output has shape {scores.shape}, target {tuple(target.shape)}; expected (N, K) with (N,) or (N, K), or "
            "for two classes (N,) or (N, 1)"
        )
    return _on_host(truth), _on_host(predicted)


def _on_host(array: Any) -> Any:
    return move(array, CPU).astype(np.int64)
