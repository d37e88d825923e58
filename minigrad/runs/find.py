"""The runs below a folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from .json_file import read_any_json
from .record import RunRecord

_NO_RUNS_INSIDE = ("checkpoints", "tensorboard", "pictures")  # folders that a run makes


def find_runs(folder: str | os.PathLike[str], groups: bool = False) -> list[RunRecord]:
    """All runs in a folder and below it, in the order of their paths.

    A folder is that of a run if it holds a config.json that :class:`Run` wrote. A damaged one is left out with a
    warning that names it.

    Args:
        folder: where to look; it may be a run itself.
        groups: also return runs that hold other runs.
    Raises NotADirectoryError if it is not a folder.
    """
    place = Path(folder)
    if not place.is_dir():
        raise NotADirectoryError(f"find_runs: {place} is not a folder")
    return list(_runs(place, groups))


def _runs(place: Path, groups: bool) -> Iterator[RunRecord]:
    inside: list[RunRecord] = []
    for below in sorted(path for path in place.iterdir() if path.is_dir() and not path.is_symlink()):
        if below.name not in _NO_RUNS_INSIDE and not below.name.startswith("."):
            inside += _runs(below, groups)
    if (not inside or groups) and (record := run_in(place)) is not None:
        yield record
    yield from inside


def run_in(place: Path) -> RunRecord | None:
    """The run in a folder; None if there is none, or, with a warning, if it is damaged."""
    try:
        config = read_any_json(place / "config.json")
        written_by_run = isinstance(config, dict) and {"name", "environment"} <= config.keys()
        return RunRecord.read(place) if written_by_run else None
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        warnings.warn(f"find_runs: {place} is left out, a file in it is damaged: {error}", stacklevel=2)
        return None
