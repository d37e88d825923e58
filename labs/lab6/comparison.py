"""Lab 6's networks compared: conclusions, tables, curves, receptive fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kit import findings
from kit.experiments import Training
from kit.image_data import TITLES
from kit.image_training import figure

import minigrad
from minigrad import plot
from minigrad.runs import Link, Run, RunRecord

from . import receptive_field
from .conclusions import GROUPS, SAME_TIME, Networks, Trained, conclusions, noise_note
from .report import FIELDS, REFERENCE


def of_runs(
    parent: Run, trainings: Sequence[tuple[Training[Any, Any], RunRecord]], real: bool, differing: Sequence[str]
) -> None:
    """The report page of a group of runs.

    Args:
        trainings: each with the record of its run.
        real: whether the images are all those of the data sets; else nothing is said about the report.
        differing: what else is not as in the report's runs.
    """
    sets: dict[str, dict[str, Trained]] = {}
    for training, record in trainings:
        parent.results[record.name] = record.results
        if record.history:
            sets.setdefault(training.dataset, {}).setdefault(training.experiment, Trained()).records.append(record)
    if not sets:
        parent.notice("No run finished an epoch, so there is nothing to compare.")
        return
    notes = [f"Not clear: accuracies differ by less than twice their ±, or times by less than {SAME_TIME:.0%}."]
    if differing:
        notes.append(f"These runs are not the report's: {', '.join(differing)}.")
    notes += [noise_note(name, networks) for name, networks in sets.items()]
    found = [finding for name, networks in sets.items() for finding in conclusions(name, networks)]
    findings.write(parent, found, real, " ".join(notes))
    for name, networks in sets.items():
        for group, (title, order) in GROUPS.items():
            chosen = {network: networks[network] for network in order if network in networks}
            if len(chosen) > 1:
                _tables(parent, f"{title}, {TITLES[name]}", name, chosen, real)
                _pictures(parent, f"{name}_{group}", f"{title}, {TITLES[name]}", chosen)


def _tables(parent: Run, title: str, dataset: str, networks: Networks, real: bool) -> None:
    figures, made = [], []
    for name, trained in networks.items():
        for record in trained.records:
            page = Link(record.name, f"{record.folder.name}/report.html")
            theirs = REFERENCE[dataset, name] if real else None
            if theirs:
                parent.reference[record.name] = theirs.accuracy
            epochs, tested = record.column("val_accuracy")
            best = max(tested)
            figures.append(
                (
                    page,
                    theirs and theirs.accuracy,
                    best,
                    int(epochs[tested.index(best)]),
                    tested[-1],
                    record.column("accuracy")[1][-1],
                    theirs and theirs.seconds,
                    figure(record, "train_seconds"),
                    min((row["epoch_seconds"] for row in record.performance), default=None),
                )
            )
        rms = list(trained.records[0].results.get("gradient_rms", {}).values())
        computed, measured = trained.mean("receptive_field"), trained.mean("measured_receptive_field")
        made.append(
            (
                name,
                int(trained.mean("parameters") or 0),
                round((trained.mean("multiply_adds") or 0) / 1e6, 2),
                None if computed is None else int(computed),
                None if measured is None else int(measured),
                trained.mean("effective_field_before"),
                trained.mean("effective_field_after"),
                rms[0] / rms[-1] if rms and rms[-1] else None,
                "; ".join(trained.verdicts) or "in bounds",
            )
        )
    accuracies = ("best test, report", "best test", "epoch", "last test", "last train")
    columns = ("run", *accuracies, "s, report", "s", "fastest epoch, s")
    note = "Best: the highest test accuracy of the epochs, as in the report, which flatters all networks a little. "
    note += "Seconds of the whole training, without its tests; of the fastest epoch, with its test."
    parent.table(title, columns, figures, note)
    sees = ("field, computed", "measured", "effective, new", "trained")
    heads = ("network", "parameters", "multiply-adds, M", *sees, "gradient, first / last", "verdict")
    note = (
        "Multiply-adds in millions for an image. Field: the side, in pixels, of what a value of the last feature maps "
        "sees; effective: where it has more than 4.55 % of the greatest gradient, with new weights and trained."
    )
    if "kernel-7" in networks:
        note += " Larger kernels have fewer channels here, so not the field alone differs, but also the parameters."
    parent.table(f"{title}: the networks", heads, made, note)


def _pictures(parent: Run, name: str, title: str, networks: Networks) -> None:
    firsts = {network: trained.records[0] for network, trained in networks.items()}
    for key, what in (("val_accuracy", "test accuracy"), ("accuracy", "training accuracy"), ("val_loss", "test loss")):
        lines = {network: record.column(key) for network, record in firsts.items()}
        ends = ", ".join(f"{network} {values[-1]:.4f}" for network, (_, values) in lines.items())
        parent.picture(
            plot.curves(lines, "epoch", what), f"{name}_{key}", f"{title}: {what} by epoch; at the end {ends}."
        )
    for when, of in (("before", "with new weights, for random images"), ("after", "trained, for test images")):
        parts, frames = {}, {}
        for network, record in firsts.items():
            path, side = record.folder / FIELDS, record.results.get("receptive_field")
            if path.exists() and side is not None:
                gradients = minigrad.load(path)[when].numpy()
                parts[network], frames[network] = receptive_field.middle(gradients, (side, side))
        if parts:
            sizes = ", ".join(f"{n} {firsts[n].results[f'effective_field_{when}']:.1f}" for n in parts)
            caption = (
                f"{title}: how much each pixel around the middle counts, {of}. The frame is the computed field. Side "
                f"of the effective field: {sizes}."
            )
            parent.picture(plot.receptive_fields(parts, frames), f"{name}_field_{when}", caption)
