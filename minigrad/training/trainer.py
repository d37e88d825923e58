"""The training loop, and nothing but the loop: all that is not forward, backward and update happens in callbacks.

Written out by hand, a training is this::

    for epoch in range(epochs):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        model.eval()
        ...                                   # the same over val_loader, without gradients

:class:`Trainer` is that loop with a name for each moment in it. Nothing in :mod:`minigrad.training` needs it: loggers,
probes, metrics, runs and checkpoints work in a loop of one's own just as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from .. import kernels
from ..autograd import no_grad
from ..devices import device as Device
from ..nn import Module
from ..optim import Optimizer
from ..tensor import Tensor
from ..utils.undisturbed import Buffers
from .batches import checked_loader, joined, loss_weight, samples_in, split, to_device
from .callbacks.base import EVENTS, Callback, CancelBatch, CancelEpoch, CancelFit
from .checkpoint import load_checkpoint
from .diagnosis import NonFiniteError, diagnose
from .progress import calls_on_interrupt
from .streaming import Mean, Metric
from .trainer_checks import check_optimizer, checked_callbacks, checked_metrics, device_of, nobody_logs
from .trainer_state import put_back_after, restore, state_of

Row = dict[str, Any]


class Trainer:
    """Trains a model; everything beyond the bare loop is a callback's.

        trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, {"accuracy": Accuracy()},
                          callbacks=[ProgressBar(), EarlyStopping("val_loss", patience=3)])
        history = trainer.fit(train_loader, val_loader, epochs=8)
        figures = trainer.evaluate(test_loader)          # {"loss": …, "accuracy": …}
        scores = trainer.predict(test_loader)            # (N, classes)

    A batch is a tuple or list ``(input, …, target)``; the model is called with the inputs, the criterion with the
    model's output and the target. Logged for each epoch: ``loss`` and each metric, over the training batches as they
    passed (so while the weights moved), and with ``val_`` before the name over the validation set at the end of it.
    Losses are means over samples, also where the last batch is shorter, or where ``criterion.reduction`` is "sum"; with
    weights of classes or ignored targets they are the criterion's mean over the whole set. A batch all of whose targets
    are ignored has no loss (NaN) and counts for nothing.

    A model in evaluation mode is put into training mode as a whole. Of one in training mode the layers stay as they
    are: batch norm that was frozen with ``layer.eval()`` remains frozen, and so it does after an evaluation.

    Ctrl-C ends the fit after the batch under way (during a validation, after the epoch) as any other stop:
    ``on_fit_end`` comes, what was trained stays. A second one raises KeyboardInterrupt at once.

    Args:
        model: the network. It is moved to the device.
        criterion: ``criterion(output, target)``, a tensor of one element.
        optimizer: that of the model's parameters; None if the trainer is only to evaluate.
        metrics: {name: :class:`Metric`}; each is copied for training and validation.
        callbacks: in any order; see :class:`Callback` for the events.
        device: where batches are moved to; that of the model's parameters if None.
    Attributes:
        epoch, epochs: the number of the epoch under way, from 1, and of all epochs.
        batch_index, batches: the number of the batch in its epoch, from 1; of all its batches (None if not known).
        step: updates made since the training began.
        batch, output, loss: of the batch under way; ``loss`` is a tensor.
        loss_weight: what that loss counts for in the epoch's; 0 if all its targets are ignored.
        logs: the figures of the epoch under way; ``performance`` those that depend on the machine (times, memory).
        history, performance_history: a dict for each epoch done, with "epoch" and the figures above.
        stopped: why the fit was ended early, or None. ``interrupted`` tells whether it was by Ctrl-C.
        resumed: whether this fit goes on from a checkpoint.
        inside_epoch: whether the epoch under way is not done yet: from ``on_epoch_start`` to ``on_validation_end``.
        batches_done: whether its training batches are, so that only validation remains.
    Raises TypeError and ValueError for arguments of the wrong kind.
    """

    def __init__(
        self,
        model: Module,
        criterion: Any,
        optimizer: Optimizer | None = None,
        metrics: Mapping[str, Metric] | None = None,
        callbacks: Iterable[Callback] = (),
        device: Any = None,
    ) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"Trainer: model is a {type(model).__name__}, expected an nn.Module")
        if not callable(criterion) or isinstance(criterion, type):
            raise TypeError(f"Trainer: criterion is {criterion!r}, expected a loss such as nn.CrossEntropyLoss()")
        if optimizer is not None:
            check_optimizer(optimizer, model)
        self.model = model if device is None else model.to(device)
        self.criterion = criterion
        self.optimizer: Any = optimizer
        self.device = Device(device) if device is not None else device_of(model)
        self._metrics = checked_metrics(metrics)
        self.meters = {"": self._new_meters(), "val_": self._new_meters()}  # of training and validation
        self.callbacks = checked_callbacks(callbacks)
        self.epoch = self.epochs = self.batch_index = self.step = 0
        self.batches: int | None = None
        self.batch: Any = None
        self.output: Any = None
        self.loss: Any = None
        self.loss_weight: Any = 0
        self.logs: Row = {}
        self.performance: Row = {}
        self.history: list[Row] = []
        self.performance_history: list[Row] = []
        self.stopped: str | None = None
        self.interrupted = self.resumed = False
        self.inside_epoch = self.batches_done = False
        self.train_loader: Any = None
        self.val_loader: Any = None
        self._listeners = self._find_listeners()

    # ------------------------------------------------------------------------------------------------------ the loop

    def fit(
        self,
        train_loader: Iterable[Any],
        val_loader: Iterable[Any] | None = None,
        epochs: int = 1,
        resume: Any = None,
    ) -> list[Row]:
        """Train until ``epochs`` epochs are done; returns ``history``.

        Args:
            train_loader, val_loader: batches, such as a DataLoader's.
            epochs: how many in all, those done before ``resume`` included.
            resume: a checkpoint (the path of a file that :class:`ModelCheckpoint` wrote, or of its folder, or a
                ``state_dict()``) to go on from: model, optimizer, callbacks, random state, the place in the epoch. The
                result is then bit for bit what it would have been without the interruption, if model, data and
                settings are the same. A training that had come to its end is not begun again.
        Raises:
            ValueError: epochs, a loader without batches, a callback that monitors what nobody logs, a loss of several
                elements.
            TypeError: something that is no loader, a batch of another form.
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
            restore(self, resume if isinstance(resume, Mapping) else load_checkpoint(resume), epochs)
        else:
            self.history, self.performance_history = [], []
            self.epoch = self.batch_index = self.step = 0
            self.inside_epoch = self.batches_done = False
        with calls_on_interrupt(self._interrupt):
            try:
                self._fit()
            except BaseException as error:
                self._tell_of(error)
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
            if not self.inside_epoch:  # else a checkpoint from inside it was loaded
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
            figures = self._measure(self.val_loader, self.meters["val_"], "Trainer.fit: val_loader", self._listening)
            self.logs.update({f"val_{name}": value for name, value in figures.items()})
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
        """The training batches of an epoch, or those that remain of it."""
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
        before = Buffers(self.model) if self.step == 0 else None
        self.optimizer.zero_grad()
        self.output = self.model(*inputs)
        self.loss = self._loss_of(self.batch, self.output)
        if before is not None and self.loss_weight and not math.isfinite(self.loss.item()):
            before.put_back()
            raise NonFiniteError(f"Trainer.fit: {diagnose(self)}")
        self._emit("on_before_backward")
        self.loss.backward()
        self._emit("on_before_step")
        self.optimizer.step()
        self.step += 1
        self._update_meters(self.meters[""])

    def _loss_of(self, batch: Any, output: Any) -> Any:
        loss = self.criterion(output, batch[-1])
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            what = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"type {type(loss).__name__}"
            raise ValueError(
                f"Trainer: the criterion returned something of {what}, expected a tensor of one element; take the mean "
                "or the sum of it (a loss of minigrad.nn: not with reduction='none')"
            )
        self.loss_weight = loss_weight(self.criterion, output, batch[-1], samples_in(batch))
        return loss

    def _update_meters(self, meters: Mapping[str, Any]) -> None:
        """Tell the meters of the batch, output and loss at hand."""
        summed = getattr(self.criterion, "reduction", "mean") == "sum"
        for name, meter in meters.items():
            if name == "loss":
                meter.update(self.loss, 1 if summed else self.loss_weight, self.loss_weight)
            else:
                meter.update(self.output, self.batch[-1])

    def update(self, batch: Any) -> tuple[Any, Any]:
        """One update on a batch, without events and figures; returns output and loss."""
        batch = self.to_device(batch)
        inputs, _ = split(batch)
        self.optimizer.zero_grad()
        output = self.model(*inputs)
        loss = self._loss_of(batch, output)
        loss.backward()
        self.optimizer.step()
        return output, loss

    # ----------------------------------------------------------------------------------------- without learning

    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """{"loss": …, and each metric} over a loader's batches, in evaluation mode. No events.

        A callback may call it at any time: what the trainer knows of the batch under way stays. Only for the training
        loader in the middle of its epoch that is no use, which begins it anew.
        """
        under_way = self.batch, self.output, self.loss, self.loss_weight
        try:
            return self._measure(loader, self._new_meters(), "Trainer.evaluate: loader")
        finally:
            self.batch, self.output, self.loss, self.loss_weight = under_way

    def predict(self, loader: Iterable[Any]) -> Any:
        """The model's outputs for all batches, (N, …), in evaluation mode; a tuple for a model with several outputs.

        A batch may come with or without a target: the last of several parts is left out. Raises ValueError for a
        loader without batches.
        """
        checked_loader("Trainer.predict: loader", loader)
        outputs = []
        with self._evaluating():
            for batch in loader:
                batch = self.to_device(batch)
                inputs = batch if isinstance(batch, (tuple, list)) else (batch,)
                outputs.append(self.model(*(inputs[:-1] if len(inputs) > 1 else inputs)))
            if not outputs:
                raise ValueError("Trainer.predict: the loader yielded no batch")
            return joined(outputs)

    def _measure(self, loader: Any, meters: dict[str, Any], who: str, after: Any = None) -> dict[str, float]:
        """What the meters say of a loader's batches; ``after`` is called behind each batch."""
        checked_loader(who, loader)
        for meter in meters.values():
            meter.reset()
        empty = True
        with self._evaluating():
            for batch in loader:
                empty = False
                self.batch = self.to_device(batch)
                inputs, _ = split(self.batch)
                self.output = self.model(*inputs)
                self.loss = self._loss_of(self.batch, self.output)
                self._update_meters(meters)
                if after is not None:
                    after()
        if empty:
            raise ValueError(f"{who} yielded no batch; is the data set empty, or an iterator that was used before?")
        return {name: meter.compute() for name, meter in meters.items()}

    def _new_meters(self) -> dict[str, Any]:
        return {"loss": Mean(), **{name: metric.clone() for name, metric in self._metrics.items()}}

    def _listening(self) -> None:
        self._emit("on_validation_batch_end")

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            with no_grad():
                yield
        finally:
            for module, training in modes:
                module.training = training

    def to_device(self, batch: Any) -> Any:
        """A batch with all its tensors on the trainer's device."""
        return to_device(batch, self.device)

    # ------------------------------------------------------------------------------------------ what callbacks call

    def log(self, name: str, value: Any, performance: bool = False) -> None:
        """Add a figure to those of the epoch; ``performance``: it depends on the machine (a time, an amount of memory).

        Figures of the machine are kept apart, so that equal seeds give equal histories.
        """
        number = value.item() if hasattr(value, "item") else value
        (self.performance if performance else self.logs)[name] = number
        if not self.inside_epoch and self.history:  # in on_epoch_end: the row is there already
            (self.performance_history if performance else self.history)[-1][name] = number

    def stop(self, reason: str) -> None:
        """End the fit once the event under way has been heard by all: after this batch, or after this epoch."""
        if self.stopped is None or self.interrupted:  # who ends it by himself need not go on after the interruption
            self.stopped, self.interrupted = reason, False

    def value(self, name: str, who: str) -> float:
        """The figure ``name`` of the epoch under way, for a callback ``who``. Raises ValueError if nobody logged it."""
        if name in self.logs:
            return float(self.logs[name])
        if name in self.performance:
            return float(self.performance[name])
        raise ValueError(nobody_logs(who, name, [*self.logs, *self.performance]))

    def _interrupt(self) -> None:
        if self.stopped is None:
            self.stopped, self.interrupted = "interrupted by Ctrl-C", True

    # ------------------------------------------------------------------------------------------------------ the events

    def _find_listeners(self) -> dict[str, list[tuple[Callback, Any]]]:
        """For each event those who overrode it, so that an event that nobody hears costs nothing."""
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

    def _tell_of(self, error: BaseException) -> None:
        """on_exception for everybody; an error in there is noted on the first one, which it must not hide."""
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
                raise ValueError(nobody_logs(repr(callback), callback.monitor, names))

    # --------------------------------------------------------------------------------------------- to go on later

    def state_dict(self) -> dict[str, Any]:
        """All that decides how the training goes on, for ``fit(resume=…)``; :class:`ModelCheckpoint` writes it."""
        return state_of(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a :meth:`state_dict`; ``fit(resume=…)`` calls it, which knows the loaders.

        A place inside an epoch needs a loader that can go on from there, such as a DataLoader. Raises CheckpointError
        if the state is of another training; nothing has changed then.
        """
        restore(self, state)

    def undisturbed(self) -> AbstractContextManager[None]:
        """A context whose training leaves no trace: model, optimizer, random state and loader are put back."""
        return put_back_after(self)

    def keyed_callbacks(self) -> Iterator[tuple[str, Callback]]:
        """A name for each callback that is the same in every run of a script: its class, and a number if need be."""
        seen: dict[str, int] = {}
        for callback in self.callbacks:
            name = type(callback).__name__
            seen[name] = seen.get(name, 0) + 1
            yield (name if seen[name] == 1 else f"{name}-{seen[name]}"), callback
