"""Measures the outputs of the layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...tensor import Tensor
from ..probes import ActivationProbe
from ..trainer_base import TrainerBase
from .monitor import Monitor


class ActivationMonitor(Monitor):
    """Measure the layers' outputs for one fixed batch at the end of each epoch, in eval mode.

    It logs ``saturated``, the largest share of saturated outputs of any Tanh or Sigmoid, and ``dead``, the largest
    share of dead units of any ReLU, if the model has such modules. For TensorBoard, at the epoch: each layer's
    histogram (``activations/…``) and its shares (``saturated/…``, ``dead/…``). Activations that a ``forward`` computes
    by functions (``F.tanh``) are not measured: see :class:`minigrad.training.probes.ActivationProbe`.

    Args:
        batch: an input, or (input, …, target) as a DataLoader yields it; about 100 samples are enough.
        writer: a SummaryWriter, a Run or a TensorBoardLogger; None: nothing is written.
        layers, saturation: as of the probe.
    Attributes:
        history: for each epoch ``{"epoch": …, "layers": {layer: {"mean", "std", "saturated", "dead"}}}``, the shares
            only where the layer has one.
    """

    def __init__(
        self, batch: Any, writer: Any = None, layers: Iterable[str] | None = None, saturation: float = 0.97
    ) -> None:
        if not isinstance(batch, (Tensor, tuple, list)) or not len(batch):
            raise TypeError(
                f"ActivationMonitor: batch is a {type(batch).__name__}, expected a tensor or a batch of them"
            )
        self.batch = batch
        self.layers = layers if layers is None or isinstance(layers, str) else list(layers)
        self.saturation = saturation
        super().__init__(writer)

    def log_names(self) -> Iterable[str]:
        return ("saturated", "dead")

    def on_fit_start(self, trainer: TrainerBase) -> None:
        super().on_fit_start(trainer)
        self._probe = ActivationProbe(trainer.model, self.layers, self.saturation)

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        writer = self.summary_writer
        layers: dict[str, dict[str, float]] = {}
        for name, seen in self._probe.measure(self.batch).items():
            shares = {"saturated": seen.saturated, "dead": seen.dead}
            known = {what: share for what, share in shares.items() if share is not None}
            layers[name] = {"mean": seen.mean, "std": seen.std, **known}
            if writer is not None:
                seen.histogram.add_to(writer, f"activations/{name}", trainer.epoch)
                for what, share in known.items():
                    writer.add_scalar(f"{what}/{name}", share, trainer.epoch)
        for what in self.log_names():
            shares_of_all = [measured[what] for measured in layers.values() if what in measured]
            if shares_of_all:
                trainer.log(what, max(shares_of_all))
        self.history.append({"epoch": trainer.epoch, "layers": layers})
