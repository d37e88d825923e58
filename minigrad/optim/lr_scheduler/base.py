"""LRScheduler: the base of all schedules."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from ..optimizer import Optimizer


class LRScheduler:
    """Sets the learning rate of each parameter group as training goes on.

    A schedule of one's own is a subclass with ``get_lr``, which returns the rates, one per group, for epoch
    ``self.last_epoch`` (0 for the rate training starts with); ``self.base_lrs`` holds the rates the optimizer
    was made with.

    Most schedules here compute the new rate from the current one, lrₜ = lrₜ₋₁ · factor. So several schedulers
    can act on one optimizer, and their factors multiply; a rate changed by hand stays changed. A parameter group that
    is added to the optimizer later takes part from then on, with the rate it came with as its first one; a schedule
    whose settings differ from group to group asks for those of the new one.

    Args:
        optimizer: whose groups' ``"lr"`` is set. Each group remembers its first rate as ``"initial_lr"``.
        last_epoch: the epoch that was finished last; -1 to begin.

    Source: PyTorch's ``torch.optim.lr_scheduler.LRScheduler``.
    """

    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = check_optimizer(self, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: last_epoch={last_epoch} goes on with a schedule, but "
                    f"param_groups[{i}] has no 'initial_lr'; load the optimizer's state_dict first, or begin "
                    "with last_epoch=-1"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            del self._is_initial

    def _undo_first_step(self) -> None:
        """Be as before the step that making the scheduler took; the rates are put back by the caller."""
        self.last_epoch -= 1

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch (or batch) and set the rates. Call it after ``optimizer.step()``.

        Args:
            epoch: jump to this epoch. Deprecated in PyTorch: not every schedule can.
        """
        optimizer = self.optimizer
        counts_steps = type(optimizer).step is Optimizer.step
        if self._step_count == 1 and counts_steps and optimizer._step_count == 0:
            warnings.warn(
                "lr_scheduler.step() was called before optimizer.step(): the first learning rate of the "
                "schedule is skipped. Call optimizer.step() first, then lr_scheduler.step().",
                stacklevel=2,
            )
        if epoch is not None:
            warnings.warn(
                "lr_scheduler.step(epoch) is deprecated: call step() without an argument, once per epoch",
                stacklevel=2,
            )
        self._update_lr(epoch)
        self._step_count += 1

    def _update_lr(self, epoch: int | None = None) -> None:
        added = self.optimizer.param_groups[len(self.base_lrs) :]
        if added:
            self._take_in(added)
        before = self.last_epoch
        try:
            if epoch is None:
                self.last_epoch += 1
                rates = self.get_lr()
            else:
                self.last_epoch = epoch
                rates = self._get_closed_form_lr()
        except BaseException:
            self.last_epoch = before
            raise
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    def _take_in(self, added: list[dict[str, Any]]) -> None:
        """Let groups that the optimizer did not have before take part."""
        self.base_lrs = [*self.base_lrs, *(group.setdefault("initial_lr", group["lr"]) for group in added)]

    def get_lr(self) -> list[float]:
        """The rates for ``self.last_epoch``, given the current ones. For reading, use :meth:`get_last_lr`."""
        raise NotImplementedError(f"{type(self).__name__}: get_lr is missing; return one learning rate per group")

    def _get_closed_form_lr(self) -> list[float]:
        """The rates for ``self.last_epoch`` by themselves, for a jump to it."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The learning rates in use, one per group."""
        return self._last_lr

    def _current_lrs(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything the schedule remembers, without the optimizer."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a :meth:`state_dict`. The rates themselves come with the optimizer's own state."""
        vars(self).update(state_dict)


def check_optimizer(scheduler: Any, optimizer: Any) -> Optimizer:
    """The optimizer, or an error if it is none."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(scheduler).__name__}: optimizer must be an Optimizer, got {type(optimizer).__name__}")
    return optimizer


def per_group(scheduler: Any, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """A setting as a list with one entry per parameter group; a list is taken as that already."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(
            f"{type(scheduler).__name__}: {name} has {len(value)} values, the optimizer has {groups} parameter groups"
        )
    return list(value)


def more_groups(scheduler: Any, had: int, what_to_do: str) -> RuntimeError:
    """The error for a group that was added to the optimizer, if the schedule has no settings for it."""
    name, now = type(scheduler).__name__, len(scheduler.optimizer.param_groups)
    return RuntimeError(
        f"{name}: the optimizer has {now} parameter groups now and had {had} when the scheduler was made; {what_to_do}"
    )


def callable_states(functions: list[Any]) -> list[dict[str, Any] | None]:
    """What a state dict keeps of user functions: the attributes of callable objects; nothing of functions."""
    return [dict(vars(f)) if hasattr(f, "__dict__") and not isinstance(f, FunctionType) else None for f in functions]
