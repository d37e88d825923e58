"""How much memory a training takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..probes import gpu_memory, peak_memory, resident_memory
from .base import Callback

if TYPE_CHECKING:
    from ..trainer_base import TrainerBase


class MemoryMonitor(Callback):
    """Log at the end of each epoch, in MiB, the main memory that the process has, the most it ever had, and the GPU's.

    The figures ``rss_mib``, ``peak_rss_mib`` and ``gpu_mib`` (what arrays hold there; 0 without a GPU) depend on the
    machine (``trainer.performance``).
    """

    def log_names(self) -> Iterable[str]:
        return ("rss_mib", "peak_rss_mib", "gpu_mib")

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        trainer.log("rss_mib", resident_memory(), performance=True)
        trainer.log("peak_rss_mib", peak_memory(), performance=True)
        trainer.log("gpu_mib", gpu_memory(), performance=True)
