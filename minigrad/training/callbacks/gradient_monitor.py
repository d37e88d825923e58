"""Measures gradients by layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..probes import GradientProbe
from ..trainer_base import TrainerBase
from .monitor import Monitor, checked_count


class GradientMonitor(Monitor):
    """Log ``grad_norm``, and report for each epoch which layers' gradients vanish or explode.

    ``grad_norm`` is the L2 norm of all gradients as one vector, averaged over the measured batches of the epoch: the
    first and then every ``every``-th. Gradients are measured after the backward pass, before clipping. For
    TensorBoard: each parameter's mean norm (``gradient_norm/…``) and, of the epoch's first batch, the histogram of its
    gradient (``gradients/…``), at the epoch.

    Args:
        writer: a SummaryWriter, a Run or a TensorBoardLogger; None: nothing is written.
        every: batches from one measurement to the next.
        vanishing, exploding, limit: the thresholds of :meth:`minigrad.training.probes.GradientProbe.verdict`.
    Attributes:
        history: for each epoch ``{"epoch": …, "layers": {parameter: {"norm": mean norm, "rms": per element}}}``.
        verdicts: the problems found, as text: "epoch 2: conv1.weight: gradient of …".
    """

    def __init__(
        self, writer: Any = None, every: int = 50, vanishing: float = 1e-4, exploding: float = 1e4, limit: float = 1e6
    ) -> None:
        super().__init__(writer)
        self.every = checked_count("GradientMonitor", "every", every)
        self.thresholds = {"vanishing": vanishing, "exploding": exploding, "limit": limit}
        self.verdicts: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self._measured = 0  # batches of this epoch
        self._total = 0.0  # Σ over them of the norm of all gradients
        self._norms: dict[str, float] = {}  # and of each parameter's

    def log_names(self) -> Iterable[str]:
        return ("grad_norm",)

    def on_fit_start(self, trainer: TrainerBase) -> None:
        super().on_fit_start(trainer)
        if not trainer.resumed:
            self.verdicts = []

    def on_epoch_start(self, trainer: TrainerBase) -> None:
        self._begin()

    def on_before_step(self, trainer: TrainerBase) -> None:
        if (trainer.batch_index - 1) % self.every:
            return
        probe = GradientProbe(trainer.model)
        norms = probe.norms()
        self._total += math.hypot(*norms.values())
        for name, norm in norms.items():
            self._norms[name] = self._norms.get(name, 0.0) + norm
        if self._measured == 0 and (writer := self.summary_writer) is not None:
            for name, histogram in probe.histograms().items():
                histogram.add_to(writer, f"gradients/{name}", trainer.epoch)
        self._measured += 1

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        n = self._measured
        trainer.log("grad_norm", self._total / n if n else math.nan)
        if n == 0:
            return
        norms = {name: total / n for name, total in self._norms.items()}
        found = GradientProbe(trainer.model).verdict(**self.thresholds, norms=norms)
        self.verdicts += [f"epoch {trainer.epoch}: {text}" for text in found]
        sizes = {name: p.numel() for name, p in trainer.model.named_parameters()}
        layers = {name: {"norm": norm, "rms": norm / math.sqrt(sizes[name])} for name, norm in norms.items()}
        self.history.append({"epoch": trainer.epoch, "layers": layers})
        if (writer := self.summary_writer) is not None:
            for name, norm in norms.items():
                writer.add_scalar(f"gradient_norm/{name}", norm, trainer.epoch)

    def state_dict(self) -> dict[str, Any]:
        return {
            "measured": self._measured,
            "total": self._total,
            "norms": dict(self._norms),
            **super().state_dict(),
            "verdicts": list(self.verdicts),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._measured, self._total, self._norms = state["measured"], state["total"], dict(state["norms"])
        self.verdicts = list(state["verdicts"])
        super().load_state_dict(state)
