"""A trainer, its data, and callbacks that note or do something at an event."""

from __future__ import annotations

import numpy as np

import minigrad
from minigrad import nn
from minigrad.training import Callback, Trainer
from minigrad.training.callbacks import Order
from minigrad.utils.data import TensorDataset


def net(seed=0, inputs=3, outputs=1):
    minigrad.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.25), nn.Linear(6, outputs))


def data(samples=20, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, 3), dtype=np.float32)
    return TensorDataset(minigrad.tensor(x), minigrad.tensor(x.sum(1, keepdims=True)))


def make(callbacks=(), metrics=None, model=None, criterion=None, lr=0.05):
    model = net() if model is None else model
    optimizer = minigrad.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return Trainer(model, criterion or nn.MSELoss(), optimizer, metrics, callbacks)


def weights(model):
    return {name: t.numpy().tobytes() for name, t in model.state_dict().items()}


def when(event, act, epoch=1, batch=None, order=Order.MEASURE):
    """A callback that overrides one event alone."""

    def heard(self, trainer):
        if trainer.epoch == epoch and batch in (None, trainer.batch_index):
            act(trainer)

    return type("When", (Callback,), {event: heard, "order": order})()
