"""The metric by which runs are compared."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from ..training.callbacks.best import Mode
from .names import is_metric, mode_of, monitor_of, parts_of
from .record import RunRecord


def key_metric(records: Sequence[RunRecord]) -> str | None:
    """The metric by which runs are compared unless another is given: a result, preferably of the test set, or a curve.

    Results that more runs have come first, then those of the test set, of the validation set, those that are to be
    large. A result counts only if its name tells whether small or large is good.
    """
    count: dict[str, int] = {}
    for record in records:
        for name, value in record.results.items():
            if is_metric(value) and mode_of(name) is not None:
                count[name] = count.get(name, 0) + 1
    if not count:
        return monitor_of(list(dict.fromkeys(name for record in records for name in record.curves)))

    def rank(name: str) -> tuple[Any, ...]:
        parts = parts_of(name)
        return -count[name], "test" not in parts, "val" not in parts, "train" in parts, mode_of(name) != "max"

    return min(count, key=rank)


def checked_key(records: Sequence[RunRecord], name: str | None, mode: Mode | None, who: str) -> tuple[str | None, Mode]:
    """The metric to compare by, the one given or :func:`key_metric`, and whether small or large is good.

    Raises ValueError if no run has it, or if neither name nor `mode` tells what is good.
    """
    if mode not in ("min", "max", None):
        raise ValueError(f"{who}: mode = {mode!r}, expected 'min' or 'max'")
    if name is None:
        name = key_metric(records)
    elif not any(record.figure(name, "min") is not None for record in records):
        known = list(dict.fromkeys(key for record in records for key in [*record.figures, *record.curves]))
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(f"{who}: no run has the metric {name!r}; {hint}There are: {', '.join(known) or 'none'}")
    direction = mode or (mode_of(name) if name is not None else "max")
    if direction is None:
        raise ValueError(f"{who}: is a large {name!r} good or bad? Say mode 'max' or 'min'")
    return name, direction
