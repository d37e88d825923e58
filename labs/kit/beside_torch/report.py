"""The report of `--compare torch`: a picture with both losses, a table with both times."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad import plot
from minigrad.csv_table import write_table
from minigrad.runs import Run

from .twin import LIBRARIES

OURS, THEIRS = LIBRARIES
DRIFT = (
    "Both compute in float32, but add up in another order. Where rounding decides whether a ReLU lets a gradient pass, "
    "and where Adam divides a gradient near 0 by its own size, a difference in the last digit becomes a larger one. So "
    "losses drift apart, the faster the higher the learning rate."
)
SAME = 1e-3  # relative difference of the first losses beyond which two networks are not the same


@dataclass
class Course:
    """How the training of a network went in one library."""

    parameters: int
    dropout: bool  # whether the network has some, which was left out
    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of each step
    figures: dict[str, float] = field(default_factory=dict)  # on the test set

    @property
    def milliseconds(self) -> float:
        """Of the median step."""
        return 1000 * statistics.median(self.seconds)


Pair = Mapping[str, Course]  # library → its course


def largest_difference(pair: Pair) -> tuple[float, float, int]:
    """Between the losses of a step: as a number, as a share of the larger loss, and which step it was (from 1)."""
    a, b = (np.array(pair[library].losses) for library in LIBRARIES)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        share = np.where(apart == 0, 0.0, apart / np.maximum(np.abs(a), np.abs(b)))
    share = np.nan_to_num(share, nan=np.inf)  # one of both is no number
    step = int(share.argmax())
    return float(apart[step]), float(share[step]), step + 1


def picture(run: Run, name: str, pair: Pair, batch_size: int) -> None:
    """Both losses over the steps; and a notice if they are not even alike before the first step."""
    steps = range(1, len(pair[OURS].losses) + 1)
    lines = {LIBRARIES[library]: (steps, course.losses) for library, course in pair.items()}
    apart, share, step = largest_difference(pair)
    caption = (
        f"{name}: training loss by step, from the same weights on the same batches of {batch_size}. The losses differ "
        f"most at step {step}: by {apart:.1e}, which is {share:.1e} of the loss."
    )
    figure = plot.curves(lines, "step", "training loss", dashed=[LIBRARIES[THEIRS]])
    run.picture(figure, f"torch-{re.sub(r'[^a-zA-Z0-9.]+', '-', name)}", caption)
    ours, theirs = (pair[library].losses[0] for library in LIBRARIES)
    if not np.isclose(ours, theirs, rtol=SAME, atol=0, equal_nan=True):
        run.notice(
            f"{name}: the first loss is {ours:.6g} in minigrad and {theirs:.6g} in PyTorch. They do not compute the "
            "same function, so their times must not be compared."
        )


def tables(run: Run, title: str, pairs: Mapping[str, Pair], note: str) -> None:
    """A table of times and one of losses and figures, a row for each network; both also in `run.results["torch"]`."""
    results = run.results.setdefault("torch", {})
    times: list[list[Any]] = []
    figures: list[list[Any]] = []
    names = list(next(iter(pairs.values()))[OURS].figures)
    for name, pair in pairs.items():
        ours, theirs = pair[OURS], pair[THEIRS]
        ratio = theirs.milliseconds / ours.milliseconds
        share = largest_difference(pair)[1]
        seconds = [sum(course.seconds) for course in (ours, theirs)]
        times.append([name, ours.parameters, ours.milliseconds, theirs.milliseconds, ratio, *seconds])
        figures.append([name, share, *(course.figures[what] for what in names for course in (ours, theirs))])
        results[name] = {"parameters": ours.parameters, "steps": len(ours.losses), "ratio": ratio}
        results[name]["largest_relative_difference"] = share
        for library, course in pair.items():
            own = {"ms_per_step": course.milliseconds, "seconds": sum(course.seconds), "last_loss": course.losses[-1]}
            results[name][library] = {**own, **course.figures}
        run.say(
            f"{name}: {ours.milliseconds:.3g} ms per step, PyTorch {theirs.milliseconds:.3g} ms, {ratio:.2f} times as "
            f"long; the losses differ by at most {share:.1e} of their size"
        )
    if len(pairs) > 1:
        times.append(
            ["geometric mean", None, None, None, statistics.geometric_mean(row[4] for row in times), None, None]
        )
    columns = ["network", "parameters", "minigrad, ms per step", "PyTorch, ms per step", "PyTorch / minigrad"]
    run.table(title, [*columns, "minigrad, s in all", "PyTorch, s in all"], times, note)
    both = [f"{library}, test {what}" for what in names for library in LIBRARIES.values()]
    columns = ["network", "largest relative difference of the losses", *both]
    run.table(f"{title}: do both learn the same?", columns, figures, DRIFT)


def write_steps(run: Run, pairs: Mapping[str, Pair]) -> None:
    """losses.csv in the run's folder: loss and seconds of each step of each network in each library."""
    rows = [
        {"network": name, "library": library, "step": i + 1, "loss": loss, "seconds": seconds}
        for name, pair in pairs.items()
        for library, course in pair.items()
        for i, (loss, seconds) in enumerate(zip(course.losses, course.seconds, strict=True))
    ]
    write_table(run.folder / "losses.csv", rows)
