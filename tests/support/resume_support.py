"""A training that is interrupted and resumed."""

from __future__ import annotations

import random
import signal

import numpy as np
from resumable import Jittered, data, net

import minigrad
from minigrad import nn
from minigrad.training import AUC, Accuracy, Callback, Trainer
from minigrad.training.callbacks import (
    EarlyStopping,
    LearningRateMonitor,
    LRSchedule,
    ModelCheckpoint,
)
from minigrad.utils.data import DataLoader


class Training:
    """Everything made anew, as in another process."""

    def __init__(
        self, folder, *more, every_steps=None, schedule=None, interval="batch", monitor=None, keep=2, patience=9
    ):
        minigrad.manual_seed(7)
        random.seed(7)
        self.model = net()
        self.optimizer = minigrad.optim.Adam(self.model.parameters(), lr=0.05)
        self.stopping = EarlyStopping("val_loss", patience=patience)
        self.checkpoints = ModelCheckpoint(folder, "val_auc", every_epochs=2, every_steps=every_steps, keep=keep)
        self.schedule = None if schedule is None else schedule(self.optimizer)
        schedules = [] if self.schedule is None else [LRSchedule(self.schedule, interval, monitor)]
        self.trainer = Trainer(
            self.model,
            nn.BCEWithLogitsLoss(),
            self.optimizer,
            {"accuracy": Accuracy(), "auc": AUC()},
            [*schedules, self.stopping, LearningRateMonitor(), self.checkpoints, *more],
        )
        self.loader = DataLoader(Jittered(), 4, shuffle=True)
        self.order = minigrad.Generator().manual_seed(7)
        self.val_loader = DataLoader(data(9), 4, shuffle=True, generator=self.order)

    def fit(self, epochs=3, resume=None):
        return self.trainer.fit(self.loader, self.val_loader, epochs, resume)

    def outcome(self):
        """All that must be equal."""
        return {
            "weights": {name: t.numpy().tobytes() for name, t in self.model.state_dict().items()},
            "optimizer": [
                {k: v.numpy().tobytes() if hasattr(v, "numpy") else v for k, v in kept.items()}
                for kept in self.optimizer.state_dict()["state"].values()
            ],
            "groups": self.optimizer.state_dict()["param_groups"],
            "history": self.trainer.history,
            "step": self.trainer.step,
            "stopped": self.trainer.stopped,
            "best": (self.stopping.best.state_dict(), self.stopping.waited, self.checkpoints.best.state_dict()),
            "schedule": None if self.schedule is None else list(self.schedule.get_last_lr()),
            "random": (minigrad.get_rng_state(), random.getstate(), float(np.random.rand())),
        }


def uninterrupted(folder, *more, epochs=3, **settings):
    np.random.seed(3)
    training = Training(folder, *more, **settings)
    training.fit(epochs)
    return training.outcome()


def interrupting(event, step, act=lambda trainer: signal.raise_signal(signal.SIGINT), order=0):
    """A callback that does something at an event once, at a number of updates; by default, it presses Ctrl-C."""

    done = []

    def heard(self, trainer):
        if trainer.step == step and not trainer.resumed and not done:
            done.append(step)
            act(trainer)

    return type("Interrupting", (Callback,), {event: heard, "order": order})()


def resumed(folder, *more, epochs=3, resume=None, **settings):
    training = Training(folder, *more, **settings)
    training.order.manual_seed(99)
    minigrad.manual_seed(99)  # what the process drew by itself must not matter
    random.seed(99)
    np.random.seed(99)
    training.fit(epochs, folder if resume is None else resume)
    return training.outcome()
