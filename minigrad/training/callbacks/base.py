"""What a callback is: an object that listens to the events of a :class:`minigrad.training.Trainer`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, ClassVar


class Order(IntEnum):
    """Who hears an event first. Callbacks of one rank hear it in the order in which they were given."""

    MEASURE = 0  # look at the network, and log numbers
    CONTROL = 10  # act on numbers: stop, change the learning rate
    REPORT = 20  # show and write numbers
    SAVE = 30  # write a checkpoint, once everybody's state is that of this moment


class Callback:
    """Override the events that matter; each gets the trainer, whose attributes tell and change everything.

    In the order in which they come::

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
          on_epoch_end                trainer.logs holds all figures of the epoch
        on_fit_end                    also after a stop; not after an error
        on_exception                  instead of it: an error ended the fit

    Three exceptions are no errors: they skip what is left, also for the callbacks behind. Until ``on_batch_end``
    :class:`CancelBatch` skips what is left of the batch (with its update) and :class:`CancelEpoch` of the epoch's
    training (validation and ``on_epoch_end`` come all the same); :class:`CancelFit` skips what is left of the fit.
    ``trainer.stop(reason)`` lets everybody hear the event to its end first, and is the way to end a training.

    Attributes:
        order: the rank among the callbacks, see :class:`Order`.
        monitor: the name of the figure that it acts on; checked before the training begins. None: it needs none.
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
        """The names under which it calls ``trainer.log`` each epoch, so that others may monitor them."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """What must outlive an interruption: tensors, arrays, numbers, text, in dicts and lists."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a :meth:`state_dict`."""

    def __repr__(self) -> str:
        return type(self).__name__


EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class Cancel(Exception):
    """The base of the three exceptions that skip what is left of something."""


class CancelBatch(Cancel):
    """Skip what is left of this batch; raised before the optimizer's step, it makes no update.

    To be raised from ``on_batch_start`` to ``on_batch_end``.
    """


class CancelEpoch(Cancel):
    """Skip what is left of this epoch's training; validation and ``on_epoch_end`` follow.

    To be raised from ``on_epoch_start`` to ``on_batch_end``.
    """


class CancelFit(Cancel):
    """Skip what is left of the fit; ``on_fit_end`` follows. ``CancelFit("why")`` says why, as ``trainer.stop`` does."""
