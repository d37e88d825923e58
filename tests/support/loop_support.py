"""A trainer, its data, and callbacks that note or do something at an event."""

from __future__ import annotations

from small_training import net

import minigrad
from minigrad import nn
from minigrad.training import Callback, Trainer
from minigrad.training.callbacks import Order


def make(callbacks=(), metrics=None, model=None, criterion=None, lr=0.05):
    model = net() if model is None else model
    optimizer = minigrad.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return Trainer(model, criterion or nn.MSELoss(), optimizer, metrics, callbacks)


def when(event, act, epoch=1, batch=None, order=Order.MEASURE):
    """A callback that overrides one event alone."""

    def heard(self, trainer):
        if trainer.epoch == epoch and batch in (None, trainer.batch_index):
            act(trainer)

    return type("When", (Callback,), {event: heard, "order": order})()
