"""The base class of callbacks, which handle the events of a :class:`minigrad.training.Trainer`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, ClassVar


class Order(IntEnum):
    """Which callbacks handle an event first. Those of equal rank do so in the order in which they were given."""

    MEASURE = 0  # examine the network, and log metrics
    CONTROL = 10  # act on metrics: stop, change the learning rate
    REPORT = 20  # show and write metrics
    SAVE = 30  # write a checkpoint, after all other callbacks have updated their state


class Callback:
    """Override the methods of the events of interest; each gets the trainer, whose attributes may be read and changed.

    In the order in which they are called::

        on_fit_start
          on_epoch_start
            on_batch_start            trainer.batch may be replaced
              (forward pass, loss)
            on_before_backward        trainer.output, trainer.loss
              (backward pass)
            on_before_step            gradients may be read and changed
              (optimizer step)
            on_batch_end
          on_validation_start         only with a val_loader, as the next two
            on_validation_batch_end   trainer.batch, trainer.output, trainer.loss
          on_validation_end
          on_epoch_end                trainer.logs holds all metrics of the epoch
        on_fit_end                    also after a stop; not after an error
        on_exception                  instead of on_fit_end: an error ended the fit

    Three exceptions skip the rest of something, also for the callbacks that come later: :class:`CancelBatch` the rest
    of the batch (with its update), :class:`CancelEpoch` the rest of the epoch's training (validation and
    ``on_epoch_end`` follow), both until ``on_batch_end``; :class:`CancelFit` the rest of the fit.
    ``trainer.stop(reason)``, the usual way to end a training, first lets all callbacks handle the event.

    ``trainer`` is typed as Any, so that an override may say Trainer, which imports this file.

    Attributes:
        order: the rank among the callbacks, see :class:`Order`.
        monitor: the name of the metric that it acts on, checked before the training begins; None if there is none.
    """

    order: ClassVar[Order] = Order.MEASURE
    monitor: str | None = None

    def on_fit_start(self, trainer: Any) -> None: ...
    def on_epoch_start(self, trainer: Any) -> None: ...
    def on_batch_start(self, trainer: Any) -> None: ...
    def on_before_backward(self, trainer: Any) -> None: ...
    def on_before_step(self, trainer: Any) -> None: ...
    def on_batch_end(self, trainer: Any) -> None: ...
    def on_validation_start(self, trainer: Any) -> None: ...
    def on_validation_batch_end(self, trainer: Any) -> None: ...
    def on_validation_end(self, trainer: Any) -> None: ...
    def on_epoch_end(self, trainer: Any) -> None: ...
    def on_fit_end(self, trainer: Any) -> None: ...
    def on_exception(self, trainer: Any, error: BaseException) -> None: ...

    def log_names(self) -> Iterable[str]:
        """The names of the metrics that it logs in each epoch, so that others may monitor them."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """The state that a checkpoint must hold: tensors, arrays, numbers, text, in dicts and lists."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a :meth:`state_dict`."""

    def __repr__(self) -> str:
        return type(self).__name__


EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class Cancel(Exception):
    """The base of the three exceptions that skip the rest of something."""


class CancelBatch(Cancel):
    """Skip the rest of this batch, and its update if raised before the optimizer's step.

    To be raised in ``on_batch_start`` to ``on_batch_end``.
    """


class CancelEpoch(Cancel):
    """Skip the rest of this epoch's training; validation and ``on_epoch_end`` follow.

    To be raised in ``on_epoch_start`` to ``on_batch_end``.
    """


class CancelFit(Cancel):
    """Skip the rest of the fit; ``on_fit_end`` follows. The reason may be given as with ``trainer.stop``."""
