"""Many runs together: found below a folder, as one table, as one page.

    records = find_runs("runs/lab8")
    write_runs_summary(records, "runs/lab8/runs_summary.csv")
    comparison_page(records, "runs/lab8/comparison.html", "Loans: all runs", "test_auc")

``python -m minigrad.training.compare runs/lab8`` does the same.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .comparison import comparison_page
from .figures import mode_of, monitor_of
from .json_file import read_any_json
from .run_record import RunRecord, flat
from .table import write_table

__all__ = ["RunRecord", "comparison_page", "find_runs", "write_runs_summary"]

_NO_RUNS_INSIDE = ("checkpoints", "tensorboard", "pictures")  # folders of a run


def find_runs(folder: str | os.PathLike[str], groups: bool = False) -> list[RunRecord]:
    """All runs in a folder and below, in the order of their paths; what is no run is passed over.

    A folder is that of a run if it holds a config.json that :class:`Run` wrote. One that is damaged is named in a
    warning and left out.

    Args:
        folder: where to look; it may be a run itself.
        groups: return runs that hold other runs, too; what such a one has to say stands in those.
    Raises NotADirectoryError if it is no folder.
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


def write_runs_summary(records: Sequence[RunRecord], path: str | os.PathLike[str]) -> None:
    """Write a CSV file with a row for each run, for a spreadsheet or pandas.

    The columns do not depend on the order of the runs:

    - ``folder`` (seen from the file), ``name``, ``status``;
    - ``settings.…``: all settings, by name; a list as JSON;
    - ``results.…``: the results, by name, without lists;
    - ``best.…``, ``last.…``: of each curve of history; best where its name tells whether small or large is good;
    - ``monitor``, ``best_epoch``: the curve by which an epoch was the best, a validation figure if there is one, and
      which epoch (or step, where the run counts those);
    - ``seconds``, ``average_epoch_seconds``, ``peak_rss_mib``: of the whole run, and from performance.csv.

    What a run does not have stays empty. Raises OSError if the file cannot be written.
    """
    rows = [_row(record, Path(path).parent) for record in records]
    names = {name for row in rows for name in row}
    columns = list(_FIRST)
    for group in ("settings.", "results.", "best.", "last."):
        columns += sorted(name for name in names if name.startswith(group))
    columns += _LAST
    write_table(path, [{name: row.get(name) for name in columns} for row in rows], "folder")


_FIRST = ("folder", "name", "status")
_LAST = ("monitor", "best_epoch", "seconds", "average_epoch_seconds", "peak_rss_mib")


def _row(record: RunRecord, seen_from: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "folder": Path(os.path.relpath(record.folder, seen_from)).as_posix(),
        "name": record.name,
        "status": record.status,
        "seconds": record.seconds,
    }
    row.update({f"settings.{name}": _cell(value) for name, value in record.settings.items()})
    row.update({f"results.{k}": v for k, v in flat(record.results).items() if not isinstance(v, list)})
    for name in record.curves:
        row[f"last.{name}"] = record.column(name)[1][-1]
        mode = mode_of(name)
        if mode is not None and (best := record.best(name, mode)) is not None:
            row[f"best.{name}"] = best[0]
            if name == monitor_of(record.curves):
                row["monitor"], row["best_epoch"] = name, int(best[1])
    seconds, memory = [
        [line[name] for line in record.performance if name in line] for name in ("epoch_seconds", "peak_rss_mib")
    ]
    row["average_epoch_seconds"] = sum(seconds) / len(seconds) if seconds else None
    row["peak_rss_mib"] = max(memory, default=None)
    return row


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
