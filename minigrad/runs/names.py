"""Names of settings and metrics: on one level, as words, and whether a metric of that name is to be small or large."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from typing import Any, TypeGuard

from ..training.callbacks.best import Best, Mode


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one level: {"optimizer": {"lr": 1}} becomes {"optimizer.lr": 1}."""
    level: dict[str, Any] = {}
    for key, value in values.items():
        level.update(flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return level


def in_words(name: str) -> str:
    """A name for a reader: "optimizer.weight_decay" becomes "optimizer weight decay"."""
    return name.replace("_", " ").replace(".", " ")


def parts_of(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name.lower())


def is_metric(value: Any) -> TypeGuard[float]:
    """Whether it is a number that can be compared: finite, and no truth value."""
    # An integer may be too large for a float, which is what metrics are compared and drawn as.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def mode_of(name: str) -> Mode | None:
    """Whether a metric is to be small or large, by its name ("test loss": "min"); None if that does not tell."""
    try:
        return Best("", "_".join(parts_of(name))).mode
    except ValueError:
        return None


def monitor_of(names: Collection[str]) -> str | None:
    """The curve by which the best epoch is found: val_accuracy, val_auc …, else val_loss, else those of training."""
    known = [name for name in names if mode_of(name) is not None]
    return min(known, key=lambda name: (not name.startswith("val_"), mode_of(name) != "max"), default=None)
