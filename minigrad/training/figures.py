"""The figures of runs: which are numbers, whether small or large is good, and by which one runs are compared."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from .callbacks.best import Best, Mode

if TYPE_CHECKING:
    from .run_record import RunRecord


def is_figure(value: Any) -> TypeGuard[float]:
    """Whether it is a number that can be compared: finite, and no truth value."""
    # A whole number may be too large for a float, which is what figures are compared and drawn as.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def mode_of(name: str) -> Mode | None:
    """Whether a figure is to be small or large, by its name ("test loss": "min"); None if that does not tell."""
    try:
        return Best("", "_".join(_words(name))).mode
    except ValueError:
        return None


def monitor_of(names: Collection[str]) -> str | None:
    """The curve by which the best epoch is found: val_accuracy, val_auc …, else val_loss, else those of training."""
    known = [name for name in names if mode_of(name) is not None]
    return min(known, key=lambda name: (not name.startswith("val_"), mode_of(name) != "max"), default=None)


def key_figure(records: Sequence[RunRecord]) -> str | None:
    """The figure by which runs are compared where nobody says: a result, of the test set if there is one, else a curve.

    Results that more runs have come first, then those of the test set, of the validation set, large ones being good;
    a result comes into question if its name tells whether small or large is good.
    """
    count: dict[str, int] = {}
    for record in records:
        for name, value in record.results.items():
            if is_figure(value) and mode_of(name) is not None:
                count[name] = count.get(name, 0) + 1
    if not count:
        return monitor_of(list(dict.fromkeys(name for record in records for name in record.curves)))

    def place(name: str) -> tuple[Any, ...]:
        of = _words(name)
        return -count[name], "test" not in of, "val" not in of, "train" in of, mode_of(name) != "max"

    return min(count, key=place)


def checked_key(records: Sequence[RunRecord], name: str | None, mode: Mode | None, who: str) -> tuple[str | None, Mode]:
    """The figure to compare by, the one given or :func:`key_figure`, and whether small or large is good.

    Raises ValueError if no run has it, or if neither name nor `mode` tells what is good.
    """
    if mode not in ("min", "max", None):
        raise ValueError(f"{who}: mode = {mode!r}, expected 'min' or 'max'")
    if name is None:
        name = key_figure(records)
    elif not any(record.figure(name, "min") is not None for record in records):
        known = list(dict.fromkeys(key for record in records for key in [*record.figures, *record.curves]))
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(f"{who}: no run has the figure {name!r}; {hint}There are: {', '.join(known) or 'none'}")
    direction = mode or (mode_of(name) if name is not None else "max")
    if direction is None:
        raise ValueError(f"{who}: is a large {name!r} good or bad? Say mode 'max' or 'min'")
    return name, direction


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name.lower())
