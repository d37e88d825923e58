"""Compare runs: ``python -m minigrad.runs.compare runs/lab8`` writes runs_summary.csv and comparison.html there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..terminal import readable_output, shown
from ..training.callbacks.best import Mode
from .comparison import comparison_page
from .find import find_runs
from .key_metric import checked_key
from .record import RunRecord
from .summary import write_runs_summary


def write_comparison(
    records: Sequence[RunRecord], out: Path, title: str, key_metric: str | None = None, mode: Mode | None = None
) -> str:
    """Write runs_summary.csv and comparison.html into a folder; returns what to tell the user.

    The arguments and errors are those of :func:`minigrad.runs.comparison_page`.
    """
    comparison_page(records, out / "comparison.html", title, key_metric, mode)
    write_runs_summary(records, out / "runs_summary.csv")
    key, direction = checked_key(records, key_metric, mode, "compare")
    ranked = [(value, run) for run in records if key is not None and (value := run.figure(key, direction)) is not None]
    best = ""
    if ranked:
        value, run = (min if direction == "min" else max)(ranked, key=lambda pair: pair[0])
        best = f"Best {key}: {shown(value)}, {run.folder}\n"
    return f"{best}Table: {out / 'runs_summary.csv'}\nPage:  {out / 'comparison.html'}"


def main(argv: list[str] | None = None) -> int:
    readable_output()
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.runs.compare",
        description="Compare runs in a table, runs_summary.csv, and on a page, comparison.html.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUNS", help="folders that hold runs, at any depth")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where table and page are written (default: the first folder)"
    )
    parser.add_argument(
        "--key", metavar="NAME", help="the metric to compare by, such as test_accuracy (default: chosen by the results)"
    )
    parser.add_argument(
        "--mode", choices=("min", "max"), help="whether small or large is good (default: by the metric's name)"
    )
    parser.add_argument("--title", help="of the page (default: the first folder's name)")
    args = parser.parse_args(argv)
    found: dict[Path, RunRecord] = {}
    for folder in args.runs:
        if not folder.is_dir():
            parser.error(f"argument RUNS: {folder} is not a folder" if folder.exists() else f"there is no {folder}")
        found.update({record.folder.resolve(): record for record in find_runs(folder)})
    if not found:
        places = ", ".join(map(str, args.runs))
        parser.error(f"no runs found in {places}: a run's folder has a config.json, which a lab or a Run writes")
    out = args.out or args.runs[0]
    title = args.title or f"Runs of {args.runs[0].resolve().name}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        said = write_comparison(list(found.values()), out, title, args.key, args.mode)
    except ValueError as error:
        parser.error(str(error).removeprefix("comparison_page: "))
    except OSError as error:
        parser.error(f"cannot write into {out} ({error.strerror}); name another folder with --out")
    print(f"{len(found)} run{'s' * (len(found) > 1)}.\n{said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
