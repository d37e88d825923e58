"""Checks that the network can fit a single batch; otherwise it will not learn from many either."""

from __future__ import annotations

import copy
from typing import Any

from ..batches import checked_loader, first_samples, samples_in
from ..callback import Callback, Order
from ..streaming import Metric
from ..trainer_state import ResumableTrainer
from .monitor import checked_count


class OverfitError(RuntimeError):
    """The network could not fit a single batch: something is wrong with model, loss or data."""


class OverfitOneBatch(Callback):
    """Before the training, fit the first samples, and put everything back afterwards.

    The trainer's model and optimizer make up to ``steps`` updates on one small batch, with dropout active as in the
    training. The check is passed when the metric reaches ``target`` or, without a metric, when the loss has fallen to
    ``loss_share`` of the first.

    Args:
        samples: how many of the first batch.
        steps: the most updates.
        metric: such as Accuracy(); computed on the outputs of each step.
        target: the value that it must reach.
        loss_share: the share of the first loss, if there is no metric.
        required: raise OverfitError if the check fails (True), or only set ``passed``.
    Attributes:
        passed, steps_taken, first_loss, last_loss: the result.
    """

    order = Order.MEASURE

    def __init__(
        self,
        samples: int = 32,
        steps: int = 200,
        metric: Metric | None = None,
        target: float = 1.0,
        loss_share: float = 0.01,
        required: bool = True,
    ) -> None:
        self.samples = checked_count("OverfitOneBatch", "samples", samples)
        self.steps = checked_count("OverfitOneBatch", "steps", steps)
        self.metric = metric
        self.target = target
        self.loss_share = loss_share
        self.required = required
        self.passed: bool | None = None
        self.steps_taken = 0
        self.first_loss = self.last_loss = float("nan")

    def on_fit_start(self, trainer: ResumableTrainer) -> None:
        if trainer.resumed:
            return
        checked_loader("OverfitOneBatch: train_loader", trainer.train_loader, passes=2)
        with trainer.undisturbed():
            for first in trainer.train_loader:
                batch = first_samples(trainer.to_device(first), self.samples)
                self._learn(trainer, batch)
                break
            else:
                raise ValueError("OverfitOneBatch: train_loader yielded no batch")
        if not self.passed and self.required and trainer.stopped is None:
            wanted = f"{self.loss_share:.0%} of that" if self.metric is None else f"a metric of {self.target}"
            raise OverfitError(
                f"OverfitOneBatch: {samples_in(batch)} samples were not learned in {self.steps} steps: the loss went "
                f"from {self.first_loss:.4g} to {self.last_loss:.4g}, expected {wanted}. Look at the model's last "
                "layer, the loss, the learning rate and the labels"
            )

    def _learn(self, trainer: ResumableTrainer, batch: Any) -> None:
        metric = copy.deepcopy(self.metric)
        self.passed = False
        for step in range(self.steps):
            output, loss = trainer.update(batch)
            self.steps_taken, self.last_loss = step + 1, loss.item()
            if step == 0:
                self.first_loss = self.last_loss
            if metric is None:
                self.passed = self.last_loss <= self.loss_share * self.first_loss
            else:
                metric.reset()
                metric.update(output, batch[-1])
                self.passed = metric.compute() >= self.target
            if self.passed or trainer.stopped is not None:
                return
