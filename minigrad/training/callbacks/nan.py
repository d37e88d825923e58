"""Ending a training whose numbers are no longer numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...nn.inspection.preserved import snapshot
from ..diagnosis import diagnose
from .base import Callback, CancelBatch, Order

if TYPE_CHECKING:
    from ..trainer_base import TrainerBase


class TerminateOnNaN(Callback):
    """End the fit before a NaN or an infinity reaches the weights, and say in which layer and op it began.

    The loss of each batch is looked at, and the sum of squares of each gradient: one pass over the gradients. At the
    first one that is not finite the batch is run once more to find the place, its update is skipped, and the fit ends.
    Of batch norm's running statistics, which have seen the batch by then, a copy from before it is kept and put back.

    Attributes:
        diagnosis: where it began, or None. It is the trainer's ``stopped``, too.
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
                # Overflow of the squares alone is no reason to stop, so a doubtful sum is looked at again.
                if not math.isfinite(square) and not math.isfinite(abs(g).max()):
                    self._end(trainer)

    def _end(self, trainer: TrainerBase) -> Any:
        self._put_buffers_back()
        self.diagnosis = diagnose(trainer)
        trainer.stop(f"{self.diagnosis} (TerminateOnNaN)")
        raise CancelBatch
