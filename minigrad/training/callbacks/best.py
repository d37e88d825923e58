"""The best value of a metric, for callbacks that monitor one."""

from __future__ import annotations

import math
from typing import Any, Literal

Mode = Literal["min", "max"]

_LARGER_IS_BETTER = ("accuracy", "auc", "f1", "precision", "recall")
_SMALLER_IS_BETTER = ("loss", "error", "mse", "mae", "perplexity")


class Best:
    """The best value of a metric so far. NaN is never better; any number is better than none.

    Args:
        who: the callback, for error messages.
        monitor: the metric's name.
        mode: "min" or "max": whether small or large is good; None: by the name (`val_loss`: small, `accuracy`: large).
        min_delta: only a larger gain counts.
    Raises ValueError for another mode, a name that does not tell the mode, and a negative min_delta.
    """

    def __init__(self, who: str, monitor: str, mode: Mode | None = None, min_delta: float = 0.0) -> None:
        if mode is None:
            words = monitor.lower().split("_")
            large, small = (any(w in words for w in known) for known in (_LARGER_IS_BETTER, _SMALLER_IS_BETTER))
            if large == small:
                raise ValueError(f"{who}: is a large {monitor!r} good or bad? Say mode='max' or mode='min'")
            mode = "max" if large else "min"
        if mode not in ("min", "max"):
            raise ValueError(f"{who}: mode = {mode!r}, expected 'min' or 'max'")
        if not min_delta >= 0:
            raise ValueError(f"{who}: min_delta = {min_delta!r}, expected 0 or more")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = min_delta
        self.reset()

    def reset(self) -> None:
        self.value: float | None = None
        self.epoch = 0

    def improved(self, value: float, epoch: int) -> bool:
        """Whether ``value`` is better than all before; then it is kept."""
        if math.isnan(value):
            return False
        if self.value is not None:
            gain = self.value - value if self.mode == "min" else value - self.value
            if not gain > self.min_delta:
                return False
        self.value, self.epoch = value, epoch
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"monitor": self.monitor, "value": self.value, "epoch": self.epoch}

    def load_state_dict(self, state: Any) -> None:
        """Raises ValueError for the best value of another metric."""
        if state["monitor"] != self.monitor:
            raise ValueError(f"the best {state['monitor']} is no measure for {self.monitor}")
        self.value, self.epoch = state["value"], state["epoch"]
