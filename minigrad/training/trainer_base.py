"""The base of the Trainer: its parts, its state, and what callbacks may call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..autograd import no_grad
from ..devices import device as Device
from ..nn import Module
from ..nn.inspection.preserved import preserved
from ..optim import Optimizer
from ..tensor import Tensor
from .batches import checked_loader, joined, loss_weight, samples_in, split, to_device
from .callback import Callback
from .streaming import Mean, Metric
from .trainer_checks import check_optimizer, checked_callbacks, checked_metrics, device_of, not_logged

Row = dict[str, Any]


class TrainerBase:
    """A model with its loss, optimizer, metrics and callbacks; the loop is added by the Trainer.

    The arguments are those of :class:`minigrad.training.Trainer`.

    Attributes:
        epoch, epochs: the current epoch, counted from 1, and the number of all epochs.
        batch_index, batches: the current batch in its epoch, counted from 1, and their number (None if not known).
        step: updates since the training began.
        batch, output, loss: of the current batch; ``loss`` is a tensor.
        loss_weight: the weight of that loss in the epoch's mean; 0 if all its targets are ignored.
        logs: the metrics of the current epoch; ``performance``: those that depend on the machine (times, memory).
        history, performance_history: a dict for each finished epoch, with "epoch" and the metrics above.
        stopped: why the fit was ended early, or None. ``interrupted``: whether it was by Ctrl-C.
        resumed: whether this fit continues from a checkpoint.
        inside_epoch: whether the current epoch is unfinished: from ``on_epoch_start`` to ``on_validation_end``.
        batches_done: whether its training batches are done, so that only validation remains.
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

    # ---------------------------------------------------------------------------------------------------- a batch

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
        """Update the meters with the current batch, output and loss."""
        summed = getattr(self.criterion, "reduction", "mean") == "sum"
        for name, meter in meters.items():
            if name == "loss":
                meter.update(self.loss, 1 if summed else self.loss_weight, self.loss_weight)
            else:
                meter.update(self.output, self.batch[-1])

    def update(self, batch: Any) -> tuple[Any, Any]:
        """Update the weights with one batch, without events and metrics; returns output and loss."""
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
        """{"loss": …, and each metric} over a loader's batches, in eval mode. No events.

        A callback may call it at any time: the current batch, output and loss stay. But not with the training loader in
        the middle of an epoch, which would start again.
        """
        under_way = self.batch, self.output, self.loss, self.loss_weight
        try:
            return self._measure(loader, self._new_meters(), "Trainer.evaluate: loader")
        finally:
            self.batch, self.output, self.loss, self.loss_weight = under_way

    def predict(self, loader: Iterable[Any]) -> Any:
        """The model's outputs for all batches, (N, …), in eval mode; a tuple for a model with several outputs.

        A batch may have a target or not: the last of several parts is left out. Raises ValueError for a loader without
        batches.
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
        """The meters' values over a loader's batches; ``after`` is called after each batch."""
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

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        with preserved(self.model, "flags"), no_grad():
            self.model.eval()
            yield

    def to_device(self, batch: Any) -> Any:
        """A batch with all its tensors on the trainer's device."""
        return to_device(batch, self.device)

    # ------------------------------------------------------------------------------------------ what callbacks call

    def log(self, name: str, value: Any, performance: bool = False) -> None:
        """Add a metric to the current epoch; ``performance``: it depends on the machine (a time, an amount of memory).

        Those are kept apart, so that equal seeds give equal histories.
        """
        number = value.item() if hasattr(value, "item") else value
        (self.performance if performance else self.logs)[name] = number
        if not self.inside_epoch and self.history:  # in on_epoch_end: the row is there already
            (self.performance_history if performance else self.history)[-1][name] = number

    def stop(self, reason: str) -> None:
        """End the fit after the current event, once all callbacks have handled it."""
        if self.stopped is None or self.interrupted:  # a training that ended by itself is not to be resumed
            self.stopped, self.interrupted = reason, False

    def value(self, name: str, who: str) -> float:
        """The metric ``name`` of the current epoch, for a callback ``who``. Raises ValueError if it was not logged."""
        if name in self.logs:
            return float(self.logs[name])
        if name in self.performance:
            return float(self.performance[name])
        raise ValueError(not_logged(who, name, [*self.logs, *self.performance]))

    def keyed_callbacks(self) -> Iterator[tuple[str, Callback]]:
        """A name for each callback that is the same in every run of a script: its class, numbered if it repeats."""
        seen: dict[str, int] = {}
        for callback in self.callbacks:
            name = type(callback).__name__
            seen[name] = seen.get(name, 0) + 1
            yield (name if seen[name] == 1 else f"{name}-{seen[name]}"), callback
