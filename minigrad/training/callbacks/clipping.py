"""Clips gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...nn.utils import clip_grad_norm_, clip_grad_value_
from ..callback import Callback, Order
from ..trainer_base import TrainerBase


class GradientClipping(Callback):
    """Scale all gradients together to a norm of at most ``max_norm``, or cut each element to ±``max_value``.

    It runs after the monitors, which see the gradients before clipping. Source: torch.nn.utils.clip_grad_norm_ and
    clip_grad_value_. Raises ValueError unless exactly one of the two is given, above 0.

    Attributes:
        clipped: the number of batches with a larger norm (only with ``max_norm``).
    """

    order = Order.CONTROL

    def __init__(self, max_norm: float | None = None, max_value: float | None = None) -> None:
        if (max_norm is None) == (max_value is None):
            raise ValueError("GradientClipping: give either max_norm or max_value")
        limit = max_value if max_norm is None else max_norm
        if limit is None or not limit > 0:
            raise ValueError(f"GradientClipping: the limit must be above 0, got {limit!r}")
        self.max_norm = max_norm
        self.max_value = max_value
        self.clipped = 0

    def on_fit_start(self, trainer: TrainerBase) -> None:
        if not trainer.resumed:
            self.clipped = 0

    def on_before_step(self, trainer: TrainerBase) -> None:
        if self.max_value is not None:
            clip_grad_value_(trainer.model.parameters(), self.max_value)
        elif self.max_norm is not None:
            self.clipped += clip_grad_norm_(trainer.model.parameters(), self.max_norm).item() > self.max_norm

    def state_dict(self) -> dict[str, Any]:
        return {"clipped": self.clipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.clipped = state["clipped"]
