"""Many runs as one table."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..csv_table import write_table
from .names import flat, mode_of, monitor_of
from .record import RunRecord

_FIRST = ("folder", "name", "status")
_LAST = ("monitor", "best_epoch", "seconds", "average_epoch_seconds", "peak_rss_mib")


def write_runs_summary(records: Sequence[RunRecord], path: str | os.PathLike[str]) -> None:
    """Write a CSV file with a row for each run, for a spreadsheet or pandas.

    The columns do not depend on the order of the runs:

    - ``folder`` (seen from the file), ``name``, ``status``;
    - ``settings.…``: all settings, by name; a list as JSON;
    - ``results.…``: the results, by name, without lists;
    - ``best.…``, ``last.…``: of each curve of history; best where its name tells whether small or large is good;
    - ``monitor``, ``best_epoch``: the curve that decides which epoch is the best, a validation metric if there is
      one, and that epoch (or step, if the run counts steps);
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


def _row(record: RunRecord, seen_from: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "folder": Path(os.path.relpath(record.folder, seen_from)).as_posix(),
        "name": record.name,
        "status": record.status,
        "seconds": record.seconds,
    }
    row.update({f"settings.{name}": _setting_cell(value) for name, value in record.settings.items()})
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


def _setting_cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
