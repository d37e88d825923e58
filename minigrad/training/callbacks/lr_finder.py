"""Finds a learning rate by trying a range of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...plot import curves
from ..batches import checked_loader
from ..callback import Callback, Order
from ..trainer_state import ResumableTrainer
from .monitor import checked_count


class LRFinder(Callback):
    """Before the training, raise the learning rate from batch to batch, and find where the loss falls fastest.

    lrᵢ = lowest · (highest / lowest)^(i / (steps − 1)). The losses are smoothed as in TensorBoard; the search ends when
    a smoothed loss exceeds ``diverged`` times the lowest one. The suggestion is the rate where the loss falls fastest
    over log lr. Everything is put back afterwards. Ctrl-C ends search and fit. Source: L. N. Smith, "Cyclical Learning
    Rates for Training Neural Networks" (2017), the learning rate range test.

    Args:
        lowest, highest: the rates tried.
        steps: the number of batches; the loader is started again as often as necessary.
        diverged: the multiple of the lowest loss that ends the search.
        smoothing: weight of the earlier losses, 0 … 1.
        apply: train with the suggestion (all parameter groups), if there is one. A scheduler that was made before does
            not take it into account.
    Attributes:
        rates, losses: the rates tried, and the smoothed loss at each.
        suggestion: a rate, or None if the loss never fell.
    """

    order = Order.MEASURE

    def __init__(
        self,
        lowest: float = 1e-6,
        highest: float = 1.0,
        steps: int = 100,
        diverged: float = 4.0,
        smoothing: float = 0.9,
        apply: bool = False,
    ) -> None:
        if not 0 < lowest < highest:
            raise ValueError(f"LRFinder: lowest = {lowest!r}, highest = {highest!r}, expected 0 < lowest < highest")
        if not diverged > 1 or not 0 <= smoothing < 1:
            raise ValueError(f"LRFinder: diverged = {diverged!r} must be above 1, smoothing = {smoothing!r} in [0, 1)")
        self.lowest = lowest
        self.highest = highest
        self.steps = checked_count("LRFinder", "steps", steps, 10)
        self.diverged = diverged
        self.smoothing = smoothing
        self.apply = apply
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.suggestion: float | None = None

    def on_fit_start(self, trainer: ResumableTrainer) -> None:
        if trainer.resumed:
            return
        checked_loader("LRFinder: train_loader", trainer.train_loader, passes=2)
        with trainer.undisturbed(), np.errstate(all="ignore"):  # the search runs until the loss diverges
            self._search(trainer)
        self.suggestion = self._steepest()
        if self.apply and self.suggestion is not None:
            for group in trainer.optimizer.param_groups:
                group["lr"] = self.suggestion

    def _search(self, trainer: ResumableTrainer) -> None:
        self.rates, self.losses = [], []
        average = 0.0
        for i, batch in zip(range(self.steps), _endless(trainer.train_loader), strict=False):
            if trainer.stopped is not None:
                return
            rate = self.lowest * (self.highest / self.lowest) ** (i / (self.steps - 1))
            for group in trainer.optimizer.param_groups:
                group["lr"] = rate
            loss = trainer.update(batch)[1].item()
            if not trainer.loss_weight:  # all of its targets were ignored
                continue
            average = self.smoothing * average + (1 - self.smoothing) * loss
            smoothed = average / (
                1 - self.smoothing ** (len(self.losses) + 1)
            )  # the average began at 0, which this undoes
            if not math.isfinite(smoothed):
                return
            if self.losses and smoothed - (best := min(self.losses)) > (self.diverged - 1) * abs(best):
                return
            self.rates.append(rate)
            self.losses.append(smoothed)

    def _steepest(self) -> float | None:
        """The rate at which the loss falls fastest per decade, without the first and last few."""
        falls = [
            (self.losses[i + 1] - self.losses[i - 1], self.rates[i]) for i in range(2, len(self.losses) - 2)
        ]  # the rates are evenly spaced in log lr, so a difference of losses is a slope
        if not falls or min(falls)[0] >= 0:
            return None
        return min(falls)[1]

    def figure(self) -> Any:
        """A picture of the loss over the rate, on a logarithmic axis. Raises ValueError before a search."""
        if not self.rates:
            raise ValueError("LRFinder.figure: nothing was tried yet; it is done at the start of fit")
        figure = curves({"smoothed loss": (self.rates, self.losses)}, "learning rate", "loss")
        (axes,) = figure.axes
        axes.set_xscale("log")
        if self.suggestion is not None:
            axes.axvline(self.suggestion, color="#c0267e", linewidth=1.2, linestyle="--")
            axes.annotate(f" {self.suggestion:.2g}", (self.suggestion, max(self.losses)), color="#c0267e", va="top")
        return figure


def _endless(loader: Any) -> Iterator[Any]:
    """A loader's batches, over and over; none if it has none."""
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            return
