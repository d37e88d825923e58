"""A short training under monitors, and a network whose outputs are known."""

from __future__ import annotations

import math

import numpy as np

import minigrad
from minigrad import nn, optim
from minigrad.training import Accuracy, Callback, Trainer
from minigrad.training.callbacks import (
    ActivationMonitor,
    ConfusionMatrix,
    EpochTimer,
    ExamplePredictions,
    GradientMonitor,
    MemoryMonitor,
    WeightMonitor,
)
from minigrad.utils.data import DataLoader, TensorDataset

BATCHES = 5


def data(n=38, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(n, 1, 4, 4)).astype(np.float32)
    return TensorDataset(minigrad.tensor(images), minigrad.tensor(rng.integers(0, 3, n)))


def network():
    minigrad.manual_seed(5)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))


def trainer_with(*callbacks, model=None, lr=0.1, rule=optim.SGD):
    model = network() if model is None else model
    return Trainer(
        model, nn.CrossEntropyLoss(), rule(model.parameters(), lr=lr), {"accuracy": Accuracy()}, callbacks=callbacks
    )


def fit(*callbacks, epochs=2, **options):
    trainer = trainer_with(*callbacks, **options)
    minigrad.manual_seed(6)
    trainer.fit(DataLoader(data(), 8, shuffle=True), DataLoader(data(20, 1), 8), epochs)
    return trainer


class Witness(Callback):
    """Keeps copies of the weights before each step and of the gradients, by epoch."""

    def __init__(self):
        self.gradients, self.weights = [], []

    def on_epoch_start(self, trainer):
        self.gradients.append([])
        self.weights.append([])

    def on_before_step(self, trainer):
        self.gradients[-1].append({n: p.grad.numpy().astype(np.float64) for n, p in trainer.model.named_parameters()})
        self.weights[-1].append({n: p.detach().numpy().astype(np.float64) for n, p in trainer.model.named_parameters()})


def norm(arrays):
    return math.sqrt(sum((a**2).sum() for a in arrays))


class Scores(nn.Module):
    """Predicts the class that stands in the corner of the image; the weight only keeps the optimizer busy."""

    def __init__(self, classes=3):
        super().__init__()
        self.classes = classes
        self.w = nn.Parameter(minigrad.zeros(1))

    def forward(self, x):
        wanted = x[:, 0, 0, 0]
        if self.classes == 1:
            return (wanted - 0.5).unsqueeze(1) + 0 * self.w
        return minigrad.eye(self.classes)[wanted.long()] + self.w


def corners(predicted, true):
    images = np.zeros((len(true), 1, 4, 4), np.float32)
    images[:, 0, 0, 0] = predicted
    images[:, 0, 1, 1] = np.arange(len(true))  # tells them apart
    return DataLoader(TensorDataset(minigrad.tensor(images), minigrad.tensor(np.array(true))), 4)


PREDICTED, TRUE = [0, 1, 2, 2, 0, 1, 1], [0, 2, 2, 1, 0, 1, 0]


COUNTS = [[2, 1, 0], [0, 1, 1], [0, 1, 1]]


def judged(*callbacks, model=None, target=TRUE, criterion=None, epochs=1):
    model = Scores() if model is None else model
    criterion = nn.CrossEntropyLoss() if criterion is None else criterion
    trainer = Trainer(model, criterion, optim.SGD(model.parameters(), lr=0.0), callbacks=callbacks)
    loader = corners(PREDICTED, target)
    trainer.fit(loader, loader, epochs)
    return trainer


def everything(writer=None):
    batch = minigrad.tensor(np.random.default_rng(9).normal(size=(6, 1, 4, 4)).astype(np.float32))
    return [
        EpochTimer(),
        MemoryMonitor(),
        GradientMonitor(writer, every=2),
        WeightMonitor(writer, every=2),
        ActivationMonitor(batch, writer),
        ConfusionMatrix(3, writer),
        ExamplePredictions(writer=writer),
    ]
