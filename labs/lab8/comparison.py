"""Lab 8's runs compared: a table, curves, and which of the student report's conclusions hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import median

from kit.findings import Finding

from minigrad import plot
from minigrad.plot.smoothing import smooth
from minigrad.runs import Link, Run, RunRecord

from .report import REFERENCE, SMOOTHING, Curve

Curves = Mapping[str, Curve]
MOST_LINES = 5  # that can be told apart with their raw values beside them


def of_runs(parent: Run, records: Sequence[RunRecord], real: bool) -> None:
    """The report page of a group of runs.

    Args: real: whether the runs are of the lab's loans, and of all of them; else nothing is said about the report.
    """
    for record in records:
        parent.results[record.name] = record.results
    trained = {record.name: record for record in records if record.history}
    if not trained:
        parent.notice("No run finished an epoch, so there is nothing to compare.")
        return
    curves = {name: Curve.of(record) for name, record in trained.items()}
    _table(parent, trained, curves, real)
    found = findings(curves)
    if found:
        note = "Not clear: the runs differ by less than their noise, by which one epoch's AUC scatters."
        if not real:
            note = "These are not the lab's loans, or not all of them, so nothing is said about the report."
        rows = [(f.conclusion, f.found, f.agrees if real else None) for f in found]
        parent.table("What the report concludes", ("the report", "these runs", "agree"), rows, note)
    if real:
        parent.results["conclusions"] = [f._asdict() for f in found]
        parent.reference.update({name: REFERENCE[name].best for name in trained if name in REFERENCE})
    _pictures(parent, trained, curves)


def _table(parent: Run, records: Mapping[str, RunRecord], curves: Curves, real: bool) -> None:
    rows = []
    for name in sorted(curves, key=lambda name: -curves[name].best):
        curve, record = curves[name], records[name]
        theirs = REFERENCE.get(name) if real else None
        rows.append(
            (
                Link(name, f"{record.folder.name}/report.html"),
                theirs and theirs.best,
                curve.best,
                curve.best_epoch,
                theirs and theirs.smoothed,
                curve.best_smoothed,
                curve.best_smoothed_epoch,
                float(curve.end.mean()),
                round(curve.noise, 4) if math.isfinite(curve.noise) else None,
                min(record.column("val_loss")[1]),
                round(record.column("auc")[1][-1] - float(curve.raw[-1]), 4),
            )
        )
    columns = ("run", "best, report", "best", "epoch", "smoothed, report", "smoothed", "epoch", "end", "noise")
    parent.table("Test AUC, the best first", (*columns, "lowest test loss", "gap"), rows, _reading(curves))


def _reading(curves: Curves) -> str:
    """How to read the table."""
    note = (
        "End: mean of the last epochs. Noise: by how much one epoch's AUC scatters. Gap: at the end, the AUC "
        "of the training loans minus that of the test loans."
    )
    top, noises = max(curve.best for curve in curves.values()), [curve.noise for curve in curves.values()]
    if len(curves) > 1 and all(map(math.isfinite, noises)):
        noise = median(noises)
        near = sum(top - curve.best <= noise for curve in curves.values()) - 1
        note += (
            f" {near} of the {len(curves) - 1} other runs come within the median noise, {noise:.4f}, of the best one."
        )
    return note


# ---------------------------------------------------------------------------------------------------- the conclusions


def findings(curves: Curves) -> list[Finding]:
    """Each of the report's conclusions for which the runs are there, and whether these runs agree with it."""
    decays = tuple(f"wd-{decay}-lr-{lr}" for decay in ("0.1", "0.01", "0.001") for lr in ("0.01", "0.05", "0.1"))
    rules: list[tuple[Callable[[Curves], Finding], tuple[str, ...]]] = [
        (_better("The deep network (2) is better than the simple one (1)."), ("deep", "simple")),
        (_better("With batch normalisation and skips (3) it is worse than without (2)."), ("deep", "skip")),
        (_jumps, ("deep", "skip")),
        (_early, ("simple", "deep", "skip")),
        (_hierarchy, tuple(f"dropout-{p}" for p in ("0.9", "0.01", "0.1", "0.2", "0.5"))),
        (_better("Dropout of 0.5 (4) is better than none (3)."), ("dropout-0.5", "skip")),
        (_better("And yet the deep network without all that (2) stays ahead of it."), ("deep", "dropout-0.5")),
        (_decay, decays),
        (_rate, decays[-3:]),
        (_better("With weight decay 0.001 and lr 0.05 (5) it is the best of all."), ("wd-0.001-lr-0.05", "deep")),
    ]
    return [rule({name: curves[name] for name in names}) for rule, names in rules if set(names) <= curves.keys()]


def _judged(conclusion: str, found: str, winner: Curve, rival: Curve) -> Finding:
    """Whether `winner` has a higher best smoothed AUC than `rival`, beyond the noise of an epoch."""
    noise, apart = max(winner.noise, rival.noise), winner.best_smoothed - rival.best_smoothed
    if not math.isfinite(winner.noise + rival.noise):
        return Finding(conclusion, f"{found}; too few epochs to know the noise.", "not clear")
    agrees = "not clear" if abs(apart) <= noise else "yes" if apart > 0 else "no"
    return Finding(conclusion, f"{found}; noise {noise:.4f}.", agrees)


def _best_of(curves: Curves) -> Curve:
    return max(curves.values(), key=lambda curve: curve.best_smoothed)


def _better(conclusion: str) -> Callable[[Curves], Finding]:
    """A rule: the first of two runs is better than the second."""

    def rule(curves: Curves) -> Finding:
        found = ", ".join(f"{name} {curve.best_smoothed:.4f}" for name, curve in curves.items())
        return _judged(conclusion, f"Best smoothed AUC: {found}", *curves.values())

    return rule


def _jumps(curves: Curves) -> Finding:
    conclusion = "And its curve jumps up and down far more."
    deep, skip = curves["deep"].noise, curves["skip"].noise
    if not math.isfinite(deep + skip):
        return Finding(conclusion, "Too few epochs to know.", "not clear")
    agrees = "yes" if skip > 1.25 * deep else "no" if deep > 1.25 * skip else "not clear"
    return Finding(conclusion, f"One epoch's AUC scatters by {skip:.4f} with them, by {deep:.4f} without.", agrees)


def _early(curves: Curves) -> Finding:
    simple, deep, skip = (curves[name] for name in ("simple", "deep", "skip"))
    ahead = skip.raw[0] > max(simple.raw[0], deep.raw[0])
    overtaken = next((int(e) for e, a, b in zip(deep.epochs, deep.raw, skip.raw, strict=False) if a > b), None)
    found = f"After the first epoch: skip {skip.raw[0]:.4f}, deep {deep.raw[0]:.4f}, simple {simple.raw[0]:.4f}. "
    found += f"Deep is above skip first in epoch {overtaken}." if overtaken else "Deep is never above skip."
    right = int(ahead) + (overtaken is not None and 1 < overtaken <= 5)
    conclusion = "After one epoch (3) is ahead of the others, and by the fifth it is overtaken by (2)."
    return Finding(conclusion, found, ("no", "in part", "yes")[right])


def _hierarchy(curves: Curves) -> Finding:
    values = {name: name.removeprefix("dropout-") for name in curves}
    shares = {}  # of the epochs in which the one is below the other
    for (low, a), (high, b) in pairwise(curves.items()):
        n = min(len(a.raw), len(b.raw))
        shares[f"{values[low]} < {values[high]}"] = float((a.raw[:n] < b.raw[:n]).mean())
    order = sorted(curves, key=lambda name: curves[name].best_smoothed)
    found = (
        f"By the best smoothed AUC {' < '.join(values[name] for name in order)}. "
        f"Share of the epochs: {', '.join(f'{pair} in {share:.0%}' for pair, share in shares.items())}."
    )
    kept = sum(share > 0.5 for share in shares.values())
    agrees = {0: "no", len(shares): "yes"}.get(kept, f"in part, {kept} of {len(shares)}")
    return Finding(f"In almost every epoch, for dropout, {' < '.join(values.values())}.", found, agrees)


def _decay(curves: Curves) -> Finding:
    best = {
        decay: _best_of({name: curve for name, curve in curves.items() if name.startswith(f"wd-{decay}-")})
        for decay in ("0.1", "0.01", "0.001")
    }
    found = ", ".join(f"{decay} {curve.best_smoothed:.4f}" for decay, curve in best.items())
    conclusion = "Weight decay of 0.1 and 0.01 is far too strong; 0.001 is better."
    winner = best.pop("0.001")
    return _judged(conclusion, f"Best smoothed AUC of the three rates: {found}", winner, _best_of(best))


def _rate(curves: Curves) -> Finding:
    best = {name.rpartition("-")[2]: curve for name, curve in curves.items()}
    found = ", ".join(f"lr {lr} {curve.best_smoothed:.4f}" for lr, curve in best.items())
    conclusion = "With weight decay 0.001, the learning rate 0.05 is better than 0.01 and 0.1."
    winner = best.pop("0.05")
    return _judged(conclusion, f"Best smoothed AUC: {found}", winner, _best_of(best))


# -------------------------------------------------------------------------------------------------------- the pictures


def _pictures(parent: Run, records: Mapping[str, RunRecord], curves: Curves) -> None:
    """Test AUC and test loss of each group, and of the best run of each experiment if there are several."""
    dropout, decay = [[name for name in records if name.startswith(f"{kind}-")] for kind in ("dropout", "wd")]
    single = [name for name in records if name in ("simple", "deep", "skip")]
    best = [max(names, key=lambda name: curves[name].best) for names in (dropout, decay) if names]
    groups = {
        "best": ("The best run of each experiment", [*single, *best] if single else []),
        "dropout": ("Dropout", dropout),
        "wd": ("Weight decay by learning rate", decay),
        "wd-0.001": ("Weight decay 0.001", [name for name in decay if name.startswith("wd-0.001-")]),
    }
    for group, (title, names) in groups.items():
        for key, ylabel in (("val_auc", "test AUC"), ("val_loss", "test loss")):
            lines = {name: records[name].column(key) for name in names}
            if not lines:
                continue
            if len(lines) <= MOST_LINES:
                figure = plot.smoothed_curves(lines, SMOOTHING, "epoch", ylabel)
                how = f"pale as it is, strong smoothed, {SMOOTHING}"
            else:
                short = {name: name.removeprefix("wd-").replace("-lr-", ", ") for name in lines}
                smoothed = {short[name]: (x, smooth(y, SMOOTHING)) for name, (x, y) in lines.items()}
                figure = plot.curves(smoothed, "epoch", ylabel, dashed=[n for n in smoothed if n.startswith("0.1,")])
                how = f"smoothed, {SMOOTHING}; weight decay and learning rate, dashed where the first is 0.1"
            extreme = max if key == "val_auc" else min
            ends = ", ".join(f"{name} {extreme(y):.4f}" for name, (_, y) in lines.items())
            parent.picture(figure, f"{group}_{key}", f"{title}: {ylabel}, {how}. The best epochs: {ends}.")
