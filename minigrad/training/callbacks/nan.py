"""Ends a training before a NaN reaches the weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...nn.inspection.preserved import snapshot
from ..callback import Callback, CancelBatch, Order
from ..diagnosis import diagnose
from ..trainer_base import TrainerBase


class TerminateOnNaN(Callback):
    """End the fit before a NaN or an infinity reaches the weights, and say in which layer and op it began.

    It checks the loss of each batch, and the sum of squares of each gradient. At the first that is not finite, the
    batch is run again to find the origin, its update is skipped, the buffers (batch norm's running statistics) go back
    to their values before the batch, and the fit ends.

    Attributes:
        diagnosis: where it began, or None; also part of ``trainer.stopped``.
    """

    order = Order.MEASURE

    def __init__(self) -> None:
        self.diagnosis: str | None = None

    def on_fit_start(self, trainer: TrainerBase) -> None:
        self.diagnosis = None

    def on_batch_start(self, trainer: TrainerBase) -> None:
        self._put_buffers_back = snapshot(trainer.model, "buffers")

    def on_before_backward(self, trainer: TrainerBase) -> None:
        if not math.isfinite(trainer.loss.item()) and trainer.loss_weight:
            self._end(trainer)

    def on_before_step(self, trainer: TrainerBase) -> None:
        for parameter in trainer.model.parameters():
            if parameter.grad is not None:
                g = parameter.grad._array.ravel()
                with np.errstate(all="ignore"):
                    square = g @ g
                # The squares alone may overflow, so that the largest element decides.
                if not math.isfinite(square) and not math.isfinite(abs(g).max()):
                    self._end(trainer)

    def _end(self, trainer: TrainerBase) -> Any:
        self._put_buffers_back()
        self.diagnosis = diagnose(trainer)
        trainer.stop(f"{self.diagnosis} (TerminateOnNaN)")
        raise CancelBatch
