"""Counts of true and predicted classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ... import plot
from ..classes import classes_on_host
from ..metrics import confusion_matrix
from ..trainer_base import TrainerBase
from .monitor import ValidationPicture, checked_count


class ConfusionMatrix(ValidationPicture):
    """Count over each validation set how often a class is predicted as another.

    For TensorBoard the counts are drawn as a picture (``confusion_matrix``) at the end of the fit: drawing takes about
    a second.

    Args:
        classes: their number, or their names in order; taken from the output if None.
        writer: a SummaryWriter, a Run or a TensorBoardLogger; None: nothing is drawn.
        every: also draw a picture every so many epochs, if not None.
        threshold: for two classes with one score: see :class:`minigrad.training.Accuracy`.
    Attributes:
        counts: (K, K) integers, of the last validation: true class (row), predicted class (column). None before.
        epoch: which epoch that was; 0 before.
    """

    name = "confusion_matrix"

    def __init__(
        self,
        classes: int | Sequence[str] | None = None,
        writer: Any = None,
        every: int | None = None,
        threshold: float = 0.0,
    ) -> None:
        super().__init__(writer, every)
        self.names = None if classes is None or isinstance(classes, int) else list(classes)
        self.classes = classes if isinstance(classes, int) else None if self.names is None else len(self.names)
        if self.classes is not None:
            checked_count("ConfusionMatrix", "classes", self.classes, 2)
        self.threshold = threshold
        self.counts: np.ndarray[Any, np.dtype[np.int64]] | None = None
        self._true: list[Any] = []
        self._predicted: list[Any] = []

    def on_fit_start(self, trainer: TrainerBase) -> None:
        if not trainer.resumed:
            self.counts, self.epoch = None, 0

    def on_validation_start(self, trainer: TrainerBase) -> None:
        self._true, self._predicted = [], []

    def on_validation_batch_end(self, trainer: TrainerBase) -> None:
        if self.classes is None:
            shape = trainer.output.shape
            self.classes = shape[1] if len(shape) == 2 and shape[1] > 1 else 2
        true, predicted = classes_on_host("ConfusionMatrix", trainer.output, trainer.batch[-1], self.threshold)
        self._true.append(true)
        self._predicted.append(predicted)

    def on_validation_end(self, trainer: TrainerBase) -> None:
        self.counts = confusion_matrix(np.concatenate(self._true), np.concatenate(self._predicted), self.classes)
        self._validated(trainer)

    def figure(self) -> Any:
        """The counts as a picture."""
        return plot.confusion_matrix(self.counts, self.names)

    def state_dict(self) -> dict[str, Any]:
        return {"counts": self.counts, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.counts, self.epoch = state["counts"], state["epoch"]
