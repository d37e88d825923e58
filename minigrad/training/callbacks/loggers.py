"""Write the metrics of a training: as a table, for TensorBoard, or into the folder of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...csv_table import write_table
from ...files import make_writable
from ...utils.tensorboard import SummaryWriter
from ..callback import Callback, Order
from ..trainer_base import TrainerBase


class CSVLogger(Callback):
    """Write ``trainer.history`` to a CSV file, a row for each epoch; the file is complete at any moment.

    Args:
        path: of the file; its folder is made if necessary. An older file is replaced after the first epoch.
        performance: also write the metrics that depend on the machine.
    Raises OSError before the training begins if nothing can be written there.
    """

    order = Order.REPORT

    def __init__(self, path: str | os.PathLike[str], performance: bool = False) -> None:
        self.path = Path(path)
        self.performance = performance

    def on_fit_start(self, trainer: TrainerBase) -> None:
        make_writable(self.path.parent)

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        rows = trainer.history
        if self.performance:
            rows = [{**row, **more} for row, more in zip(rows, trainer.performance_history, strict=True)]
        write_table(self.path, rows)


class TensorBoardLogger(Callback):
    """Write every metric of an epoch, and the loss of every ``every``-th batch, for TensorBoard.

    The steps of the metrics are epochs, those of the loss of batches are updates; that loss has its own log in the
    subfolder ``batches``. On resuming, entries after the checkpoint are hidden.

    Args:
        folder: of the logs.
        every: batches between two losses; 0: none.
        model_input: an input (or a tuple of them) with which the model's graph is written once.
        hparams: settings, written at the end with the last epoch's metrics, to compare runs.
    """

    order = Order.REPORT

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int = 50,
        model_input: Any = None,
        hparams: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.every = every
        self.model_input = model_input
        self.hparams = hparams
        self._writer: Any = None
        self._batch_writer: Any = None

    def on_fit_start(self, trainer: TrainerBase) -> None:
        done = trainer.epoch - trainer.inside_epoch
        self._writer = SummaryWriter(self.folder, purge_step=done + 1 if trainer.resumed else None)
        if self.every:
            self._batch_writer = SummaryWriter(
                self.folder / "batches", purge_step=trainer.step + 1 if trainer.resumed else None
            )
        if self.model_input is not None and not trainer.resumed:
            self._writer.add_graph(trainer.model, self.model_input)

    @property
    def writer(self) -> Any:
        """The SummaryWriter of the metrics, open during a fit."""
        return self._writer

    def on_batch_end(self, trainer: TrainerBase) -> None:
        if self.every and trainer.step % self.every == 0:
            self._batch_writer.add_scalar("batch/loss", trainer.loss, trainer.step)

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        for name, value in {**trainer.logs, **trainer.performance}.items():
            self._writer.add_scalar(name, value, trainer.epoch)

    def on_fit_end(self, trainer: TrainerBase) -> None:
        if self.hparams is not None and trainer.history:
            metrics = {name: value for name, value in trainer.history[-1].items() if name != "epoch"}
            self._writer.add_hparams(self.hparams, metrics, run_name="hparams")
        self._close()

    def on_exception(self, trainer: TrainerBase, error: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        for writer in (self._writer, self._batch_writer):
            if writer is not None:
                writer.close()


class RunLogger(Callback):
    """Write the metrics into the folder of a :class:`minigrad.runs.Run`: history, TensorBoard's logs.

    Args:
        run: the run.
        every: batches between two losses for TensorBoard; 0: none.
        model_input: an input (or a tuple of them) with which the model's graph is written once for TensorBoard.
    """

    order = Order.REPORT

    def __init__(self, run: Any, every: int = 50, model_input: Any = None) -> None:
        self.run = run
        self.every = every
        self.model_input = model_input

    def on_fit_start(self, trainer: TrainerBase) -> None:
        if trainer.resumed:
            self.run.rewind(trainer.history, trainer.performance_history, trainer.step)
        elif self.model_input is not None:
            self.run.writer.add_graph(trainer.model, self.model_input)

    def on_batch_end(self, trainer: TrainerBase) -> None:
        if self.every and trainer.step % self.every == 0:
            self.run.batch_writer.add_scalar("batch/loss", trainer.loss, trainer.step)

    def on_epoch_end(self, trainer: TrainerBase) -> None:
        self.run.log(trainer.epoch, **trainer.logs)
        self.run.log_performance(trainer.epoch, **trainer.performance)

    def on_fit_end(self, trainer: TrainerBase) -> None:
        if trainer.interrupted:
            self.run.interrupt(f"Stopped by Ctrl-C in epoch {trainer.epoch} after batch {trainer.batch_index}")
        elif trainer.stopped is not None:
            self.run.notice(f"Ended in epoch {trainer.epoch} of {trainer.epochs}: {trainer.stopped}.")
