"""Changes the learning rate during the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ...optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from ..callback import Callback, Order
from ..trainer_base import TrainerBase


class LRSchedule(Callback):
    """Call a scheduler of :mod:`minigrad.optim.lr_scheduler` after each epoch, or after each batch.

        LRSchedule(StepLR(optimizer, 3, gamma=0.5))
        LRSchedule(CyclicLR(optimizer, 1e-4, 5e-3, step_size_up=2000), interval="batch")
        LRSchedule(ReduceLROnPlateau(optimizer, factor=0.5, patience=2), monitor="val_loss")

    A batch without an update (CancelBatch) is not counted. In a second fit a schedule continues where the first one
    ended, except that ReduceLROnPlateau is reset, unless the fit resumes another.

    Args:
        scheduler: made for the trainer's optimizer.
        interval: "epoch" or "batch".
        monitor: the metric for ReduceLROnPlateau (which has its own ``mode``); not allowed for another scheduler.
    Raises TypeError for another scheduler, ValueError for arguments that do not fit it.
    """

    order = Order.CONTROL

    def __init__(
        self, scheduler: Any, interval: Literal["epoch", "batch"] = "epoch", monitor: str | None = None
    ) -> None:
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(f"LRSchedule: scheduler is a {type(scheduler).__name__}, expected an LRScheduler")
        if interval not in ("epoch", "batch"):
            raise ValueError(f"LRSchedule: interval = {interval!r}, expected 'epoch' or 'batch'")
        watches = isinstance(scheduler, ReduceLROnPlateau)
        if watches and (monitor is None or interval != "epoch"):
            raise ValueError("LRSchedule: ReduceLROnPlateau needs monitor, the metric to watch, and interval='epoch'")
        if not watches and monitor is not None:
            raise ValueError(f"LRSchedule: {type(scheduler).__name__} watches no metric; leave monitor out")
        self.scheduler = scheduler
        self.interval = interval
        self.monitor = monitor

    def on_fit_start(self, trainer: TrainerBase) -> None:
        if self.scheduler.optimizer is not trainer.optimizer:
            raise ValueError(f"{self!r}: its scheduler is of another optimizer than the trainer's")
        if isinstance(self.scheduler, ReduceLROnPlateau) and not trainer.resumed:
            self.scheduler._reset()

    def on_batch_end(self, trainer: TrainerBase) -> None:
        if self.interval == "batch":
            self.scheduler.step()

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        if self.monitor is not None:
            self.scheduler.step(trainer.value(self.monitor, repr(self)))  # type: ignore[arg-type]
        elif self.interval == "epoch":
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return {"class": type(self.scheduler).__name__, "scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["class"] != type(self.scheduler).__name__:
            raise ValueError(f"{self!r} cannot go on with the schedule of a {state['class']}")
        self.scheduler.load_state_dict(state["scheduler"])

    def __repr__(self) -> str:
        return f"LRSchedule({type(self.scheduler).__name__})"


class LearningRateMonitor(Callback):
    """Log ``lr``, the learning rate of the epoch's last update (of the first parameter group)."""

    def on_fit_start(self, trainer: TrainerBase) -> None:
        if not trainer.resumed:
            self._rate = trainer.optimizer.param_groups[0]["lr"]

    def on_before_step(self, trainer: TrainerBase) -> None:
        self._rate = trainer.optimizer.param_groups[0]["lr"]

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        trainer.log("lr", self._rate)

    def log_names(self) -> tuple[str, ...]:
        return ("lr",)

    def state_dict(self) -> dict[str, Any]:
        return {"rate": getattr(self, "_rate", None)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._rate = state["rate"]
