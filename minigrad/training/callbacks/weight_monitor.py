"""Measures the weights and how far they move."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ...tensor import Tensor
from ..probes import WeightProbe
from ..trainer_base import TrainerBase
from .monitor import Monitor, checked_count


class WeightMonitor(Monitor):
    """Log how far the weights moved: ``weight_change`` over the epoch, ``update_ratio`` in a step.

    ``weight_change`` is ‖w − w₀‖₂ of all parameters as one vector, w₀ at the start of the epoch. ``update_ratio`` is
    ‖Δw‖₂ / ‖w‖₂ of one optimizer step, averaged over the measured steps of the epoch: the first and then every
    ``every``-th. For TensorBoard, at the epoch: each parameter's change (``weight_change/…``) and histogram
    (``weights/…``).

    Args:
        writer: a SummaryWriter, a Run or a TensorBoardLogger; None: nothing is written.
        every: batches from one measured step to the next.
    Attributes:
        history: for each epoch ``{"epoch": …, "layers": {parameter: {"mean", "std", "norm", "change"}}}``, the first
            three at its end.
    """

    def __init__(self, writer: Any = None, every: int = 50) -> None:
        super().__init__(writer)
        self.every = checked_count("WeightMonitor", "every", every)
        self._start: Mapping[str, Tensor] = {}  # the weights at the start of the epoch
        self._before: WeightProbe | None = None  # marked before the step that is measured
        self._begin()

    def _begin(self) -> None:
        self._measured = 0  # steps of this epoch
        self._ratios = 0.0  # Σ over them

    def log_names(self) -> Iterable[str]:
        return ("weight_change", "update_ratio")

    def on_epoch_start(self, trainer: TrainerBase) -> None:
        self._begin()
        probe = WeightProbe(trainer.model)
        probe.mark()
        self._start = probe.marked

    def on_before_step(self, trainer: TrainerBase) -> None:
        self._before = None
        if (trainer.batch_index - 1) % self.every == 0:
            self._before = WeightProbe(trainer.model)
            self._before.mark()

    def on_batch_end(self, trainer: TrainerBase) -> None:
        if self._before is not None:
            self._ratios += self._before.ratio
            self._measured += 1
            self._before = None

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        probe = WeightProbe(trainer.model)
        probe.marked = self._start
        changes, histograms = probe.changes(), probe.histograms()
        trainer.log("weight_change", math.hypot(*changes.values()))
        trainer.log("update_ratio", self._ratios / self._measured if self._measured else math.nan)
        layers = {
            name: {"mean": h.mean, "std": h.std, "norm": h.norm, "change": changes[name]}
            for name, h in histograms.items()
        }
        self.history.append({"epoch": trainer.epoch, "layers": layers})
        if (writer := self.summary_writer) is not None:
            for name, histogram in histograms.items():
                histogram.add_to(writer, f"weights/{name}", trainer.epoch)
                writer.add_scalar(f"weight_change/{name}", changes[name], trainer.epoch)

    def state_dict(self) -> dict[str, Any]:
        return {"start": dict(self._start), "measured": self._measured, "ratios": self._ratios, **super().state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._start = dict(state["start"])
        self._measured, self._ratios = state["measured"], state["ratios"]
        super().load_state_dict(state)
