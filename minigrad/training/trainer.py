"""The training loop: forward pass, backward pass and update. Everything else happens in callbacks.

Written by hand, a training loop is this::

    for epoch in range(epochs):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        model.eval()
        ...                                   # the same over val_loader, without gradients

:class:`Trainer` is that loop with an event at each step. The rest of :mod:`minigrad.training` does not need it: probes,
metrics and checkpoints work just as well in a loop of your own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

from .. import kernels
from ..interrupts import calls_on_interrupt
from ..nn.inspection.preserved import snapshot
from .batches import checked_loader, split, to_device
from .callback import EVENTS, Callback, CancelBatch, CancelEpoch, CancelFit
from .checkpoint import load_checkpoint
from .diagnosis import NonFiniteError, diagnose
from .trainer_base import Row
from .trainer_checks import not_logged
from .trainer_state import ResumableTrainer


class Trainer(ResumableTrainer):
    """Trains a model; everything beyond the bare loop is done by callbacks.

        trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, {"accuracy": Accuracy()},
                          callbacks=[ProgressBar(), EarlyStopping("val_loss", patience=3)])
        history = trainer.fit(train_loader, val_loader, epochs=8)
        metrics = trainer.evaluate(test_loader)          # {"loss": …, "accuracy": …}
        scores = trainer.predict(test_loader)            # (N, classes)

    A batch is a tuple or list ``(input, …, target)``; the model is called with the inputs, the criterion with the
    model's output and the target. Each epoch logs ``loss`` and each metric over the training batches, measured while
    the weights change, and with the prefix ``val_`` over the validation set at the end of the epoch.
    Losses are means over samples, also where the last batch is shorter, or where ``criterion.reduction`` is "sum"; with
    weights of classes or ignored targets they are the criterion's mean over the whole set. A batch all of whose targets
    are ignored has no loss (NaN) and counts for nothing.

    A model in eval mode is switched to training mode. If it is in training mode already, its layers keep their modes:
    batch norm that was frozen with ``layer.eval()`` stays frozen, also after an evaluation.

    Ctrl-C ends the fit after the current batch (during a validation: after the epoch), like any other stop:
    ``on_fit_end`` follows, and the weights stay. A second one raises KeyboardInterrupt at once.

    Args:
        model: the network. It is moved to the device.
        criterion: ``criterion(output, target)``, a tensor of one element.
        optimizer: of the model's parameters; None if the trainer only evaluates.
        metrics: {name: :class:`Metric`}; each is copied for training and validation.
        callbacks: in any order; see :class:`Callback` for the events.
        device: where batches are moved; the device of the model's parameters if None.
    Attributes: see :class:`minigrad.training.trainer_base.TrainerBase`.
    Raises TypeError and ValueError for arguments of the wrong kind.
    """

    # ------------------------------------------------------------------------------------------------------ the loop

    def fit(
        self, train_loader: Iterable[Any], val_loader: Iterable[Any] | None = None, epochs: int = 1, resume: Any = None
    ) -> list[Row]:
        """Train until ``epochs`` epochs are done; returns ``history``.

        Args:
            train_loader, val_loader: batches, such as a DataLoader's.
            epochs: the number of all epochs, including those before ``resume``.
            resume: a checkpoint (the path of a file that :class:`ModelCheckpoint` wrote, or of its folder, or a
                ``state_dict()``) to continue from: model, optimizer, callbacks, random state, position in the epoch.
                The result is then bit for bit the same as without the interruption, if model, data and settings are
                the same. A training that had ended is not started again.
        Raises:
            ValueError: epochs below 1, a loader without batches, a callback that monitors a metric that is not logged,
                a loss of several elements.
            TypeError: a loader that cannot be iterated over, a batch of another form.
            NonFiniteError: the loss of the first batch is NaN or infinite; the message says where it began.
            CheckpointError: ``resume`` is damaged, or of another training. Nothing has changed then.
        """
        if self.optimizer is None:
            raise ValueError("Trainer.fit: the trainer was made without an optimizer; pass one to Trainer(...)")
        if not isinstance(epochs, int) or epochs < 1:
            raise ValueError(f"Trainer.fit: epochs = {epochs!r}, expected a whole number above 0")
        self.batches = checked_loader("Trainer.fit: train_loader", train_loader, epochs)
        if val_loader is not None:
            checked_loader("Trainer.fit: val_loader", val_loader, epochs)
        kernels.load()  # before the first epoch's clock runs
        self.train_loader, self.val_loader, self.epochs = train_loader, val_loader, epochs
        self._listeners = self._find_listeners()
        self._check_monitors()
        self.stopped, self.interrupted, self.resumed = None, False, resume is not None
        if resume is not None:
            self._restore(resume if isinstance(resume, Mapping) else load_checkpoint(resume), epochs)
        else:
            self.history, self.performance_history = [], []
            self.epoch = self.batch_index = self.step = 0
            self.inside_epoch = self.batches_done = False
        with calls_on_interrupt(self._interrupt):
            try:
                self._fit()
            except BaseException as error:
                self._emit_exception(error)
                raise
        return self.history

    def _fit(self) -> None:
        try:
            self._begin_training()
            self._emit("on_fit_start")
            while self.stopped is None and (self.inside_epoch or self.epoch < self.epochs):
                self._run_epoch()
        except CancelFit as cancelled:
            self.stop(str(cancelled) or "cancelled")
        self._emit("on_fit_end")

    def _begin_training(self) -> None:
        if not self.model.training:
            self.model.train()

    def _run_epoch(self) -> None:
        try:
            if not self.inside_epoch:  # else a checkpoint inside the epoch was loaded
                self._begin_epoch()
            if not self.batches_done:
                self._run_batches()
                if self.stopped is not None:
                    return
        except CancelEpoch:
            pass
        self.batches_done = True
        self.logs.update({name: meter.compute() for name, meter in self.meters[""].items()})
        if self.val_loader is not None:
            self._emit("on_validation_start")
            emit = functools.partial(self._emit, "on_validation_batch_end")
            metrics = self._measure(self.val_loader, self.meters["val_"], "Trainer.fit: val_loader", emit)
            self.logs.update({f"val_{name}": value for name, value in metrics.items()})
            self._emit("on_validation_end")
        self.inside_epoch = False  # a checkpoint written in the next event goes on with the next epoch
        self.history.append({"epoch": self.epoch, **self.logs})
        self.performance_history.append({"epoch": self.epoch, **self.performance})
        self._emit("on_epoch_end")

    def _begin_epoch(self) -> None:
        self.epoch += 1
        self.batch_index = 0
        self.logs, self.performance = {}, {}
        for meter in self.meters[""].values():
            meter.reset()
        self.inside_epoch, self.batches_done = True, False
        self._emit("on_epoch_start")

    def _run_batches(self) -> None:
        """The training batches of an epoch, or the remaining ones after a resume."""
        self._begin_training()
        if self.stopped is not None:
            return
        for batch in self.train_loader:
            self.batch, self.batch_index = batch, self.batch_index + 1
            self._run_batch()
            if self.stopped is not None:
                return
        if self.batch_index == 0:
            raise ValueError(
                f"Trainer.fit: train_loader yielded no batch in epoch {self.epoch}; an iterator can be used only once, "
                "a DataLoader as often as wanted"
            )

    def _run_batch(self) -> None:
        try:
            self._emit("on_batch_start")
            self.batch = to_device(self.batch, self.device)
            self._train_on_batch()
            self._emit("on_batch_end")
        except CancelBatch:
            pass

    def _train_on_batch(self) -> None:
        inputs, _ = split(self.batch)
        put_back = snapshot(self.model, "buffers") if self.step == 0 else None
        self.optimizer.zero_grad()
        self.output = self.model(*inputs)
        self.loss = self._loss_of(self.batch, self.output)
        if put_back is not None and self.loss_weight and not math.isfinite(self.loss.item()):
            put_back()
            raise NonFiniteError(f"Trainer.fit: {diagnose(self)}")
        self._emit("on_before_backward")
        self.loss.backward()
        self._emit("on_before_step")
        self.optimizer.step()
        self.step += 1
        self._update_meters(self.meters[""])

    def _interrupt(self) -> None:
        if self.stopped is None:
            self.stopped, self.interrupted = "interrupted by Ctrl-C", True

    # ------------------------------------------------------------------------------------------------------ the events

    def _find_listeners(self) -> dict[str, list[tuple[Callback, Any]]]:
        """For each event the callbacks that override it, so that other events cost nothing."""
        ranked = sorted(self.callbacks, key=lambda callback: callback.order)
        return {
            event: [(c, getattr(c, event)) for c in ranked if getattr(type(c), event) is not getattr(Callback, event)]
            for event in EVENTS
        }

    def _emit(self, event: str) -> None:
        for callback, method in self._listeners[event]:
            try:
                method(self)
            except BaseException as error:
                where = f"epoch {self.epoch}, batch {self.batch_index}, step {self.step}"
                error.add_note(f"Raised by the callback {callback!r} in {event} ({where}).")
                raise

    def _emit_exception(self, error: BaseException) -> None:
        """on_exception for all callbacks; an error in one is noted on the first error, which it must not hide."""
        for callback, method in self._listeners["on_exception"]:
            try:
                method(self, error)
            except Exception as another:
                error.add_note(f"Then {callback!r} failed in on_exception: {type(another).__name__}: {another}")

    def _check_monitors(self) -> None:
        names = [prefix + name for prefix in self.meters for name in self.meters[prefix]]
        if self.val_loader is None:
            names = [name for name in names if not name.startswith("val_")]
        names += [name for callback in self.callbacks for name in callback.log_names()]
        for callback in self.callbacks:
            if callback.monitor is not None and callback.monitor not in names:
                raise ValueError(not_logged(repr(callback), callback.monitor, names))
