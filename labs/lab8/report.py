"""Lab 8's report page for one run: its best AUC beside the student report's, and how uncertain it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from minigrad import Tensor, plot
from minigrad.plot.smoothing import smooth
from minigrad.runs import Run, RunRecord

from .data import Loans

SMOOTHING = 0.6
LAST = 10  # epochs that stand for the end of a training


@dataclass(frozen=True)
class Reference:
    """The report's best test AUC, as it is and smoothed, and the epochs of both."""

    best: float
    best_epoch: int
    smoothed: float
    smoothed_epoch: int


REFERENCE = {  # of experiments 4 and 5 the report gives the best run only
    "simple": Reference(0.9284, 62, 0.9279, 24),
    "deep": Reference(0.9303, 35, 0.9290, 18),
    "skip": Reference(0.9287, 30, 0.9267, 18),
    "dropout-0.5": Reference(0.9290, 43, 0.9284, 43),
    "wd-0.001-lr-0.05": Reference(0.9298, 28, 0.9293, 28),
}


@dataclass(frozen=True)
class Curve:
    """A run's test AUC by epoch, and what can be read off it.

    Attributes:
        epochs, raw, smoothed: (E,), `smoothed` with TensorBoard's average at 0.6.
        best, best_epoch, best_smoothed, best_smoothed_epoch: the highest of both, and when.
        end: the last epochs of `raw`, ten of them or half of a shorter run.
        noise: by how much one epoch's AUC scatters, see :func:`scatter`.
    """

    epochs: np.ndarray[Any, Any]
    raw: np.ndarray[Any, Any]
    smoothed: np.ndarray[Any, Any]

    @classmethod
    def of(cls, run: Run | RunRecord) -> Self:
        epochs, values = (np.array(column) for column in run.column("val_auc"))
        return cls(epochs.astype(int), values, smooth(values, SMOOTHING))

    @property
    def best(self) -> float:
        return float(self.raw.max())

    @property
    def best_epoch(self) -> int:
        return int(self.epochs[self.raw.argmax()])

    @property
    def best_smoothed(self) -> float:
        return float(self.smoothed.max())

    @property
    def best_smoothed_epoch(self) -> int:
        return int(self.epochs[self.smoothed.argmax()])

    @property
    def end(self) -> np.ndarray[Any, Any]:
        return self.raw[-max(1, min(LAST, len(self.raw) // 2)) :]

    @property
    def noise(self) -> float:
        return scatter(self.raw)


def scatter(values: Any) -> float:
    """By how much one epoch's figure scatters about its trend by chance, in the second half of a training.

    The standard deviation of the differences between neighbours, over √2: a trend adds the same to each difference, and
    each has the scatter of two epochs in it. NaN below four epochs.
    """
    steps = np.diff(values[len(values) // 2 :])
    return float(steps.std() / math.sqrt(2)) if len(steps) > 1 else math.nan


def sampling_error(auc: float, positive: int, negative: int) -> float:
    """The standard error of an AUC that comes from so many loans of class 1 and of class 0 being drawn by chance.

    With A the AUC, Q₁ = A / (2 − A) and Q₂ = 2A² / (1 + A):
    SE² = (A (1 − A) + (n₁ − 1)(Q₁ − A²) + (n₀ − 1)(Q₂ − A²)) / (n₁ n₀).
    Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 143 (1982).
    """
    square = auc * auc
    q1, q2 = auc / (2 - auc), 2 * square / (1 + auc)
    total = auc * (1 - auc) + (positive - 1) * (q1 - square) + (negative - 1) * (q2 - square)
    return math.sqrt(max(total, 0.0) / (positive * negative))


def figure_name(name: str, kind: str, quick: bool) -> str:
    """The name itself for the lab's loans alone; any other figure says in its name what it is of."""
    if kind == "loans" and not quick:
        return name
    return f"{kind.replace(' ', '_').replace('-', '_')}_{'quick_' if quick else ''}{name}"


def of_run(run: Run, loans: Loans, scores: Mapping[str, Tensor], differing: Sequence[str]) -> None:
    """The page of one run.

    Args: scores: {whose weights: the test loans' logits (N, 1)}. differing: what is not as in the report's run.
    """
    quick = run.config["quick"]
    if not run.history:
        run.notice("No epoch was finished, so there is nothing to report.")
        return
    curve, losses = Curve.of(run), run.column("val_loss")[1]
    lowest = int(np.argmin(losses))
    found = {
        "best_test_auc": curve.best,
        "best_epoch": curve.best_epoch,
        "best_smoothed_test_auc": curve.best_smoothed,
        "best_smoothed_epoch": curve.best_smoothed_epoch,
        "last_test_auc": float(curve.raw[-1]),
        "lowest_test_loss": losses[lowest],
        "lowest_loss_epoch": int(curve.epochs[lowest]),
    }
    run.results |= {figure_name(key, loans.kind, quick): value for key, value in found.items()}
    run.say(
        f"{run.name} ({loans.kind}): best test AUC {curve.best:.4f} in epoch {curve.best_epoch}, "
        f"smoothed {curve.best_smoothed:.4f} in epoch {curve.best_smoothed_epoch}"
    )
    theirs = None if quick else REFERENCE.get(run.name)
    if theirs is not None:
        rows = {
            "best test AUC": (theirs.best, curve.best),
            "its epoch": (theirs.best_epoch, curve.best_epoch),
            "best test AUC, smoothed": (theirs.smoothed, curve.best_smoothed),
            "its epoch, smoothed": (theirs.smoothed_epoch, curve.best_smoothed_epoch),
        }
        run.compare(rows, f"this run, {loans.kind}", distance(curve, theirs, loans, differing))
    text = " ".join([*_on_auc(run, curve), *_on_loss(run)])
    run.text("What stands behind these figures", text, fixed=False)
    _epochs(run, curve, lowest)
    _pictures(run, loans, scores, curve)


def distance(curve: Curve, theirs: Reference, loans: Loans, differing: Sequence[str]) -> str:
    """How far our best figures are from the report's, and whether chance alone would do that."""
    apart = f"Ours minus the report's: {curve.best - theirs.best:+.4f}"
    apart += f", smoothed {curve.best_smoothed - theirs.smoothed:+.4f}."
    others = [*differing, *([f"{loans.kind} (see the note on top)"] if loans.kind != "loans" else ())]
    if others:
        return f"{apart} But this run is not the report's: {', '.join(others)}."
    positive, count = int(loans.test[1].sum()), len(loans.test[1])
    drawn = sampling_error(theirs.best, positive, count - positive)
    far = abs(curve.best - theirs.best)
    if far <= 2 * curve.noise:
        return f"{apart} One epoch's AUC scatters by {curve.noise:.4f}: no more than chance."
    if far <= 2 * drawn:
        return (
            f"{apart} Another draw of {count:,} test loans would move an AUC by {drawn:.4f} (standard error by Hanley "
            "and McNeil), and the report does not say which loans it drew: no more than chance."
        )
    return f"{apart} Neither an epoch's scatter ({curve.noise:.4f}) nor the draw of loans ({drawn:.4f}) explains that."


def _on_auc(run: Run, curve: Curve) -> list[str]:
    end, train_end = curve.end, run.column("auc")[1][-1]
    texts = [
        f"In the last {len(end)} epochs the test AUC lies between {end.min():.4f} and {end.max():.4f}, "
        f"{end.mean():.4f} in the mean; the best epoch of {len(curve.raw)} is {curve.best - end.mean():.4f} above that."
    ]
    i = int(curve.raw.argmax())
    around = np.delete(curve.raw[max(0, i - 2) : i + 3], min(i, 2))
    if i == len(curve.raw) - 1:
        texts.append("The best epoch is the last one: the curve might rise on.")
    elif math.isfinite(curve.noise):
        texts.append(
            f"One epoch's AUC scatters by {curve.noise:.4f} about its trend (standard deviation), and the best epoch "
            f"stands {curve.best - around.mean():.4f} above those around it: so much of it is luck."
        )
    gap = train_end - curve.raw[-1]
    texts.append(
        f"At the end the AUC of the training loans is {train_end:.4f}, {abs(gap):.4f} "
        f"{'above' if gap > 0 else 'below'} that of the test loans."
    )
    return texts


def _on_loss(run: Run) -> list[str]:
    (epochs, test), train = run.column("val_loss"), run.column("loss")[1]
    smoothed, noise = smooth(test, SMOOTHING), scatter(test)
    low = int(smoothed.argmin())
    text = f"Smoothed, the test loss is lowest in epoch {epochs[low]:.0f}, {smoothed[low]:.4f}"
    if low == len(test) - 1:
        text += ", the last one: it might fall on."
    elif smoothed[-1] - smoothed[low] > noise:
        text += f", and then rises to {smoothed[-1]:.4f}, while the training loss goes from {train[low]:.4f} to "
        text += f"{train[-1]:.4f}: what the network learns there holds for its training loans only."
    else:
        text += f", and {smoothed[-1]:.4f} at the end: not yet above it by more than the scatter of one epoch."
    texts = [text]
    above = sum(a > b for a, b in zip(train, test, strict=True))
    if above:
        dropout = run.config["dropout"]
        left_out = f", and with {dropout:.0%} of the hidden values left out" if dropout else ""
        texts.append(
            f"The training loss is above the test loss in {above} of {len(test)} epochs: it is taken while the weights "
            f"still move{left_out}, the test loss at the end of the epoch."
        )
    return texts


def _epochs(run: Run, curve: Curve, lowest: int) -> None:
    """The epochs that somebody might choose, as a table."""
    chosen = {
        "lowest test loss": lowest,
        "highest test AUC": int(curve.raw.argmax()),
        "highest smoothed test AUC": int(curve.smoothed.argmax()),
        "last": len(curve.raw) - 1,
    }
    columns = [run.column(key)[1] for key in ("loss", "val_loss", "auc", "val_auc")]
    rows = [
        (name, int(curve.epochs[i]), *(column[i] for column in columns), float(curve.smoothed[i]))
        for name, i in chosen.items()
    ]
    heads = ("", "epoch", "training loss", "test loss", "training AUC", "test AUC", "smoothed")
    note = (
        "The best epochs are chosen by the test loans themselves, as in the report, so their figures are a little "
        "better than those of loans never seen. The weights in weights.safetensors are those of the lowest test loss."
    )
    run.table("Epochs", heads, rows, note)


def _pictures(run: Run, loans: Loans, scores: Mapping[str, Tensor], curve: Curve) -> None:
    for key, ylabel in (("loss", "binary cross-entropy"), ("auc", "AUC")):
        lines = {"training": run.column(key), "test": run.column(f"val_{key}")}
        last = ", ".join(f"{name} {values[-1]:.4f}" for name, (_, values) in lines.items())
        caption = f"Pale: as it is; strong: smoothed, {SMOOTHING}. At the end {last}."
        run.picture(plot.smoothed_curves(lines, SMOOTHING, "epoch", ylabel), key, caption)
    from sklearn.metrics import auc, roc_curve

    rates = {}
    for name, logits in scores.items():
        false, true, _ = roc_curve(loans.test[1].ravel(), logits.numpy(force=True).ravel())
        rates[f"weights of the {name}"] = (false, true, float(auc(false, true)))
    if rates:
        areas = ", ".join(f"{area:.4f} with the {name}" for name, (_, _, area) in rates.items())
        run.picture(plot.roc_curve(rates), "roc", f"ROC curve of the test loans. AUC {areas}.")
