"""A trainer and its data, for what is refused."""

from __future__ import annotations

import numpy as np

import minigrad
from minigrad import nn
from minigrad.training import Callback, Trainer
from minigrad.utils.data import DataLoader, TensorDataset


def data(samples=20):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((samples, 3), dtype=np.float32)
    return TensorDataset(minigrad.tensor(x), minigrad.tensor((x.sum(1, keepdims=True) > 0).astype(np.float32)))


def loader(samples=20, size=5):
    return DataLoader(data(samples), size, shuffle=True)


def net(hidden=4):
    minigrad.manual_seed(0)
    return nn.Sequential(nn.Linear(3, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 1))


def make(callbacks=(), model=None, criterion=None, metrics=None, optimizer=None):
    model = net() if model is None else model
    optimizer = minigrad.optim.Adam(model.parameters()) if optimizer is None else optimizer(model)
    return Trainer(model, criterion or nn.BCEWithLogitsLoss(), optimizer, metrics, callbacks)


class Raises(Callback):
    def __init__(self, event, error, order=0, step=None):
        def heard(trainer, *error_before):
            if step is None or trainer.step == step:
                raise error

        self.order = order
        self.__class__ = type("Raises", (Callback,), {event: lambda self, *arguments: heard(*arguments)})
