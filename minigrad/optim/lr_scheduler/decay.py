"""Schedules that go one way: decay, warm-up, or whatever a function says."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, callable_states, more_groups, per_group


class _ByFunction(LRScheduler):
    """What LambdaLR and MultiplicativeLR share: functions of the epoch, one per group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = per_group(self, "lr_lambda", lr_lambda, optimizer)
        for f in self.lr_lambdas:
            if not callable(f):
                raise TypeError(f"{type(self).__name__}: lr_lambda must be a function, got {type(f).__name__}")
        super().__init__(optimizer, last_epoch)

    def _take_in(self, added: list[dict[str, Any]]) -> None:
        missing = len(self.optimizer.param_groups) - len(self.lr_lambdas)
        if missing > 0:  # else they were appended by hand
            if any(f is not self.lr_lambdas[0] for f in self.lr_lambdas):
                raise more_groups(self, len(self.lr_lambdas), "append a function for each to scheduler.lr_lambdas")
            self.lr_lambdas = [*self.lr_lambdas, *[self.lr_lambdas[0]] * missing]
        super()._take_in(added)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "lr_lambdas": callable_states(self.lr_lambdas)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "lr_lambdas"})
        for f, state in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if state is not None:
                vars(f).update(state)


class LambdaLR(_ByFunction):
    """lrₜ = lr₀ · f(t) for a function f of the epoch, or one function per group.

    ``state_dict`` keeps no functions; of callable objects it keeps their attributes.
    """

    def get_lr(self) -> list[float]:
        return [base * f(self.last_epoch) for f, base in zip(self.lr_lambdas, self.base_lrs, strict=True)]


class MultiplicativeLR(_ByFunction):
    """lrₜ = lrₜ₋₁ · f(t) for a function f of the epoch, t = 1, 2, …, or one function per group.

    ``state_dict`` keeps no functions; of callable objects it keeps their attributes.
    """

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._current_lrs()
        return [lr * f(self.last_epoch) for f, lr in zip(self.lr_lambdas, self._current_lrs(), strict=True)]


class StepLR(LRScheduler):
    """lrₜ = lr₀ · gamma^⌊t / step_size⌋: multiply by gamma every ``step_size`` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if not step_size > 0:
            raise ValueError(f"StepLR: step_size must be positive, got {step_size!r}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return self._current_lrs()
        return [lr * self.gamma for lr in self._current_lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Multiply by gamma at each epoch in ``milestones`` (n times where it is listed n times)."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch not in self.milestones:
            return self._current_lrs()
        factor = self.gamma ** self.milestones[self.last_epoch]
        return [lr * factor for lr in self._current_lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [base * self.gamma**passed for base in self.base_lrs]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict({**state_dict, "milestones": Counter(state_dict["milestones"])})  # a dict, from a file


class ConstantLR(LRScheduler):
    """lrₜ = lr₀ · factor for the first ``total_iters`` epochs, then lr₀.

    Afterwards the current rate is divided by factor; with a factor of 0, which leaves nothing to divide, it becomes
    lr₀, whatever other schedulers did to it meanwhile.
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor must lie between 0 and 1, got {factor!r}")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._current_lrs()]
        if self.last_epoch != self.total_iters:
            return self._current_lrs()
        if self.factor == 0:
            return list(self.base_lrs)
        return [lr * (1.0 / self.factor) for lr in self._current_lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        factor = self.factor if self.last_epoch < self.total_iters else 1
        return [base * factor for base in self.base_lrs]


class LinearLR(LRScheduler):
    """lrₜ = lr₀ · f(t), f a straight line from ``start_factor`` to ``end_factor``: a warm-up.

    It takes ``total_iters`` epochs; then f stays at ``end_factor``. As a factor on the current rate,
    f(t) / f(t − 1) = 1 + (end − start) / (total · start + (t − 1) (end − start)).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor must lie in (0, 1], got {start_factor!r}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor must lie between 0 and 1, got {end_factor!r}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in self._current_lrs()]
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._current_lrs()
        slope = self.end_factor - self.start_factor
        ratio = 1.0 + slope / (self.total_iters * self.start_factor + (self.last_epoch - 1) * slope)
        return [lr * ratio for lr in self._current_lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        slope = self.end_factor - self.start_factor
        way = min(self.total_iters, self.last_epoch) / self.total_iters if self.total_iters else 0.0
        return [base * (self.start_factor + slope * way) for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """lrₜ = lr₀ · (1 − t / total_iters)^power, and 0 from epoch ``total_iters`` on.

    As a factor on the current rate, ((total_iters − t) / (total_iters − t + 1))^power.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        if not total_iters >= 0:
            raise ValueError(f"PolynomialLR: total_iters must not be negative, got {total_iters!r}")
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._current_lrs()
        left = 1.0 - self.last_epoch / self.total_iters
        factor = (left / (1.0 - (self.last_epoch - 1) / self.total_iters)) ** self.power
        return [lr * factor for lr in self._current_lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        way = min(self.total_iters, self.last_epoch) / self.total_iters if self.total_iters else 0.0
        return [base * (1.0 - way) ** self.power for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """lrₜ = lr₀ · gammaᵗ."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._current_lrs()
        return [lr * self.gamma for lr in self._current_lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """lrₜ = eta_min + (lr₀ − eta_min) · (1 + cos(π t / T_max)) / 2: half a cosine wave down.

    It starts and ends flat; after ``T_max`` epochs the rate rises again. Computed from the current rate as
    lrₜ − eta_min = (lrₜ₋₁ − eta_min) · (1 + cos(π t / T_max)) / (1 + cos(π (t − 1) / T_max)), or, where the
    divisor vanishes at the bottom of the wave, from lr₀. Source: Loshchilov and Hutter 2017.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if not T_max > 0:
            raise ValueError(f"CosineAnnealingLR: T_max must be positive, got {T_max!r}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _wave(self, t: int) -> float:
        return 1 + math.cos(math.pi * t / self.T_max)

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._current_lrs()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # the last epoch was at the bottom
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            pairs = zip(self._current_lrs(), self.base_lrs, strict=True)
            return [lr + (base - self.eta_min) * rise for lr, base in pairs]
        ratio = self._wave(self.last_epoch) / self._wave(self.last_epoch - 1)
        return [ratio * (lr - self.eta_min) + self.eta_min for lr in self._current_lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        height = self._wave(self.last_epoch) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]
