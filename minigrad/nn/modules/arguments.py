"""Checks of the arguments that layers are made with."""

from __future__ import annotations

import operator
from typing import Any


def naturals(layer: str, **sizes: Any) -> None:
    """Raise unless every size is a non-negative integer."""
    for name, value in sizes.items():
        try:
            fits = not isinstance(value, bool) and operator.index(value) >= 0
        except TypeError:
            fits = False
        if not fits:
            raise ValueError(f"{layer}: {name} must be a non-negative integer, got {value!r}")


def probability(layer: str, **values: float) -> None:
    """Raise unless every value lies in [0, 1]."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{layer}: {name} must be a probability between 0 and 1, got {value!r}")
