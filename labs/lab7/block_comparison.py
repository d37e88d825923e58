"""Lab 7's report on residual blocks: one network, several compared, and which conclusions hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, pstdev, stdev
from typing import Any, NamedTuple

from kit import findings, image_training
from kit.findings import Finding, agreement, chance, combined
from kit.image_data import Images
from kit.image_training import Trained, report_statistics

import minigrad
from minigrad import plot
from minigrad.runs import Link, Run, RunRecord

TEST_IMAGES = 10_000
CLOSE = 0.05  # accuracy: two blocks with no more between them are close (the report's two are 0.026 apart)


class Reference(NamedTuple):
    """The report's figures of a block."""

    parameters: int  # of the block alone
    accuracy: float  # on the test images, the best of all epochs
    scatter: float  # standard deviation over the epochs
    seconds: float


REFERENCE = {
    "basic": Reference(4704, 0.8853, 0.1894, 126.80),
    "bottleneck": Reference(2960, 0.8595, 0.2040, 125.84),
    "wide": Reference(812, 0.4756, 0.1106, 137.66),
}


# -------------------------------------------------------------------------------------------------------- one training


def of_run(trained: Trained, name: str, images: Images, differing: Sequence[str]) -> None:
    """Figures beside the reference, curves, the network. `differing`: what else is not as in the report's run."""
    run, theirs = trained.run, REFERENCE[name]
    accuracies = run.column("val_accuracy")[1]
    run.results["block_parameters"] = sum(p.numel() for p in trained.model.get_submodule("block").parameters())
    if accuracies:
        run.results |= {"scatter_over_epochs": pstdev(accuracies), "largest_fall": largest_fall(accuracies)}
    if images.complete and accuracies and not run.config["quick"] and not differing:
        ours = run.results
        rows = {
            "parameters of the block": (theirs.parameters, ours["block_parameters"]),
            "best test accuracy": (theirs.accuracy, ours["best_test_accuracy"]),
            "its scatter over the epochs": (theirs.scatter, ours["scatter_over_epochs"]),
            "training, s": (theirs.seconds, ours["train_seconds"]),
        }
        run.compare(rows, note="The best of all epochs, as in the report. The seconds are of another machine there.")
    for key, ylabel in (("accuracy", "accuracy"), ("loss", "cross-entropy")):
        lines = {"train": run.column(key), "test": run.column(f"val_{key}")}
        if accuracies:
            first, last = (lines["test"][1][i] for i in (0, -1))
            caption = f"{ylabel.capitalize()} by epoch; on the test images from {first:.4f} to {last:.4f}."
            run.picture(plot.curves(lines, "epoch", ylabel), key, caption)
    report_statistics(trained)
    run.text("The network", str(minigrad.utils.summary(trained.model, images.train[:1][0])))


def largest_fall(values: Sequence[float]) -> float:
    """By how much a curve falls from one epoch to the next, where it falls most; 0 for one that only rises."""
    return max([0.0, *(before - after for before, after in pairwise(values))])


# ------------------------------------------------------------------------------------------------------------- several


@dataclass
class Block:
    """The trainings of the network with one block, one for each seed."""

    name: str
    records: list[RunRecord]

    def values(self, what: str) -> list[float]:
        return [value for record in self.records if (value := image_training.figure(record, what)) is not None]

    def mean(self, what: str) -> float:
        return fmean(self.values(what) or [math.nan])

    @property
    def accuracy(self) -> float:
        """The best test accuracy of all epochs, mean over the seeds."""
        return self.mean("best_test_accuracy")

    @property
    def over_seeds(self) -> float | None:
        """The standard deviation of the best test accuracy over the seeds, (n − 1) below; None for one seed."""
        values = self.values("best_test_accuracy")
        return stdev(values) if len(values) > 1 else None

    @property
    def climb(self) -> float:
        """From the first epoch's test accuracy to the best one, mean over the seeds."""
        curves = [record.column("val_accuracy")[1] for record in self.records]
        return fmean(max(curve) - curve[0] for curve in curves)


Blocks = Mapping[str, Block]


def of_runs(parent: Run, members: Sequence[tuple[str, RunRecord]], real: bool, differing: Sequence[str]) -> None:
    """The page of several trainings.

    Args: members: the block of each, and its record. real: whether they learned all images of MNIST. differing: what
    else is not as in the report's runs.
    """
    blocks: dict[str, Block] = {}
    for name, record in members:
        parent.results[record.name] = record.results
        if record.history:
            blocks.setdefault(name, Block(name, [])).records.append(record)
    if not blocks:
        parent.notice("No run finished an epoch, so there is nothing to compare.")
        return
    like = real and not differing
    if like:
        pairs = {f"{name}: best test accuracy": (REFERENCE[name].accuracy, of.accuracy) for name, of in blocks.items()}
        parent.compare(pairs, "mean of the seeds", "The best of all epochs, as in the report.")
    _tables(parent, blocks, like)
    noise = "Not clear: the blocks differ by less than their noise, by which seeds and test images scatter an accuracy."
    findings.write(parent, conclusions(blocks), like, noise)
    if real and differing:
        parent.notice(f"Not the report's settings: {', '.join(differing)}. So nothing is said about it.")
    _pictures(parent, blocks)


def _tables(parent: Run, blocks: Blocks, like: bool) -> None:
    rows: list[tuple[Any, ...]] = []
    for name, block in blocks.items():
        theirs = REFERENCE[name] if like else None
        rows.append(
            (
                name,
                int(block.mean("block_parameters")),
                theirs and theirs.accuracy,
                block.accuracy,
                None if block.over_seeds is None else round(block.over_seeds, 4),
                theirs and theirs.scatter,
                block.mean("scatter_over_epochs"),
                theirs and theirs.seconds,
                round(block.mean("train_seconds"), 1),
            )
        )
    columns = ("block", "parameters", "best, report", "best", "± over seeds", "± over epochs, report", "± over epochs")
    note = (
        "Parameters of the block alone, as in the report. Best: the highest test accuracy of all epochs, mean over the "
        "seeds. ±: standard deviation; over the epochs of a run, mean over the seeds, it grows with every point that a "
        "curve climbs. Seconds of the training, without tests, on this machine and on the report's."
    )
    parent.table("Residual blocks", (*columns, "s, report", "s"), rows, note)
    runs = [
        (
            Link(record.name, f"{record.folder.name}/report.html"),
            image_training.figure(record, "best_test_accuracy"),
            image_training.figure(record, "best_epoch"),
            record.column("val_accuracy")[1][-1],
            image_training.figure(record, "scatter_over_epochs"),
            round(image_training.figure(record, "largest_fall") or 0.0, 4),
        )
        for block in blocks.values()
        for record in block.records
    ]
    heads = ("run", "best", "epoch", "last", "± over epochs", "largest fall")
    parent.table("Run by run", heads, runs, "Largest fall: of the test accuracy, from one epoch to the next.")


def _pictures(parent: Run, blocks: Blocks) -> None:
    means = {}
    for name, block in blocks.items():
        curves = {record.name: record.column("val_accuracy") for record in block.records}
        ends = ", ".join(f"{max(values):.4f}" for _, values in curves.values())
        caption = f"{name}: test accuracy by epoch, a line for each seed; the best epochs {ends}."
        parent.picture(plot.curves(curves, "epoch", "test accuracy"), f"{name}_accuracy", caption)
        length = min(len(values) for _, values in curves.values())
        of_epochs = list(zip(*(values[:length] for _, values in curves.values()), strict=True))
        means[name] = (next(iter(curves.values()))[0][:length], [fmean(values) for values in of_epochs])
    caption = "Test accuracy by epoch, mean over the seeds; at the end "
    caption += ", ".join(f"{name} {values[-1]:.4f}" for name, (_, values) in means.items())
    parent.picture(plot.curves(means, "epoch", "test accuracy"), "accuracy", f"{caption}.")


# ---------------------------------------------------------------------------------------------------- the conclusions


def conclusions(blocks: Blocks) -> list[Finding]:
    """Each of the report's conclusions, if all three blocks are there."""
    if set(REFERENCE) > blocks.keys():
        return []
    basic, bottleneck, wide = (blocks[name] for name in REFERENCE)
    return [_best(basic, bottleneck, wide), _parameters(basic, bottleneck, wide), _steady(basic, bottleneck, wide)]


def noise(a: Block, b: Block) -> float:
    """By how much two means differ by chance: two standard errors, of seeds or of test images if these scatter more."""
    seeds = [block.over_seeds for block in (a, b)]
    images = max(chance(block.accuracy, TEST_IMAGES) for block in (a, b))
    if None in seeds:
        return images
    error = math.sqrt(sum((of or 0.0) ** 2 / len(block.records) for of, block in zip(seeds, (a, b), strict=True)))
    return max(images, 2 * error)


def _listed(blocks: Sequence[Block], what: str) -> str:
    return ", ".join(f"{block.name} {block.mean(what):.4f}" for block in blocks)


def _best(*blocks: Block) -> Finding:
    conclusion = "The basic block reaches the highest accuracy, the bottleneck follows, the wide one is far behind."
    answers = [agreement(a.accuracy, b.accuracy, noise(a, b)) for a, b in pairwise(blocks)]
    between = ", ".join(f"{noise(a, b):.4f}" for a, b in pairwise(blocks))
    found = f"Best test accuracy: {_listed(blocks, 'best_test_accuracy')}; noise between neighbours {between}."
    return Finding(conclusion, found, combined(answers))


def _parameters(basic: Block, bottleneck: Block, wide: Block) -> Finding:
    conclusion = (
        "With fewer parameters the bottleneck comes close to the basic block; the wide one is the smallest, and pays "
        "for it in accuracy."
    )
    counts = {block.name: int(block.mean("block_parameters")) for block in (basic, bottleneck, wide)}
    apart, pays = basic.accuracy - bottleneck.accuracy, bottleneck.accuracy - wide.accuracy
    answers = [
        "yes" if counts[wide.name] < counts[bottleneck.name] < counts[basic.name] else "no",
        "yes" if abs(apart) <= CLOSE else "no",
        "yes" if pays > CLOSE else agreement(bottleneck.accuracy, wide.accuracy, noise(bottleneck, wide)),
    ]
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    found = f"Parameters: {listed}. Accuracy: basic − bottleneck {apart:+.4f}, bottleneck − wide {pays:+.4f}."
    return Finding(conclusion, found, combined(answers))


def _steady(*blocks: Block) -> Finding:
    """Least scatter over the epochs, as the report has it, and over seeds, which is what stability means."""
    conclusion = "The wide block is the most stable, since its accuracy scatters least over the epochs."
    wide = blocks[-1]
    calmest = min(blocks, key=lambda block: block.mean("scatter_over_epochs"))
    climbs = ", ".join(f"{block.name} {block.climb:.4f}" for block in blocks)
    found = (
        f"Over the epochs {_listed(blocks, 'scatter_over_epochs')}: least for {calmest.name}. That depends on how far "
        f"a curve climbs after its first epoch: {climbs}. "
    )
    answers = ["yes" if calmest is wide else "no"]
    seeds = {block.name: block.over_seeds for block in blocks}
    known = {name: value for name, value in seeds.items() if value is not None}
    if len(known) < len(blocks):
        return Finding(conclusion, f"{found}Over seeds: not known from one.", combined([*answers, "not clear"]))
    steadiest = min(known, key=lambda name: known[name])
    found += (
        f"Over the seeds {', '.join(f'{name} {value:.4f}' for name, value in known.items())}: least for {steadiest}."
    )
    # A standard deviation of three numbers is off by half of itself, so that twice as much is the least that tells.
    clear = known[wide.name] > 2 * known[steadiest] or steadiest == wide.name
    answers.append("yes" if steadiest == wide.name else "no" if clear else "not clear")
    return Finding(conclusion, found, combined(answers))
