"""Schedules that rise and fall."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, callable_states, check_optimizer, more_groups, per_group


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (lr₀ − eta_min) · (1 + cos(π T_cur / T_i)) / 2, anew whenever T_cur reaches T_i.

    The first cosine takes ``T_0`` epochs, each further one ``T_mult`` times as many as the one before.
    ``step(epoch)`` with a fraction, ``epoch + batch / batches``, sets the rate within an epoch.
    Source: Loshchilov and Hutter 2017 (SGDR).
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ValueError(f"CosineAnnealingWarmRestarts: T_0 must be a positive integer, got {T_0!r}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"CosineAnnealingWarmRestarts: T_mult must be an integer of at least 1, got {T_mult!r}")
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        if last_epoch >= 0:
            self._jump(last_epoch)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        wave = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * wave / 2 for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to the given one, which may be a fraction."""
        added = self.optimizer.param_groups[len(self.base_lrs) :]
        if added:
            self._take_in(added)
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts: epoch must not be negative, got {epoch}")
        else:
            self._jump(epoch)
        self.last_epoch = math.floor(epoch)
        rates = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    def _jump(self, epoch: float) -> None:
        """T_cur and T_i at an epoch: what is left of it after all the cosines that have passed."""
        self.T_i, self.T_cur = self.T_0, epoch if self.T_mult > 1 else epoch % self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult


class _MomentumCycle(LRScheduler):
    """What CyclicLR and OneCycleLR share: momentum that falls while the rate rises."""

    use_beta1: bool

    def _start_momentum(self, optimizer: Optimizer, base: Any, highest: Any, last_epoch: int) -> None:
        """Find out what the optimizer calls its momentum, and start it at the highest value."""
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                f"{type(self).__name__}: cycle_momentum needs an optimizer with momentum or betas, and "
                f"{type(optimizer).__name__} has neither; pass cycle_momentum=False"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        self.base_momentums = per_group(self, "base_momentum", base, optimizer)
        self.max_momentums = per_group(self, "max_momentum", highest, optimizer)
        if last_epoch == -1:
            for high, low, group in zip(self.max_momentums, self.base_momentums, optimizer.param_groups, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"] = high
                group["base_momentum"] = low

    def _take_in(self, added: list[dict[str, Any]]) -> None:
        raise more_groups(
            self, len(self.base_lrs), "its rates and momenta are each group's own, so make the scheduler again"
        )

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_MomentumCycle):
    """The rate goes up and down between ``base_lr`` and ``max_lr``, a step per batch.

    With x the way through the current half of the cycle (0 at base_lr, 1 at the peak),
    lr = base_lr + (max_lr − base_lr) · x · scale. The scale is

    - 1 (``mode="triangular"``),
    - 1 / 2^(cycle − 1) (``"triangular2"``: half as high each time),
    - gamma^t (``"exp_range"``),
    - or ``scale_fn`` of the cycle's number, counted from 1 (``scale_mode="cycle"``), or of the step
    (``"iterations"``).

    With ``cycle_momentum`` the momentum (Adam's β₁) goes the other way, from ``max_momentum`` down to
    ``base_momentum``. Source: Smith 2017.

    Args:
        optimizer: its ``lr`` is replaced by ``base_lr``.
        base_lr: the lowest rate, one for all groups or a list.
        max_lr: the highest rate.
        step_size_up: steps of the rising half.
        step_size_down: steps of the falling half (default: as many).
        mode, gamma, scale_fn, scale_mode: see above; ``scale_fn`` overrides ``mode``.
        cycle_momentum, base_momentum, max_momentum: see above.
        last_epoch: the step that was done last; -1 to begin.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"CyclicLR: mode must be 'triangular', 'triangular2' or 'exp_range', got {mode!r}")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"CyclicLR: scale_mode must be 'cycle' or 'iterations', got {scale_mode!r}")
        down = step_size_up if step_size_down is None else step_size_down
        if not (step_size_up > 0 and down > 0):
            raise ValueError(
                f"CyclicLR: step_size_up and step_size_down must be positive, got {step_size_up} and {down}"
            )
        base_lrs = per_group(self, "base_lr", base_lr, optimizer)
        self.max_lrs = per_group(self, "max_lr", max_lr, optimizer)
        self.total_size = float(step_size_up) + float(down)
        self.step_ratio = float(step_size_up) / self.total_size
        self.mode = mode
        self.gamma = gamma
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self._scale_fn_custom = scale_fn
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(optimizer, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = lr
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The scale of the cycle or step ``x``."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        if self.mode == "triangular2":
            return 1 / (2.0 ** (x - 1))
        return self.gamma**x

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        x = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True
            ):
                self._set_momentum(group, high - (high - low) * x * scale)
        return [low + (high - low) * x * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_scale_fn_custom": callable_states([self._scale_fn_custom])[0]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_scale_fn_custom"})
        if state_dict.get("_scale_fn_custom") is not None:
            vars(self._scale_fn_custom).update(state_dict["_scale_fn_custom"])


class OneCycleLR(_MomentumCycle):
    """One cycle over the whole training, a step per batch: up to ``max_lr``, then down far below the start.

    The rate rises from max_lr / div_factor to max_lr in the first ``pct_start`` of the steps, then falls to
    max_lr / (div_factor · final_div_factor). With ``three_phase`` it falls back to the start as fast as it
    rose, and to the end after that. The way follows a cosine or a straight line (``anneal_strategy``); the
    momentum (Adam's β₁) goes the other way between ``max_momentum`` and ``base_momentum``. Source: Smith and
    Topin 2018.

    Args:
        optimizer: its ``lr`` is replaced.
        max_lr: the highest rate, one for all groups or a list.
        total_steps: steps of the whole cycle; or ``epochs`` and ``steps_per_epoch``, whose product it is.
        pct_start, anneal_strategy, div_factor, final_div_factor, three_phase: see above.
        cycle_momentum, base_momentum, max_momentum: see above.
        last_epoch: the step that was done last; -1 to begin.

    Raises:
        ValueError: bad arguments, or (from ``step``) more steps than the cycle has.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must lie between 0 and 1, got {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self._anneal_func_type = anneal_strategy
        rise = pct_start * self.total_steps
        # Each phase: its last step, the names of the rates it goes between, and of the momenta.
        up = (rise - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if three_phase:
            back = (2 * rise - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum")
            out = (self.total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum")
            self._phases = [up, back, out]
        else:
            self._phases = [up, (self.total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        highest = per_group(self, "max_lr", max_lr, optimizer)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(optimizer, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, high in zip(optimizer.param_groups, highest, strict=True):
                group["initial_lr"] = high / div_factor
                group["max_lr"] = high
                group["min_lr"] = group["initial_lr"] / final_div_factor
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: float, end: float, way: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * way) + 1)
        return (end - start) * way + start

    def get_lr(self) -> list[float]:
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {step} of a cycle of {self.total_steps}; make it longer with total_steps, "
                "or stop calling step()"
            )
        before = 0.0
        for phase in self._phases:
            if step <= phase[0] or phase is self._phases[-1]:
                break
            before = phase[0]
        end, lr_from, lr_to, momentum_from, momentum_to = phase
        way = (step - before) / (end - before) if end > before else 1.0  # a phase without width is at its end
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                self._set_momentum(group, self._anneal(group[momentum_from], group[momentum_to], way))
        return [self._anneal(group[lr_from], group[lr_to], way) for group in self.optimizer.param_groups]


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is None and (epochs is None or steps_per_epoch is None):
        raise ValueError("OneCycleLR: pass total_steps, or both epochs and steps_per_epoch")
    given = (
        {"total_steps": total_steps}
        if total_steps is not None
        else {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    )
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"OneCycleLR: {name} must be a positive integer, got {value!r}")
    return math.prod(given.values())  # type: ignore[arg-type]
