"""Example images with their true and predicted classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import plot
from ..classes import classes_on_host
from ..trainer_base import TrainerBase
from .monitor import ValidationPicture, checked_count


class ExamplePredictions(ValidationPicture):
    """Keep some images of each validation with their true and predicted classes, by default the wrong ones first.

    For TensorBoard they are drawn as one picture (``predictions``) at the end of the fit: drawing takes seconds. They
    are not part of checkpoints; the next validation chooses new ones.

    Args:
        names: of the classes, in order; their indices if None.
        writer: a SummaryWriter, a Run or a TensorBoardLogger; None: nothing is drawn.
        count: the number of images.
        wrong_first: take wrong ones first, and right ones if those are too few; otherwise simply the first images.
        every: also draw a picture every so many epochs, if not None.
        threshold: for two classes with one score: see :class:`minigrad.training.Accuracy`.
    Attributes:
        images, true, predicted: arrays (count, C, H, W) or (count, H, W), (count,) and (count,), of the last
            validation, fewer if that is smaller; None before.
        epoch: which epoch that was; 0 before.
    Raises ValueError in the first validation if the model's first input is not of images, or a class has no name.
    """

    name = "predictions"

    def __init__(
        self,
        names: Sequence[str] | None = None,
        writer: Any = None,
        count: int = 24,
        wrong_first: bool = True,
        every: int | None = None,
        threshold: float = 0.0,
    ) -> None:
        super().__init__(writer, every)
        self.names = None if names is None else list(names)
        self.count = checked_count("ExamplePredictions", "count", count)
        self.wrong_first = wrong_first
        self.threshold = threshold
        self._forget()

    def _forget(self) -> None:
        self.images: Any = None
        self.true: Any = None
        self.predicted: Any = None
        self.epoch = 0

    def on_fit_start(self, trainer: TrainerBase) -> None:
        self._forget()

    def on_validation_start(self, trainer: TrainerBase) -> None:
        self._first: list[tuple[Any, Any, Any]] = []  # those wanted: wrong ones, or all
        self._rest: list[tuple[Any, Any, Any]] = []  # right ones, should there be too few of those

    def on_validation_batch_end(self, trainer: TrainerBase) -> None:
        if len(self._first) >= self.count:
            return
        images = trainer.batch[0]
        if images.ndim != 3 and not (images.ndim == 4 and images.shape[1] in (1, 3)):
            raise ValueError(
                f"ExamplePredictions: the input has shape {tuple(images.shape)}, expected images (N, H, W), "
                "(N, 1, H, W) or (N, 3, H, W)"
            )
        true, predicted = classes_on_host("ExamplePredictions", trainer.output, trainer.batch[-1], self.threshold)
        wanted = true != predicted if self.wrong_first else np.ones(len(true), bool)
        for kept, here in ((self._first, wanted), (self._rest, ~wanted)):
            for i in np.flatnonzero(here)[: self.count - len(kept)].tolist():
                kept.append((images[i].numpy(force=True).copy(), true[i], predicted[i]))

    def on_validation_end(self, trainer: TrainerBase) -> None:
        chosen = [*self._first, *self._rest][: self.count]
        self.images, self.true, self.predicted = (np.stack(column) for column in zip(*chosen, strict=True))
        last = int(max(self.true.max(), self.predicted.max()))
        if self.names is not None and last >= len(self.names):
            raise ValueError(f"ExamplePredictions: {len(self.names)} names, but there is a class {last}")
        self._validated(trainer)

    def figure(self) -> Any:
        """The images as one picture."""
        return plot.predictions(self.images, self.true, self.predicted, self.names, limit=self.count)
