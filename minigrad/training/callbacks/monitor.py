"""What the monitors share: a history by epoch, the writer of curves and pictures, how often something is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..callback import Callback
from ..trainer_base import TrainerBase


def checked_writer(who: str, writer: Any) -> Any:
    """``writer`` if it is None, a SummaryWriter, or has one (a Run, a TensorBoardLogger); else TypeError."""
    if writer is None or hasattr(type(writer), "writer") or hasattr(writer, "add_scalar"):
        return writer
    raise TypeError(f"{who}: writer is {writer!r}, expected a SummaryWriter, a Run, a TensorBoardLogger or None")


def checked_count(who: str, name: str, value: Any, least: int = 1) -> int:
    """``value`` if it is an integer of at least ``least``. Raises ValueError otherwise."""
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{who}: {name} = {value!r}, expected a whole number, {least} or more")
    return value


class WritingCallback(Callback):
    """A callback that may write for TensorBoard."""

    def __init__(self, writer: Any) -> None:
        self._writer = checked_writer(type(self).__name__, writer)

    @property
    def summary_writer(self) -> Any:
        """The SummaryWriter that was given, or that of the Run or logger that was; None if there is none."""
        return self._writer.writer if hasattr(type(self._writer), "writer") else self._writer


class Monitor(WritingCallback):
    """A callback that measures something by layer in each epoch.

    Attributes:
        history: for each epoch ``{"epoch": …, "layers": {name: {…}}}``.
    """

    def __init__(self, writer: Any) -> None:
        super().__init__(writer)
        self.history: list[dict[str, Any]] = []

    def on_fit_start(self, trainer: TrainerBase) -> None:
        if not trainer.resumed:
            self.history = []

    def state_dict(self) -> dict[str, Any]:
        return {"history": list(self.history)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.history = list(state["history"])


class ValidationPicture(WritingCallback):
    """A callback that draws a picture of a validation: of the last one, and of those in between if asked.

    Args: every: draw also after every so many epochs, if not None.
    """

    name: str  # the picture's, for TensorBoard

    def __init__(self, writer: Any, every: int | None) -> None:
        super().__init__(writer)
        self.every = None if every is None else checked_count(type(self).__name__, "every", every)
        self.epoch = 0  # of the last validation; 0 before

    def figure(self) -> Any:
        raise NotImplementedError

    def _validated(self, trainer: TrainerBase) -> None:
        self.epoch = trainer.epoch
        if self.every is not None and self.epoch % self.every == 0:
            self._draw()

    def on_fit_end(self, trainer: TrainerBase) -> None:
        if self.epoch and (self.every is None or self.epoch % self.every):
            self._draw()

    def _draw(self) -> None:
        if (writer := self.summary_writer) is not None:
            writer.add_figure(self.name, self.figure(), self.epoch)
