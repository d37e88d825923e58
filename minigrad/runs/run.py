"""The folder of a run, and all that is written into it."""

from __future__ import annotations

import math
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import numpy as np

from .. import kernels
from ..csv_table import write_table
from ..files import remove_drafts, write_bytes, write_text
from ..plot.canvas import png_of
from ..plot.graph_svg import GraphPicture
from ..serialization import save
from ..tensor import Tensor
from ..terminal import say
from ..utils.tensorboard import SummaryWriter
from .json_file import plain, read_json, read_summary, write_json
from .names import flat, in_words
from .progress import Progress
from .report import Block, Page, Picture, Table, Text, render

T = TypeVar("T")

HISTORY_EVERY = 10.0  # seconds between writes of history.csv, which a killed run leaves behind


class Run:
    """One run of an experiment: its folder, its progress bar, its metrics, its report.

        with Run("runs/lab", "base", config={"lr": 0.1}) as run:
            for epoch in run.steps(range(1, 11)):
                ...
                run.log(epoch, loss=loss, accuracy=right / count)
            run.save_weights(model.state_dict())
            run.results["accuracy"] = 0.97

    The folder `<out>/<number>-<name>` is new: no run overwrites another. At the end of the `with` block it holds

    - config.json: the settings, and the versions that ran (written at the start);
    - history.csv: a row for each call of `log`;
    - performance.csv: a row for each call of `log_performance`, if any: times, memory;
    - summary.json: `status` ("finished", "interrupted" by Ctrl-C, "failed"), `results`, the reference, notices;
    - report.html: all of it, with the pictures, as one page; weights.safetensors, pictures, TensorBoard's logs.

    The summary is written last: a run that is killed before that has none, and can be resumed.

    What depends on the machine is only in config.json, summary.json and performance.csv, so that equal seeds give equal
    other files. Each file is complete at any moment, also if the process is killed.

    Args:
        out: the folder of runs; made if need be.
        name: of the experiment; letters, digits, `-`, `_` and `.`.
        config: the settings: values that JSON can hold, NumPy numbers, tensors and paths.
        title: of the report; the name if None.
        unit: what `log` counts, the first column of history.csv.
        template: settings that start the same run again; written to experiment_template.json if given.
    Attributes:
        checkpoints: the folder for checkpoints.
        results: the results, for the summary; the same values as in ``config``.
    Raises, before any work is done, OSError if the folder cannot be made or written, TypeError for a setting that JSON
    cannot hold.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        name: str,
        config: Mapping[str, Any],
        title: str | None = None,
        unit: str = "epoch",
        template: Mapping[str, Any] | None = None,
    ) -> None:
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError(f"Run: the name {name!r} is not fit for a folder; use letters, digits, '-', '_' and '.'")
        self._begin(name, config, title, unit)
        settings = {"name": name, **plain(self.config, "Run: config")}
        settings["environment"] = {"started": self._started.isoformat(timespec="seconds"), **_environment()}
        written = None if template is None else plain(template, "Run: template")
        self.folder = _new_folder(Path(out), name)
        write_json(self.folder / "config.json", settings)
        if written is not None:
            write_json(self.folder / "experiment_template.json", written)

    def _begin(self, name: str, config: Mapping[str, Any], title: str | None, unit: str) -> None:
        self.name = name
        self.title = title or name
        self.unit = unit
        self.config = dict(config)
        self.status: Literal["running", "finished", "interrupted", "failed"] = "running"
        self.history: list[dict[str, float]] = []
        self.performance: list[dict[str, float]] = []
        self.results: dict[str, Any] = {}
        self.reference: dict[str, Any] = {}
        self.notices: list[str] = []
        self.blocks: list[Block] = []
        self._compared: list[Block] = []
        self._progress: Progress[Any] | None = None
        self._writers: dict[str, Any] = {}
        self._purge: dict[str, int | None] = {}
        self._started = datetime.now(UTC)
        self._clock = self._written = time.perf_counter()

    @classmethod
    def resume(
        cls, folder: str | os.PathLike[str], config: Mapping[str, Any], title: str | None = None, unit: str = "epoch"
    ) -> Self:
        """Open the folder of an interrupted run, to continue it.

        `rewind` sets the point to continue from; until then it has no history. Raises FileNotFoundError if it is not
        the folder of a run, ValueError if the run is finished, or its config.json or summary.json damaged.
        """
        place = Path(folder)
        try:
            begun = read_json(place / "config.json")
        except FileNotFoundError:
            raise FileNotFoundError(f"Run.resume: {place} is not the folder of a run: it has no config.json") from None
        if read_summary(place).get("status") == "finished":
            raise ValueError(f"Run.resume: the run in {place} is finished; there is nothing to go on with")
        if not isinstance(begun.get("name"), str) or not isinstance(begun.get("resumed", []), list):
            raise ValueError(f"{place / 'config.json'} is damaged: it does not say which run this is")
        run = cls.__new__(cls)
        run._begin(begun["name"], config, title, unit)
        run.folder = place
        remove_drafts(place)
        again = {"started": run._started.isoformat(timespec="seconds"), **_environment()}
        begun.setdefault("resumed", []).append(again)
        write_json(place / "config.json", begun)
        return run

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    # ------------------------------------------------------------------------------------------------ while it runs

    def steps(self, items: Iterable[T], label: str | None = None) -> Iterator[T]:
        """Iterate under a progress bar. Ctrl-C ends the iteration; the run goes on with what was trained so far."""
        self._progress = progress = Progress(items, self.name if label is None else label)
        yield from progress
        if progress.interrupted:
            self.interrupt(f"Stopped by Ctrl-C after {self.unit} {progress.last}")

    def interrupt(self, what: str) -> None:
        """Note that the run was ended early; what was trained is still reported."""
        self.status = "interrupted"
        self.notice(f"{what}; all below is of what was trained until then.")

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return self.status == "interrupted" or (self._progress is not None and self._progress.interrupted)

    def log(self, count: int, /, **values: Any) -> None:
        """Add a row to the history: numbers, or tensors of one element. The bar and TensorBoard show them, too.

        Raises TypeError, with its name, for a value that is not a number.
        """
        numbers = {key: _number(key, value) for key, value in values.items()}
        self.history.append({self.unit: count, **numbers})
        for key, number in numbers.items():
            self.writer.add_scalar(key, number, count)
        if self._progress is not None:
            self._progress.show(**numbers)
        if time.perf_counter() - self._written > HISTORY_EVERY:
            self._write_history()

    def log_performance(self, count: int, /, **values: float) -> None:
        """Add a row of what depends on the machine, such as times and memory. TensorBoard shows it, too."""
        numbers = {key: _number(key, value) for key, value in values.items()}
        if numbers:
            self.performance.append({self.unit: count, **numbers})
        for key, number in numbers.items():
            self.writer.add_scalar(f"performance/{key}", number, count)

    @property
    def writer(self) -> Any:
        """The SummaryWriter whose steps are epochs; the steps of `batch_writer` are updates."""
        return self._writer_of("tensorboard")

    @property
    def batch_writer(self) -> Any:
        return self._writer_of("tensorboard/batches")

    def _writer_of(self, folder: str) -> Any:
        if folder not in self._writers:
            self._writers[folder] = SummaryWriter(self.folder / folder, purge_step=self._purge.get(folder))
        return self._writers[folder]

    def rewind(
        self, history: Sequence[Mapping[str, float]], performance: Sequence[Mapping[str, float]] = (), step: int = 0
    ) -> None:
        """Go back to a checkpoint: take over its history, and hide the later entries of TensorBoard's logs.

        Args: history, performance: the rows up to it. step: the updates made up to it.
        """
        self.history = [dict(row) for row in history]
        self.performance = [dict(row) for row in performance if len(row) > 1]
        self._purge = {"tensorboard": len(self.history) + 1, "tensorboard/batches": step + 1}
        self._write_history()

    def say(self, text: str) -> None:
        """Print, above the progress bar if there is one."""
        if self._progress is None:
            say(text)
        else:
            self._progress.say(text)

    def column(self, key: str) -> tuple[list[float], list[float]]:
        """A curve of the history for a plot: (steps or epochs, values), of the rows that have it."""
        rows = [row for row in self.history if key in row]
        return [row[self.unit] for row in rows], [row[key] for row in rows]

    # ---------------------------------------------------------------------------------------------- what it leaves

    def save_weights(self, tensors: Mapping[str, Tensor], name: str = "weights.safetensors") -> None:
        """Write tensors, such as a `state_dict()`, into the folder."""
        save(dict(tensors), self.folder / name)

    def notice(self, text: str, say: bool = True) -> None:
        """Tell the reader something on top of the report, and print it unless ``say=False``."""
        self.notices.append(text)
        if say:
            self.say(f"NOTE: {text}")

    def picture(
        self, figure: Any, name: str, caption: str, kind: Literal["chart", "image", "drawing"] = "chart"
    ) -> None:
        """Save a Matplotlib figure as `<name>.png`, or a graph as `<name>.svg`, and put it into the report."""
        if isinstance(figure, GraphPicture):
            path, content, kind = self.folder / f"{name}.svg", figure.svg.encode(), "drawing"
        else:
            path, content = self.folder / f"{name}.png", png_of(figure)
        write_bytes(path, content)
        self.blocks.append(Picture(path, caption, kind))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> None:
        """Put a table into the report."""
        self.blocks.append(Table(title, columns, rows, note))

    def text(self, title: str, text: str, fixed: bool = True) -> None:
        """Put text into the report: of fixed width (tables of text), or a paragraph."""
        self.blocks.append(Text(title, text, fixed))

    def compare(
        self, rows: Mapping[str, tuple[float | None, float | None]], ours: str = "this run", note: str = ""
    ) -> None:
        """Compare with a reference, {metric: (reference, ours)}: on top of the report, and in the summary."""
        self.reference.update({what: theirs for what, (theirs, _) in rows.items()})
        table = [(what, *pair) for what, pair in rows.items()]
        self._compared.insert(0, Table("Beside the reference", ["", "reference", ours], table, note))

    def finish(self) -> None:
        """Write history, report and, last, the summary. Leaving the `with` block does this.

        Every file is written, even if another cannot be; then the first error is raised. A result that JSON cannot hold
        (a TypeError) is left out and named in a notice; after a file that cannot be written, the run counts as failed.
        """
        seconds = round(time.perf_counter() - self._clock, 3)
        errors: list[Exception] = []
        results = self._kept("results", self.results, errors)
        reference = self._kept("reference", self.reference, errors)
        if self.status == "running":
            self.status = "finished"
        for write in (self._close_writers, self._write_history, lambda: self._write_report(results, seconds)):
            try:
                write()
            except Exception as error:
                errors.append(error)
                self.status = "failed"
                self.notices.append(f"The run could not be written: {type(error).__name__}: {error}")
        summary = {
            "name": self.name,
            "status": self.status,
            "results": results,
            "reference": reference,
            "notices": [str(notice) for notice in self.notices],
            "seconds": seconds,
        }
        write_json(self.folder / "summary.json", summary)
        if errors:
            raise errors[0]
        self.say(f"{self.status.capitalize()} after {seconds:.1f} s. Report: {self.folder / 'report.html'}")

    def _kept(self, name: str, values: Mapping[str, Any], errors: list[Exception]) -> dict[str, Any]:
        """The values that a JSON file can hold."""
        kept: dict[str, Any] = {}
        for key, value in values.items():
            try:
                kept[str(key)] = plain(value, f"{name}[{key!r}]")
            except (TypeError, ValueError) as error:
                errors.append(error)
                self.notices.append(f"Left out: {error}")
        return kept

    def _close_writers(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _write_report(self, results: Mapping[str, Any], seconds: float) -> None:
        subtitle = f"{self.name}, {self._started:%Y-%m-%d %H:%M} UTC, {self.status} after {seconds:.1f} s"
        # Lists and nested results belong into tables and pictures of their own.
        rows = [(key.replace("_", " "), v) for key, v in results.items() if not isinstance(v, (list, dict))]
        table = [Table("Results", ["", "this run"], rows)] if rows else []
        blocks = [*self._compared, *table, *self.blocks]
        settings = {in_words(name): value for name, value in flat(self.config).items()}
        page = Page(self.title, subtitle, self.notices, blocks, settings)
        write_text(self.folder / "report.html", render(page))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress = None
        if error is not None:
            self.status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self.notices.append(f"The run ended early: {type(error).__name__}: {error}".rstrip(": "))
        try:
            self.finish()
        except Exception as another:
            if error is None:
                raise
            error.add_note(f"Then the run could not be written as a whole: {type(another).__name__}: {another}")

    def _write_history(self) -> None:
        write_table(self.folder / "history.csv", self.history, self.unit)
        if self.performance:
            write_table(self.folder / "performance.csv", self.performance, self.unit)
        self._written = time.perf_counter()


def _number(name: str, value: Any) -> float:
    """A value to log, as a Python number."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)) and math.prod(value.shape) == 1:
        value = value.item()
    if not isinstance(value, (bool, int, float)):
        raise TypeError(f"Run.log: {name} is {value!r} ({type(value).__name__}), expected one number")
    return value


def _environment() -> dict[str, Any]:
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "threads": kernels.get_num_threads(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _new_folder(out: Path, name: str) -> Path:
    """Make `<out>/<number>-<name>`, with a number that no run there has yet."""
    out.mkdir(parents=True, exist_ok=True)
    numbers = [int(found[1]) for path in out.iterdir() if (found := re.match(r"(\d{3,})-", path.name))]
    number = max(numbers, default=0) + 1
    while True:  # another process may take the number first
        folder = out / f"{number:03d}-{name}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder
