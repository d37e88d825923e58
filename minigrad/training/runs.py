"""Runs that were made: read back from their folders."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .run import read_summary


@dataclass(frozen=True)
class RunRecord:
    """What the folder of a run says about it.

    Attributes:
        folder, name: where it lies, and the experiment's name.
        status: "finished", "interrupted", "failed", or "running" (or killed) where there is no summary.
        config, results, reference: the settings, the figures at the end, and the figures of the reference.
        seconds: how long it took; None where there is no summary.
        history, performance: a dict for each epoch, numbers only.
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

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Self:
        """Raises FileNotFoundError if it is no run's folder, ValueError if a file in it is damaged."""
        place = Path(folder)
        try:
            config = json.loads((place / "config.json").read_text(encoding="utf-8"))
            summary = read_summary(place)
        except FileNotFoundError:
            raise FileNotFoundError(f"{place} is not the folder of a run: it has no config.json") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"{place}: config.json or summary.json is damaged: {error}") from None
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
        )

    def column(self, key: str) -> tuple[list[float], list[float]]:
        """A curve of history for a plot: (steps or epochs, values), of the rows that have it."""
        rows = [row for row in self.history if key in row]
        return [next(iter(row.values())) for row in rows], [row[key] for row in rows]


def _rows(path: Path) -> list[dict[str, float]]:
    """A table of numbers; empty cells are left out, and so are cells that hold no number."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{key: number for key, text in row.items() if (number := _number(text)) is not None} for row in rows]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
