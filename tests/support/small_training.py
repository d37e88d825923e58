"""A small network with batch norm and dropout, and what it takes to train it."""

from __future__ import annotations

import math

import numpy as np

import minigrad
from minigrad import nn
from minigrad.training import Callback, Trainer
from minigrad.utils.data import DataLoader, TensorDataset


def data(samples=20, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, 3), dtype=np.float32)
    return TensorDataset(minigrad.tensor(x), minigrad.tensor(x.sum(1, keepdims=True)))


def net(seed=0, inputs=3, outputs=1):
    minigrad.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.25), nn.Linear(6, outputs))


def make(callbacks=(), model=None, criterion=None, lr=0.05, optimizer=None, **arguments):
    model = net() if model is None else model
    optimizer = optimizer or minigrad.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return Trainer(model, criterion or nn.MSELoss(), optimizer, callbacks=callbacks, **arguments)


def loader(samples=20, size=10):
    return DataLoader(data(samples), size)


def weights(model):
    return {name: t.numpy().tobytes() for name, t in model.state_dict().items()}


class Says(Callback):
    """Logs given values as ``figure``, one each epoch, and remembers the weights there."""

    def __init__(self, values):
        self.values = values
        self.weights = []

    def on_validation_start(self, trainer):
        trainer.log("figure", self.values[trainer.epoch - 1])
        self.weights.append(weights(trainer.model))

    def log_names(self):
        return ("figure",)


def fit_with(values, *callbacks, epochs=None, **arguments):
    says = Says(values)
    trainer = make([*callbacks, says], **arguments)
    trainer.fit(loader(), loader(), epochs=epochs or len(values))
    return trainer, says


NAN = math.nan
