"""One run, read back from its folder."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ..csv_table import read_table
from ..training.callbacks.best import Mode
from .json_file import read_json, read_summary
from .names import flat, is_metric


@dataclass(frozen=True)
class RunRecord:
    """The contents of a run's folder.

    Attributes:
        folder, name: where it is, and the experiment's name.
        status: "finished", "interrupted", "failed", or "running" (or killed) where there is no summary.
        config, results, reference: the settings, the results at the end, and those of the reference.
        seconds: how long it took; None where there is no summary.
        history, performance: a dict of numbers for each epoch.
        notices: what a reader must know; the last one of a failed run is the error.
    """

    folder: Path
    name: str
    status: str
    config: dict[str, Any]
    results: dict[str, Any]
    reference: dict[str, Any]
    seconds: float | None
    history: list[dict[str, float]]
    performance: list[dict[str, float]]
    notices: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Self:
        """Raises FileNotFoundError if it is no run's folder; ValueError, with its name, if a file in it is damaged."""
        place = Path(folder)
        try:
            config = read_json(place / "config.json")
        except FileNotFoundError:
            raise FileNotFoundError(f"{place} is not the folder of a run: it has no config.json") from None
        summary = read_summary(place)
        for key, (kind, expected) in _SUMMARY.items():
            if key in summary and not isinstance(summary[key], kind):
                raise ValueError(
                    f"{place / 'summary.json'} is damaged: {key} is {summary[key]!r:.60}, expected {expected}"
                )
        return cls(
            place,
            str(config.get("name", place.name)),
            summary.get("status", "running"),
            {key: value for key, value in config.items() if key not in ("name", "environment", "resumed")},
            summary.get("results", {}),
            summary.get("reference", {}),
            summary.get("seconds"),
            _rows(place / "history.csv"),
            _rows(place / "performance.csv"),
            [str(notice) for notice in summary.get("notices", [])],
        )

    @property
    def settings(self) -> dict[str, Any]:
        """`config` on one level: {"optimizer": {"lr": 1}} becomes {"optimizer.lr": 1}."""
        return flat(self.config)

    @property
    def unit(self) -> str:
        """What history counts: "epoch" or "step"."""
        return next(iter(self.history[0]), "epoch") if self.history else "epoch"

    @property
    def curves(self) -> list[str]:
        """The metrics in the history, in the order of first use."""
        return list(dict.fromkeys(key for row in self.history for key in row if key != self.unit))

    def column(self, key: str) -> tuple[list[float], list[float]]:
        """A curve of history for a plot: (steps or epochs, values), of the rows that have it."""
        rows = [row for row in self.history if key in row]
        return [row.get(self.unit, math.nan) for row in rows], [row[key] for row in rows]

    def best(self, key: str, mode: Mode) -> tuple[float, float] | None:
        """The best value of a curve and its epoch (the first, of equal ones); None if it has no number."""
        found = [(value, epoch) for epoch, value in zip(*self.column(key), strict=True) if is_metric(value)]
        sign = 1 if mode == "min" else -1
        return min(found, key=lambda pair: sign * pair[0], default=None)

    @property
    def figures(self) -> dict[str, float]:
        """Those of `results` that are numbers, on one level."""
        return {name: value for name, value in flat(self.results).items() if is_metric(value)}

    def figure(self, name: str, mode: Mode) -> float | None:
        """The result of that name, else the best value of the curve of that name; None if there is no such number."""
        if name in self.figures:
            return self.figures[name]
        best = self.best(name, mode)
        return None if best is None else best[0]


_SUMMARY: dict[str, tuple[Any, str]] = {  # what stands in summary.json, and what it must be
    "status": (str, "text"),
    "results": (dict, "a dict"),
    "reference": (dict, "a dict"),
    "seconds": ((int, float), "a number"),
    "notices": (list, "a list"),
}


def _rows(path: Path) -> list[dict[str, float]]:
    """A table of numbers; none if it was not written yet."""
    try:
        return read_table(path)
    except FileNotFoundError:
        return []
