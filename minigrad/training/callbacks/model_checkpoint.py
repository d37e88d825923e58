"""Saves checkpoints to resume from, and the weights of the best epoch."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...files import make_writable, remove_drafts
from ...serialization import save
from ..callback import Callback, Order
from ..checkpoint import checkpoint_name, checkpoints_in, save_checkpoint
from ..trainer_state import ResumableTrainer
from .best import Best, Mode
from .monitor import checked_count


class ModelCheckpoint(Callback):
    """Write the whole state of the training every few epochs or steps, and the best epoch's weights.

    The folder then contains

    - ``step-<number>.safetensors``: all that ``Trainer.fit(resume=…)`` needs; the newest ``keep`` of them. One is
      always written at the end of the fit, also after Ctrl-C in the middle of an epoch;
    - ``best.safetensors``: the ``state_dict`` of the model after the best epoch, if a metric is monitored;
    - ``after-error.safetensors``: the ``state_dict`` of the model when an error ended the fit.

    A file appears complete or not at all. At least two checkpoints are kept, in case one is damaged. If a training was
    resumed from an older checkpoint, the newer ones are removed when the next one is written.

    A checkpoint inside an epoch needs a training loader with a ``state_dict``, such as a DataLoader. With another one
    ``every_steps`` is refused, and a fit that ends inside an epoch is saved up to the epoch before, with a warning.

    Args:
        folder: made if necessary.
        monitor: the metric that decides which epoch is the best; None: no best weights are kept.
        mode: "min" or "max"; by the name if None.
        every_epochs: epochs from one checkpoint to the next.
        every_steps: also updates from one to the next, if not None.
        keep: the number of checkpoints kept, 2 or more.
    Attributes:
        best: ``best.value`` and ``best.epoch``.
    Raises before the training begins: OSError if the folder cannot be written, FileExistsError if it holds the
    checkpoints of another training, ValueError for every_steps with a loader without a state.
    """

    order = Order.SAVE

    def __init__(
        self,
        folder: str | os.PathLike[str],
        monitor: str | None = None,
        mode: Mode | None = None,
        every_epochs: int = 1,
        every_steps: int | None = None,
        keep: int = 2,
    ) -> None:
        self.folder = Path(folder)
        self.monitor = monitor
        self.every_epochs = checked_count("ModelCheckpoint", "every_epochs", every_epochs)
        self.every_steps = None
        if every_steps is not None:
            self.every_steps = checked_count("ModelCheckpoint", "every_steps", every_steps)
        self.keep = checked_count("ModelCheckpoint", "keep", keep, 2)
        self.best = Best("ModelCheckpoint", monitor, mode) if monitor is not None else None
        self._saved: tuple[int, int, bool] | None = None  # the position of the last one

    @property
    def best_weights(self) -> Path:
        """The path of the best epoch's weights."""
        return self.folder / "best.safetensors"

    def on_fit_start(self, trainer: ResumableTrainer) -> None:
        make_writable(self.folder)
        if self.every_steps is not None and not _loader_has_state(trainer):
            raise ValueError(
                f"ModelCheckpoint: every_steps = {self.every_steps} needs a train_loader that can tell its place "
                f"(state_dict), such as a DataLoader; this one is a {type(trainer.train_loader).__name__}"
            )
        remove_drafts(self.folder)
        self._saved = _position(trainer) if trainer.resumed else None
        if not trainer.resumed:
            for old in (*checkpoints_in(self.folder), self.best_weights):
                if old.exists():
                    raise FileExistsError(
                        f"ModelCheckpoint: {self.folder} holds the checkpoints of another training ({old.name}); go on "
                        "with it, fit(resume=…), or take another folder"
                    )
            if self.best is not None:
                self.best.reset()

    def on_batch_end(self, trainer: ResumableTrainer) -> None:
        if self.every_steps is not None and trainer.step % self.every_steps == 0:
            self._save(trainer)

    def on_epoch_end(self, trainer: ResumableTrainer) -> None:
        if self.best is not None and self.monitor is not None:
            value = trainer.value(self.monitor, repr(self))
            if math.isnan(value):
                warnings.warn(
                    f"ModelCheckpoint: {self.monitor} is NaN after epoch {trainer.epoch}, so this epoch cannot become "
                    "the best one; checkpoints are written all the same",
                    stacklevel=2,
                )
            if self.best.improved(value, trainer.epoch):
                save(trainer.model.state_dict(), self.best_weights)
        if trainer.epoch % self.every_epochs == 0 or trainer.epoch == trainer.epochs or trainer.stopped is not None:
            self._save(trainer)

    def on_fit_end(self, trainer: ResumableTrainer) -> None:
        if trainer.epoch == 0 or self._saved == _position(trainer):
            return
        if not trainer.inside_epoch or _loader_has_state(trainer):
            self._save(trainer)
        else:
            warnings.warn(
                f"ModelCheckpoint: the fit ended inside epoch {trainer.epoch}, and train_loader "
                f"({type(trainer.train_loader).__name__}) cannot tell its place; the last checkpoint is that of the "
                "epoch before",
                stacklevel=2,
            )

    def on_exception(self, trainer: ResumableTrainer, error: BaseException) -> None:
        if trainer.step:
            save(trainer.model.state_dict(), self.folder / "after-error.safetensors")

    def _save(self, trainer: ResumableTrainer) -> None:
        newest = self.folder / checkpoint_name(trainer.step)
        save_checkpoint(trainer.state_dict(), newest)
        self._saved = _position(trainer)
        found = checkpoints_in(self.folder)
        kept = found[: found.index(newest) + 1][-self.keep :]  # later ones are from before the training was resumed
        for old in found:
            if old not in kept:
                old.unlink()

    def state_dict(self) -> dict[str, Any]:
        return {} if self.best is None else {"best": self.best.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self.best is not None:
            self.best.load_state_dict(state["best"])


def _position(trainer: ResumableTrainer) -> tuple[int, int, bool]:
    return trainer.epoch, trainer.batch_index, trainer.inside_epoch


def _loader_has_state(trainer: ResumableTrainer) -> bool:
    return hasattr(trainer.train_loader, "state_dict")
