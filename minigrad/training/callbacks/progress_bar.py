"""Shows the progress of a training."""

from __future__ import annotations

import sys
import time
from typing import Any

from ...terminal import fitting, is_terminal, say, shown
from ..callback import Callback, Order
from ..trainer_base import TrainerBase

_DRAW_EVERY = 0.2  # seconds


class ProgressBar(Callback):
    """A bar for each epoch (tqdm's, on stderr) with the current loss; without a terminal, a line for each epoch.

    Args:
        label: text before the epoch's number.
    """

    order = Order.REPORT

    def __init__(self, label: str = "epoch") -> None:
        self.label = label
        self._bar: Any = None

    def on_epoch_start(self, trainer: TrainerBase) -> None:
        self._started = self._drawn = time.perf_counter()
        self._open(trainer)

    def on_batch_end(self, trainer: TrainerBase) -> None:
        if self._bar is None:
            return
        now = time.perf_counter()
        if now - self._drawn > _DRAW_EVERY:
            self._drawn = now
            self._bar.set_postfix_str(f"loss {trainer.loss.item():.4g}", refresh=False)
            self._bar.update(trainer.batch_index - self._bar.n)

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        metrics = ", ".join(f"{name} {shown(value)}" for name, value in trainer.logs.items())
        if self._bar is not None:
            self._bar.set_postfix_str(fitting(metrics, sys.stderr), refresh=False)
            self._bar.update(trainer.batch_index - self._bar.n)
            self._close()
        else:
            seconds = time.perf_counter() - getattr(self, "_started", time.perf_counter())
            say(f"{self._title(trainer)}: {metrics} ({seconds:.1f} s)")

    def on_fit_start(self, trainer: TrainerBase) -> None:
        if trainer.inside_epoch:  # resumed there
            self.on_epoch_start(trainer)

    def on_fit_end(self, trainer: TrainerBase) -> None:
        self._close()
        if trainer.stopped is not None:
            say(f"Stopped after epoch {trainer.epoch}, batch {trainer.batch_index}: {trainer.stopped}")

    def on_exception(self, trainer: TrainerBase, error: BaseException) -> None:
        self._close()

    def _title(self, trainer: TrainerBase) -> str:
        return f"{self.label} {trainer.epoch}/{trainer.epochs}"

    def _open(self, trainer: TrainerBase) -> None:
        if is_terminal(sys.stderr):
            from tqdm import tqdm

            self._bar = tqdm(
                desc=fitting(self._title(trainer), sys.stderr),
                total=trainer.batches,
                initial=trainer.batch_index,
                dynamic_ncols=True,
            )

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
