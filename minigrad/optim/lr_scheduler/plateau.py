"""A schedule that watches the training."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, more_groups, per_group


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by ``factor`` when a metric has not improved for more than ``patience`` epochs.

    ``step(metric)`` comes once per epoch. A metric is better than the best so far if, for ``mode="min"``, it is below
    best − threshold · |best| (``threshold_mode="rel"``) or best − threshold (``"abs"``); for ``"max"``, above
    best + threshold · |best| or best + threshold. (PyTorch leaves out the bars around best, so that a negative metric
    may get worse and still count as better.) A metric that is NaN is never better: it counts as an
    epoch without improvement, as in PyTorch, and the best so far is kept.

    Args:
        optimizer: whose rates fall.
        mode: ``"min"`` for a loss, ``"max"`` for an accuracy.
        factor: below 1.
        patience: epochs without improvement that are let pass; the rate falls at the next one.
        threshold, threshold_mode: what counts as better, see above.
        cooldown: epochs after a reduction in which nothing is counted.
        min_lr: where the rate stops falling, one for all groups or a list.
        eps: a change of the rate smaller than this is not made.

    Source: PyTorch's ``torch.optim.lr_scheduler.ReduceLROnPlateau``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        self.optimizer = check_optimizer(self, optimizer)
        if not factor < 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor!r}")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = per_group(self, "min_lr", min_lr, optimizer)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = self._current_lrs()
        self._reset()

    def _reset(self) -> None:
        """Forget the best metric and the epochs counted: for a new training with the same scheduler."""
        self.best = math.inf if self.mode == "min" else -math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    def step(self, metrics: SupportsFloat, epoch: Any = None) -> None:  # type: ignore[override]
        """Tell the scheduler this epoch's metric: a number, or a tensor of one element."""
        current = float(metrics)
        better = self._is_better(current)
        bad = 0 if better or self.in_cooldown else self.num_bad_epochs + 1
        reduces = bad > self.patience
        if reduces:
            self._reduce_lr()
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if better:
            self.best = current
        self.num_bad_epochs = 0 if reduces else bad
        self.cooldown_counter = self.cooldown if reduces else max(self.cooldown_counter - 1, 0)
        self._last_lr = self._current_lrs()

    @property
    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def _is_better(self, current: float) -> bool:
        down = self.mode == "min"
        if math.isinf(self.best):
            bar = self.best
        elif self.threshold_mode == "abs":
            bar = self.best - self.threshold if down else self.best + self.threshold
        else:  # of a negative metric the other way, so that the bar is always on the better side
            towards_zero = down == (self.best >= 0)
            bar = self.best * (1.0 - self.threshold if towards_zero else 1.0 + self.threshold)
        return current < bar if down else current > bar

    def _reduce_lr(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise more_groups(self, len(self.min_lrs), "set scheduler.min_lrs to a list of that length")
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, lowest)
            if old - new > self.eps:
                group["lr"] = new
