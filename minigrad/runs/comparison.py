"""Many runs as one web page: what they differ in, what came of it, and their curves over one another."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .. import plot
from ..files import write_text
from ..plot.canvas import png_of
from ..terminal import shown
from ..training.callbacks.best import Mode
from .key_metric import checked_key
from .names import in_words, is_metric
from .record import RunRecord
from .report import Block, Link, Page, Picture, Table, render, setting_text

LINES = 8  # in colours that can be told apart; further ones are drawn in grey behind them
METRICS = 5  # columns of the table beside the metric that it is sorted by
LEGEND = 36  # letters of a line's name at most


def comparison_page(
    records: Sequence[RunRecord],
    path: str | os.PathLike[str],
    title: str,
    key_metric: str | None = None,
    mode: Mode | None = None,
) -> None:
    """Write one self-contained HTML page that sets runs side by side.

    - a table of the settings in which they differ and of their results, the best first, with links to their reports;
    - those that failed or were interrupted, with the error;
    - where exactly two settings differ: the key metric as a table of one setting by the other;
    - where runs differ by their seed alone: mean ± standard deviation over the seeds;
    - for every metric in the history of two runs or more, their curves in one picture: loss, val_loss, then the others;
    - the settings that all share.

    Args:
        records: the runs; see :func:`minigrad.runs.find_runs`.
        path: of the page; links to reports are relative to it.
        title: of the page.
        key_metric: the metric that runs are compared by: a result, or a curve of history, whose best value counts then.
            If None it is chosen: see :func:`minigrad.runs.key_metric.key_metric`.
        mode: "max" or "min": whether the largest or the smallest is the best; by the name if None ("loss": "min").
    Raises ValueError if there are no runs, or if none has the key metric; OSError if the page cannot be written.
    """
    if not records:
        raise ValueError("comparison_page: there are no runs to compare")
    key, direction = checked_key(records, key_metric, mode, "comparison_page")
    comparison = _Comparison(records, Path(path), key, direction)
    page = Page(
        title,
        comparison.subtitle(),
        comparison.notices(),
        comparison.blocks(),
        {in_words(name): value for name, value in comparison.shared.items()},
        "Settings that all runs share",
    )
    write_text(path, render(page))


class _Comparison:
    """The parts of the page. `runs` are in the order of the table, `names` their names, each different."""

    def __init__(self, records: Sequence[RunRecord], path: Path, key: str | None, mode: Mode) -> None:
        self.path, self.key, self.mode = path, key, mode
        self.runs = sorted(records, key=self._rank)
        known: dict[str, dict[str, Any]] = {}  # {setting: {value as text: value}}
        for run in self.runs:
            for name, value in run.settings.items():
                known.setdefault(name, {})[_as_json(value)] = value
        for run in self.runs:  # a missing setting is a difference, unless the run broke off before it was written
            if run.status == "finished":
                for name in known.keys() - run.settings.keys():
                    known[name][_as_json(None)] = None
        self.differing = [name for name, values in known.items() if len(values) > 1]
        self.shared = {name: next(iter(values.values())) for name, values in known.items() if len(values) == 1}
        self.names = _numbered([run.name for run in self.runs])

    def _rank(self, run: RunRecord) -> tuple[bool, float]:
        value = self.value(run)
        return (True, 0.0) if value is None else (False, value if self.mode == "min" else -value)

    def value(self, run: RunRecord) -> float | None:
        return None if self.key is None else run.figure(self.key, self.mode)

    def subtitle(self) -> str:
        count = {s: sum(run.status == s for run in self.runs) for s in ("finished", "interrupted", "failed", "running")}
        states = ", ".join(f"{n} {status}" for status, n in count.items() if n)
        many = f"{len(self.runs)} run{'s' * (len(self.runs) > 1)}: {states}."
        first = "largest" if self.mode == "max" else "smallest"
        return many if self.key is None else f"{many} In the order of {in_words(self.key)}, the {first} first."

    def notices(self) -> list[str]:
        """The notices that all finished runs have."""
        done = [run.notices for run in self.runs if run.status == "finished"]
        return [notice for notice in (done[0] if done else ()) if all(notice in others for others in done)]

    def blocks(self) -> list[Block]:
        blocks: list[Block | None] = [self._table(), self._unfinished(), self._grid(), self._seeds(), *self._pictures()]
        return [block for block in blocks if block is not None]

    # ------------------------------------------------------------------------------------------------------- tables

    def _metrics(self) -> list[str]:
        """The results beside the key metric that at least half of the finished runs have."""
        done = [run for run in self.runs if run.status == "finished"] or self.runs
        count: dict[str, int] = {}
        for run in done:
            for name, value in run.results.items():
                count[name] = count.get(name, 0) + is_metric(value)
        return [name for name, n in count.items() if name != self.key and n and 2 * n >= len(done)]

    def _table(self) -> Table:
        metrics = self._metrics()
        left_out = len(metrics) - METRICS
        metrics = metrics[:METRICS]
        with_status = any(run.status != "finished" for run in self.runs)
        columns = ["run", *map(in_words, self.differing)]
        columns += [*([] if self.key is None else [in_words(self.key)]), *map(in_words, metrics), "seconds"]
        rows = []
        for run, name in zip(self.runs, self.names, strict=True):
            settings = run.settings
            row: list[Any] = [self._link(run, name), *(setting_text(settings.get(s)) for s in self.differing)]
            row += [] if self.key is None else [self.value(run)]
            row += [run.figures.get(name) for name in metrics]
            seconds = None if run.seconds is None else f"{run.seconds:.1f}"
            rows.append([*row, seconds, *([run.status] if with_status else [])])
        note = f"{left_out} more metrics stand in the reports." if left_out > 0 else ""
        return Table("Runs", [*columns, *(["status"] if with_status else [])], rows, note)

    def _link(self, run: RunRecord, name: str) -> Link | str:
        report = run.folder / "report.html"
        if not report.exists():
            return name
        return Link(name, quote(Path(os.path.relpath(report, self.path.parent)).as_posix()))

    def _unfinished(self) -> Table | None:
        rows = []
        for run, name in zip(self.runs, self.names, strict=True):
            if run.status == "running":
                what = "There is no summary: it is still running, or was killed."
            else:
                what = run.notices[-1] if run.notices else "No reason is given."
            if run.status != "finished":
                rows.append((self._link(run, name), run.status, what))
        return Table("Runs that did not finish", ("run", "status", "what it says"), rows) if rows else None

    def _grid(self) -> Table | None:
        """The key metric by two settings, if only these differ (beside the seed, over which it is the mean)."""
        axes = [name for name in self.differing if name != "seed"]
        if self.key is None or len(axes) != 2:
            return None
        cells: dict[tuple[str, str], list[float]] = {}
        for run in self.runs:
            value = self.value(run)
            if value is not None and run.status == "finished":
                cells.setdefault((_as_json(run.settings.get(axes[0])), _as_json(run.settings.get(axes[1]))), []).append(
                    value
                )
        sides = [_in_order([run.settings.get(axis) for run in self.runs]) for axis in axes]
        if min(map(len, sides)) < 2 or 2 * len(cells) <= len(sides[0]) * len(sides[1]):
            return None
        rows = [
            [
                f"{in_words(axes[0])} {setting_text(a)}".replace(" ", "\N{NO-BREAK SPACE}"),
                *(
                    statistics.fmean(found) if (found := cells.get((_as_json(a), _as_json(b)))) else None
                    for b in sides[1]
                ),
            ]
            for a in sides[0]
        ]
        columns = ["", *(f"{in_words(axes[1])} {setting_text(b)}" for b in sides[1])]
        return Table(f"{in_words(self.key).capitalize()} by {in_words(axes[0])} and {in_words(axes[1])}", columns, rows)

    def _seeds(self) -> Table | None:
        """Mean and deviation over the finished runs that differ only by their seed."""
        others = [name for name in self.differing if name != "seed"]
        groups: dict[str, dict[str, RunRecord]] = {}
        for run in sorted(self.runs, key=lambda run: run.folder):  # of equal seeds the last run counts
            if run.status == "finished":
                settings = run.settings
                same = _as_json([run.name, *(settings.get(name) for name in others)])
                groups.setdefault(same, {})[_as_json(settings.get("seed"))] = run
        if all(len(group) < 2 for group in groups.values()):
            return None
        metrics = [*([] if self.key is None else [self.key]), *self._metrics()[:METRICS]]
        by_name = len({run.name for run in self.runs}) > 1
        rows = []
        for group in sorted(groups.values(), key=lambda group: min(self._rank(run) for run in group.values())):
            first = next(iter(group.values()))
            row: list[Any] = [first.name] if by_name else []
            row += [setting_text(first.settings.get(s)) for s in others]
            for metric in metrics:
                found = [value for run in group.values() if (value := run.figure(metric, self.mode)) is not None]
                row.append(_mean_and_deviation(found))
            rows.append([*row, len(group)])
        columns = [*(["run"] if by_name else []), *map(in_words, others), *map(in_words, metrics), "seeds"]
        return Table("Mean ± standard deviation over seeds", columns, rows)

    # ------------------------------------------------------------------------------------------------------- curves

    def _pictures(self) -> list[Picture]:
        count: dict[str, int] = {}
        for run in self.runs:
            for name in run.curves:
                count[name] = count.get(name, 0) + 1
        enough = min(2, len(self.runs))
        names: list[str] = [name for name in ("loss", "val_loss") if name in count]
        names += [name for name in count if name not in names]
        return [self._picture(name) for name in names if count[name] >= enough]

    def _picture(self, metric: str) -> Picture:
        with_curve = [i for i, run in enumerate(self.runs) if run.column(metric)[0]]
        legend = self._legend()
        units = {self.runs[i].unit for i in with_curve}
        lines = {}
        for i in with_curve:
            x, y = self.runs[i].column(metric)
            # Steps and epochs cannot share an axis, shares of the training can.
            lines[legend[i]] = (x if len(units) == 1 else [step / (max(x) or 1) for step in x], y)
        coloured = dict(list(lines.items())[:LINES])
        values = [value for _, y in lines.values() for value in y if is_metric(value)]
        log = bool(values) and min(values) > 0 and max(values) > 50 * min(values)
        xlabel = units.pop() if len(units) == 1 else "share of the training"
        picture = plot.curves(coloured, xlabel, in_words(metric), log=log)
        for x, y in list(lines.values())[LINES:]:
            picture.axes[0].plot(x, y, color="#9aa5b1", linewidth=0.8, zorder=1)
        others = len(lines) - LINES
        behind = (
            "" if others < 1 else " In grey the other run." if others == 1 else f" In grey the other {others} runs."
        )
        return Picture(png_of(picture), f"{in_words(metric).capitalize()}; at the end {_ends(lines)}.{behind}")

    def _legend(self) -> list[str]:
        """A name for each run's line: its name, or its differing settings if names repeat and these are short."""
        if len({run.name for run in self.runs}) == len(self.runs):
            return self.names
        texts = [
            ", ".join(f"{in_words(name)} {setting_text(run.settings.get(name))}" for name in self.differing)
            for run in self.runs
        ]
        fit = len(set(texts)) == len(texts) and max(map(len, texts)) <= LEGEND
        return texts if fit else self.names


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _ends(lines: Mapping[str, tuple[list[float], list[float]]]) -> str:
    """The last values of up to four lines; of more, the lowest and the highest."""
    last = {name: y[-1] for name, (_, y) in lines.items()}
    if len(last) <= 4:
        return ", ".join(f"{shown(value)} ({name})" for name, value in last.items())
    last = {name: value for name, value in last.items() if is_metric(value)} or last
    low, high = [extreme(last, key=lambda name: last[name]) for extreme in (min, max)]
    return f"from {shown(last[low])} ({low}) to {shown(last[high])} ({high})"


def _in_order(values: Sequence[Any]) -> list[Any]:
    """Each value once: numbers by size, others in the given order."""
    once = list({_as_json(value): value for value in values}.values())
    return sorted(once) if all(map(is_metric, once)) else once


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that occur more than once: "base 1", "base 2"."""
    so_far: dict[str, int] = {}
    numbered = []
    for name in names:
        so_far[name] = so_far.get(name, 0) + 1
        numbered.append(f"{name}\N{NO-BREAK SPACE}{so_far[name]}" if names.count(name) > 1 else name)
    return numbered


def _mean_and_deviation(values: Sequence[float]) -> str | None:
    if not values:
        return None
    if len(set(values)) == 1:  # such as a count of parameters, or a single value
        return shown(values[0])
    return f"{shown(statistics.fmean(values))} ± {statistics.stdev(values):.2g}".replace(" ", "\N{NO-BREAK SPACE}")
