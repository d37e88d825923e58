"""Measures the time of an epoch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from ..batches import samples_in
from ..callback import Callback
from ..trainer_base import TrainerBase


class EpochTimer(Callback):
    """Log ``epoch_seconds``, from the start of an epoch to the end of its validation, and ``samples_per_second``.

    The second is measured over the training part, loading included. Both depend on the machine
    (``trainer.performance``). For an epoch that was interrupted and resumed, the times of the parts are added.
    """

    def __init__(self) -> None:
        self._seconds = 0.0  # of this epoch before `_since`
        self._samples = 0
        self._since = self._trained = time.perf_counter()

    def log_names(self) -> Iterable[str]:
        return ("epoch_seconds", "samples_per_second")

    def on_fit_start(self, trainer: TrainerBase) -> None:
        self._since = self._trained = time.perf_counter()

    def on_epoch_start(self, trainer: TrainerBase) -> None:
        self._seconds, self._samples = 0.0, 0
        self._since = self._trained = time.perf_counter()

    def on_batch_end(self, trainer: TrainerBase) -> None:
        self._samples += samples_in(trainer.batch)
        self._trained = time.perf_counter()

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        training = self._seconds + self._trained - self._since
        trainer.log("epoch_seconds", self._seconds + time.perf_counter() - self._since, performance=True)
        trainer.log("samples_per_second", self._samples / training if training else 0.0, performance=True)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._seconds + self._trained - self._since, "samples": self._samples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._seconds, self._samples = state["seconds"], state["samples"]
        self._since = self._trained = time.perf_counter()
