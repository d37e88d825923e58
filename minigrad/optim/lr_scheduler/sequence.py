"""Schedules one after another, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler
from .plateau import ReduceLROnPlateau


class _Several(LRScheduler):
    """What SequentialLR and ChainedScheduler share: their state is that of their schedulers."""

    _schedulers: Sequence[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        own = {k: v for k, v in super().state_dict().items() if k != "_schedulers"}
        return {**own, "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class SequentialLR(_Several):
    """One schedule until the first milestone, the next until the second, and so on: a warm-up, then a decay.

    Each starts at its own epoch 0 when its turn comes.

    Args:
        optimizer: the optimizer that all the schedulers act on.
        schedulers: made beforehand, all on this optimizer.
        milestones: the epochs at which the next scheduler takes over, one fewer than schedulers.
        last_epoch: the epoch that was finished last; -1 to begin.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        _check(self, schedulers, optimizer)
        for i, scheduler in enumerate(schedulers):
            if isinstance(scheduler, SequentialLR):
                raise ValueError(
                    f"SequentialLR: schedulers[{i}] is a SequentialLR itself; list its schedulers and "
                    "milestones instead"
                )
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers need {len(schedulers) - 1} milestones, got "
                f"{len(milestones)}"
            )
        self.optimizer = optimizer
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        # Making each scheduler took its first step: undo that, and let the one whose turn it is take it
        # again.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for scheduler in schedulers:
            scheduler._undo_first_step()
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Go to the next epoch and set the rates."""
        epoch = self.last_epoch + 1
        turn = bisect_right(self._milestones, epoch)
        scheduler = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self.last_epoch = epoch
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Several):
    """All schedules at each step, one after the other: those that multiply the current rate multiply each other.

    Args:
        schedulers: made beforehand, all on one optimizer.
        optimizer: theirs, by default that of the first.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        given = optimizer if optimizer is not None or not schedulers else getattr(schedulers[0], "optimizer", None)
        _check(self, schedulers, given)
        self.optimizer = schedulers[0].optimizer
        self._schedulers = schedulers
        self._last_lr = self._current_lrs()

    def _initial_step(self) -> None:
        for scheduler in self._schedulers:
            scheduler._initial_step()
        self._last_lr = self._current_lrs()

    def _undo_first_step(self) -> None:
        for scheduler in self._schedulers:
            scheduler._undo_first_step()

    def _update_lr(self, epoch: int | None = None) -> None:
        """Begin, as part of a SequentialLR: from the first rates, which single schedules have in their closed forms."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._initial_step()

    def step(self) -> None:  # type: ignore[override]
        """Go to the next epoch and set the rates: of all schedules, or after an error of none."""
        before = [(vars(scheduler), dict(vars(scheduler))) for scheduler in self._schedulers]
        before += [(group, dict(group)) for group in self.optimizer.param_groups]
        try:
            for scheduler in self._schedulers:
                scheduler.step()
        except BaseException:
            for now, then in before:
                now.clear()
                now.update(then)
            raise
        self._last_lr = self._current_lrs()


def _check(several: LRScheduler, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
    """Raise unless these can be stepped together."""
    name = type(several).__name__
    if not schedulers:
        raise ValueError(f"{name}: got no schedulers")
    for i, scheduler in enumerate(schedulers):
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(f"{name}: schedulers[{i}] is a {type(scheduler).__name__}, not an LRScheduler")
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(f"{name}: schedulers[{i}] is a ReduceLROnPlateau, whose step() needs a metric")
        if scheduler.optimizer is not optimizer:
            raise ValueError(f"{name}: schedulers[{i}] ({type(scheduler).__name__}) belongs to another optimizer")
