"""A training that can be killed and gone on with, for processes of their own: ``python resumable.py OUT WORKERS``."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np

import minigrad
from minigrad import nn
from minigrad.optim import lr_scheduler
from minigrad.runs import Run
from minigrad.training import Accuracy, Callback, Trainer
from minigrad.training.callbacks import (
    EarlyStopping,
    GradientClipping,
    LRSchedule,
    ModelCheckpoint,
    RunLogger,
    TerminateOnNaN,
)
from minigrad.training.checkpoint import checkpoints_in
from minigrad.utils.data import DataLoader, Dataset, TensorDataset


def data(samples=14):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((samples, 3), dtype=np.float32)
    return TensorDataset(minigrad.tensor(x), minigrad.tensor((x.sum(1, keepdims=True) > 0).astype(np.float32)))


class Jittered(Dataset):
    """Samples with noise from Python's generator."""

    def __init__(self):
        self.plain = data()

    def __len__(self):
        return len(self.plain)

    def __getitem__(self, i):
        x, y = self.plain[i]
        return x + random.gauss(0, 0.1), y


def net():
    return nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.25), nn.Linear(6, 1))


def train(out, workers):
    """A training in a run's folder, gone on with if it was begun; prints a line for each batch."""

    class Says(Callback):
        def on_batch_end(self, trainer):
            print(trainer.step, flush=True)

    minigrad.manual_seed(0)
    random.seed(0)
    again = next(out.glob("*-base"), None)
    run = Run(out, "base", {}) if again is None else Run.resume(again, {})
    found = checkpoints_in(run.checkpoints)
    with run:
        model = net()
        optimizer = minigrad.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        callbacks = [
            LRSchedule(lr_scheduler.CyclicLR(optimizer, 1e-3, 5e-2, 5), "batch"),
            EarlyStopping("val_loss", patience=4),
            GradientClipping(1.0),
            TerminateOnNaN(),
            ModelCheckpoint(run.checkpoints, "val_accuracy", every_steps=3),
            RunLogger(run, every=5),
            Says(),
        ]
        trainer = Trainer(model, nn.BCEWithLogitsLoss(), optimizer, {"accuracy": Accuracy()}, callbacks)
        loader = DataLoader(Jittered(), 2, shuffle=True, num_workers=workers)
        trainer.fit(loader, DataLoader(data(9), 4), epochs=8, resume=found[-1] if found else None)
        if not trainer.interrupted:
            run.save_weights(model.state_dict())
            run.results["history"] = trainer.history


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]))
