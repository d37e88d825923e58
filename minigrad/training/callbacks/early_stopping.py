"""Ends a training that no longer improves."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ..callback import Callback, Order
from ..trainer_base import TrainerBase
from .best import Best, Mode
from .monitor import checked_count


class EarlyStopping(Callback):
    """End the fit when a metric has not improved for ``patience`` epochs in a row, and go back to the best weights.

    An epoch whose metric is NaN counts as one without improvement.

    Args:
        monitor: the metric's name.
        mode: "min" or "max"; by the name if None.
        patience: the number of epochs without improvement that ends the fit; 1: the first one does.
        min_delta: a gain must be larger than this to count as an improvement.
        restore_best: load the weights of the best epoch at the end of the fit, unless Ctrl-C ended it, since the
            training may then be resumed.
    Attributes:
        best: ``best.value`` and ``best.epoch``, reset by each fit that does not resume another.
        waited: epochs since the best one.
    """

    order = Order.CONTROL

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 3,
        min_delta: float = 0.0,
        mode: Mode | None = None,
        restore_best: bool = True,
    ) -> None:
        self.monitor: str = monitor
        self.patience = checked_count("EarlyStopping", "patience", patience)
        self.restore_best = restore_best
        self.best = Best("EarlyStopping", monitor, mode, min_delta)
        self._reset()

    def _reset(self) -> None:
        self.best.reset()
        self.waited = 0
        self._weights: dict[str, Any] | None = None

    def on_fit_start(self, trainer: TrainerBase) -> None:
        if not trainer.resumed:
            self._reset()

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        value = trainer.value(self.monitor, repr(self))
        if self.best.improved(value, trainer.epoch):
            self.waited = 0
            if self.restore_best:
                self._weights = copy.deepcopy(trainer.model.state_dict())
            return
        self.waited += 1
        if self.waited >= self.patience:
            best = "no number yet" if self.best.value is None else f"{self.best.value:.6g} of epoch {self.best.epoch}"
            epochs = f"{self.waited} epochs" if self.waited > 1 else "an epoch"
            trainer.stop(f"{self.monitor} has not improved on {best} for {epochs} (EarlyStopping)")

    def on_fit_end(self, trainer: TrainerBase) -> None:
        if not self.restore_best or self._weights is None or trainer.interrupted:
            return
        if self.best.epoch != trainer.epoch:
            trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best.state_dict(), "waited": self.waited, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best.load_state_dict(state["best"])
        self.waited, self._weights = state["waited"], state["weights"]
