"""Measures the memory of a training."""

from __future__ import annotations

from collections.abc import Iterable

from ..callback import Callback
from ..probes import gpu_memory, peak_memory, resident_memory
from ..trainer_base import TrainerBase


class MemoryMonitor(Callback):
    """Log the memory in MiB at the end of each epoch: ``rss_mib`` and ``peak_rss_mib`` of the process, and ``gpu_mib``.

    The last is that of arrays on the GPU, 0 without one. All depend on the machine (``trainer.performance``).
    """

    def log_names(self) -> Iterable[str]:
        return ("rss_mib", "peak_rss_mib", "gpu_mib")

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        trainer.log("rss_mib", resident_memory(), performance=True)
        trainer.log("peak_rss_mib", peak_memory(), performance=True)
        trainer.log("gpu_mib", gpu_memory(), performance=True)
