"""Keeping what was trained: checkpoints to go on from, and the weights of the best epoch."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...files import make_writable, remove_drafts
from ...serialization import save
from ..checkpoint import checkpoint_name, checkpoints_in, save_checkpoint
from .base import Callback, Order
from .best import Best, Mode
from .monitor import checked_count

if TYPE_CHECKING:
    from ..trainer_state import ResumableTrainer


class ModelCheckpoint(Callback):
    """Write the whole state of the training every so many epochs or steps, and the best epoch's weights.

    In the folder stand afterwards

    - ``step-<number>.safetensors``: all that ``Trainer.fit(resume=…)`` needs; the newest ``keep`` of them. One is
      written at the end of the fit in any case, also after Ctrl-C in the middle of an epoch;
    - ``best.safetensors``: the ``state_dict`` of the model after the best epoch, if a figure is monitored;
    - ``after-error.safetensors``: that of the model when an error ended the fit.

    A file appears whole or not at all. At least two checkpoints are kept, so that there is another one should one be
    damaged. Where a training went back to one that is not the newest, the newer ones go when the next is written.

    A checkpoint inside an epoch needs a training loader that can tell its place, such as a DataLoader. With another one
    ``every_steps`` is refused, and a fit that ends inside an epoch is kept until the epoch before, with a warning.

    Args:
        folder: made if need be.
        monitor: the figure by which an epoch is the best; None: no best weights are kept.
        mode: "min" or "max"; by the name if None.
        every_epochs: write a checkpoint after so many epochs.
        every_steps: and after so many updates, if not None.
        keep: how many checkpoints stay, 2 or more.
    Attributes:
        best: ``best.value`` and ``best.epoch``.
    Raises before the training begins: OSError if the folder cannot be written, FileExistsError if it holds the
    checkpoints of another training, ValueError for every_steps with a loader that cannot tell its place.
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
        self._saved: tuple[int, int, bool] | None = None  # the place of the last one

    @property
    def best_weights(self) -> Path:
        """Where the best epoch's weights lie, if there was one."""
        return self.folder / "best.safetensors"

    def on_fit_start(self, trainer: ResumableTrainer) -> None:
        make_writable(self.folder)
        if self.every_steps is not None and not _knows_its_place(trainer):
            raise ValueError(
                f"ModelCheckpoint: every_steps = {self.every_steps} needs a train_loader that can tell its place "
                f"(state_dict), such as a DataLoader; this one is a {type(trainer.train_loader).__name__}"
            )
        remove_drafts(self.folder)
        self._saved = _place(trainer) if trainer.resumed else None
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
        if trainer.epoch == 0 or self._saved == _place(trainer):
            return
        if not trainer.inside_epoch or _knows_its_place(trainer):
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
        self._saved = _place(trainer)
        found = checkpoints_in(self.folder)
        kept = found[: found.index(newest) + 1][-self.keep :]  # those behind it are of a future that was left
        for old in found:
            if old not in kept:
                old.unlink()

    def state_dict(self) -> dict[str, Any]:
        return {} if self.best is None else {"best": self.best.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self.best is not None:
            self.best.load_state_dict(state["best"])


def _place(trainer: ResumableTrainer) -> tuple[int, int, bool]:
    return trainer.epoch, trainer.batch_index, trainer.inside_epoch


def _knows_its_place(trainer: ResumableTrainer) -> bool:
    return hasattr(trainer.train_loader, "state_dict")
