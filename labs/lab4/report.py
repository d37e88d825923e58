"""Lab 4's report pages: of one run, and of several compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad import nn, plot
from minigrad.profiler import profile
from minigrad.runs import Link, Run, RunRecord, comparison_page, find_runs, write_runs_summary
from minigrad.training import callbacks as cb
from minigrad.training.probes import ActivationProbe

from . import advice, data

# The report's test accuracies. It has no figure for "fixed", which is the baseline once more.
REFERENCE = {
    "baseline": 0.9849,
    "high-lr": 0.1135,
    "bad-init": 0.7467,
    "no-norm": 0.9867,
    "fixed": 0.9849,
    "step": 0.9858,
    "cyclical": 0.9877,
}
REFERENCE_MEMORY = 1613.0  # MiB, the report's peak
TEST_IMAGES = 10_000


def at_start(model: nn.Module, images: minigrad.Tensor) -> dict[str, Any]:
    """What the first step will meet: shares of the activations, and the sizes of weights and inputs.

    `weight_gain` is a layer's standard deviation over Glorot's, √(2 / (fan in + fan out)).
    """
    gains = {}
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            size = module.weight[0, 0].numel() if isinstance(module, nn.Conv2d) else 1
            fans = size * (module.weight.shape[0] + module.weight.shape[1])
            gains[_short(name)] = module.weight.std().item() / math.sqrt(2 / fans)
    scale = getattr(model, "scale", 1.0)
    return {
        "layers": _shares(ActivationProbe(model).measure(images)),
        "weight_gain": gains,
        "input_rms": (images.float() * scale).square().mean().sqrt().item(),
    }


def inside(before: Mapping[str, Any], monitors: Sequence[cb.Callback], run: Run) -> dict[str, Any]:
    """What the monitors found, for the summary: shares by layer before training and after each epoch, verdicts."""
    layers: dict[str, dict[str, list[float]]] = {
        name: {what: [share] for what, share in shares.items()} for name, shares in before["layers"].items()
    }
    found: dict[str, Any] = {"weight_gain": before["weight_gain"], "input_rms": before["input_rms"], "layers": layers}
    for monitor in monitors:
        if isinstance(monitor, cb.ActivationMonitor):
            for row in monitor.history:
                for name, figures in row["layers"].items():
                    for what in ("saturated", "dead"):
                        if what in figures:
                            layers[_short(name)][what].append(figures[what])
        if isinstance(monitor, cb.GradientMonitor):
            found["gradient_verdicts"] = monitor.verdicts
    found["correlation"] = advice.correlation(run.history, "weight_change", "val_accuracy")
    return found


def _shares(measured: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    shares = {
        _short(name): {what: s for what in ("saturated", "dead") if (s := getattr(seen, what)) is not None}
        for name, seen in measured.items()
    }
    return {name: of for name, of in shares.items() if of}


def _short(name: str) -> str:
    return name.removeprefix("layers.")


# ------------------------------------------------------------------------------------------------------------ one run


def of_run(run: Run, model: nn.Module, images: minigrad.Tensor, figures: Mapping[str, float]) -> None:
    """The figure beside the reference, why they differ, curves, and the network as a table."""
    ours = figures["accuracy"]
    theirs = None if run.config["quick"] else REFERENCE.get(run.name)
    if theirs is not None:
        note = _difference(run, ours, theirs)
        peak = run.results["peak_rss_mib"]
        run.compare({"test accuracy": (theirs, ours), "peak memory, MiB": (REFERENCE_MEMORY, peak)}, note=note)
    for key, ylabel in (("loss", "cross-entropy"), ("accuracy", "accuracy")):
        lines = {"training": run.column(key), "validation": run.column(f"val_{key}")}
        last = ", ".join(f"{name} {values[-1]:.4f}" for name, (_, values) in lines.items() if values)
        run.picture(plot.curves(lines, "epoch", ylabel), key, f"{key.capitalize()} by epoch; at the end {last}.")
    rates = run.column("lr")
    if rates[0]:
        caption = f"The learning rate at the end of each epoch, {rates[1][0]:.2g} to {rates[1][-1]:.2g}."
        run.picture(plot.curves({"learning rate": rates}, "epoch", "learning rate", log=True), "learning_rate", caption)
    run.text("The network", str(minigrad.utils.summary(model, images[:1])))
    few, target = images[:2], minigrad.zeros(2, dtype=minigrad.int64, device=images.device)
    graph = plot.graph(lambda: nn.functional.cross_entropy(model(few), target), model, few, fold=True)
    run.picture(graph, "graph", "The graph that backward walks, module by module, for two images, after training.")
    if run.performance:
        columns = list(run.performance[-1])
        run.table("Time and memory", columns, [[row.get(c) for c in columns] for row in run.performance])


def _difference(run: Run, ours: float, theirs: float) -> str:
    """How far apart two accuracies are, and what is known about why."""
    spread = math.sqrt((ours * (1 - ours) + theirs * (1 - theirs)) / TEST_IMAGES)
    apart = f"{ours - theirs:+.4f}, {abs(ours - theirs) / max(spread, 1e-9):.1f} standard errors of such a difference."
    if abs(ours - theirs) <= 2 * spread:
        return f"{apart} Two networks from other random numbers differ by as much."
    epoch, stopped = run.results["best_epoch"], run.results["stopped"]
    why = [f"The weights are those of epoch {epoch} of {len(run.history)}, the best on the validation images."]
    if stopped:
        why.append(f"{stopped}.")
    saturated = {name: of["saturated"][-1] for name, of in run.results.get("layers", {}).items() if "saturated" in of}
    if saturated:
        worst = max(saturated, key=lambda name: saturated[name])
        why.append(
            f"At the end {saturated[worst]:.0%} of the outputs of {worst} were saturated, the most of all layers."
        )
    changes = run.column("weight_change")[1]
    if len(changes) > 1:
        why.append(f"The weights moved by {changes[0]:.3g} in the first epoch and by {changes[-1]:.3g} in the last.")
    return f"{apart} More than chance. {' '.join(why)}"


def pictures(run: Run, monitors: Sequence[cb.Callback]) -> None:
    """What the monitors saw: layers over the epochs, gradients by layer, weights against accuracy, mistakes."""
    layers = run.results["layers"]
    epochs = [0, *run.column("val_loss")[0]]
    lines = {
        name: (epochs[: len(of["saturated"])], of["saturated"]) for name, of in layers.items() if "saturated" in of
    }
    if lines:
        ends = ", ".join(f"{name} {values[-1]:.0%}" for name, (_, values) in lines.items())
        caption = (
            f"Share of saturated tanh outputs, |y| > 0.97, before training (0) and after each epoch; at the end {ends}."
        )
        run.picture(plot.curves(lines, "epoch", "share saturated"), "saturation", caption)
    for monitor in monitors:
        if isinstance(monitor, cb.GradientMonitor) and monitor.history:
            rms = {_short(n): f["rms"] for n, f in monitor.history[-1]["layers"].items() if n.endswith("weight")}
            low, high = min(rms.values()), max(rms.values())
            caption = f"Root mean square of the gradient by layer in the last epoch, {low:.1e} to {high:.1e}."
            run.picture(plot.gradient_flow(rms), "gradient_flow", caption)
            if monitor.verdicts:
                run.text("Gradients out of bounds", "\n".join(monitor.verdicts))
        if isinstance(monitor, cb.ConfusionMatrix) and monitor.counts is not None:
            right = np.trace(monitor.counts) / max(monitor.counts.sum(), 1)
            caption = (
                f"Validation images of the last epoch, true against predicted digit; {right:.4f} are on the diagonal."
            )
            run.picture(plot.confusion_matrix(monitor.counts, data.CLASSES), "confusion_matrix", caption)
        if isinstance(monitor, cb.ExamplePredictions) and monitor.images is not None:
            figure = plot.predictions(monitor.images, monitor.true, monitor.predicted, data.CLASSES)
            wrong = int((monitor.true != monitor.predicted).sum())
            caption = (
                f"Validation images, {wrong} of these {len(monitor.true)} read wrongly: true digit → predicted digit."
            )
            run.picture(figure, "predictions", caption, kind="image")
    changes, accuracies = run.column("weight_change")[1], run.column("val_accuracy")[1]
    if len(changes) >= 3:
        r = run.results["correlation"]
        value = "not defined" if r is None else f"{r:+.3f}"
        caption = (
            f"How far the weights moved in an epoch against the validation accuracy after it: correlation {value}."
        )
        figure = plot.scatter(changes, accuracies, "L2 change of the weights", "validation accuracy")
        run.picture(figure, "weight_change", caption)


# --------------------------------------------------------------------------------------------------------- many of them


def of_runs(parent: Run, records: Sequence[RunRecord], quick: bool) -> None:
    """The runs side by side, and what to make of them."""
    rows = []
    for record in advice.ranked(records):
        theirs = None if quick else REFERENCE.get(record.name)
        seconds = [row["epoch_seconds"] for row in record.performance if "epoch_seconds" in row]
        parent.results[record.name] = record.results
        parent.reference[record.name] = theirs
        rows.append(
            (
                Link(record.name, f"{record.folder.name}/report.html"),
                theirs,
                advice.figure(record, "test_accuracy"),
                advice.figure(record, "best_val_accuracy"),
                record.results.get("best_epoch"),
                sum(seconds) / len(seconds) if seconds else None,
                record.results.get("peak_rss_mib"),
            )
        )
    columns = ("run", "test, report", "test", "best validation", "best epoch", "s per epoch", "peak MiB")
    parent.table("Runs, the best first", columns, rows, _no_norm_note(records))
    findings = advice.advise(records, 300 if quick else TEST_IMAGES)
    parent.table("Advice from these runs", ("about", "finding"), [(f.about, f.text) for f in findings])
    parent.results["advice"] = [f"{f.about}: {f.text}" for f in findings]
    for line in parent.results["advice"]:
        parent.say(f"- {line}")
    names = _unique([record.name for record in records])
    for key, what in (
        ("val_accuracy", "Validation accuracy"),
        ("loss", "Training loss"),
        ("saturated", "Saturated share"),
    ):
        lines = {name: record.column(key) for name, record in zip(names, records, strict=True)}
        lines = {name: line for name, line in lines.items() if line[0]}
        if lines:
            ends = ", ".join(f"{name} {line[1][-1]:.4g}" for name, line in lines.items())
            same = [name for name in lines if name == "fixed"]
            caption = f"{what} by epoch; at the end {ends}."
            parent.picture(plot.curves(lines, "epoch", what.lower(), dashed=same), f"all_{key}", caption)


def _no_norm_note(records: Sequence[RunRecord]) -> str:
    by_inputs: dict[str, list[float]] = {}
    for record in records:
        others = {k: v for k, v in record.config.items() if k not in ("inputs", "epochs")}
        if others.get("init") == "glorot" and others.get("lr") == 1e-3 and others.get("lr_strategy") == "fixed":
            by_inputs.setdefault(record.config["inputs"], []).append(advice.accuracy(record))
    if set(by_inputs) != {"unit", "raw"}:
        return ""
    raw, unit = max(by_inputs["raw"]), max(by_inputs["unit"])
    more = "more" if raw > unit else "less"
    return f"Pixels from 0 to 255 came to {raw:.4f}, {abs(raw - unit):.4f} {more} than pixels from 0 to 1 ({unit:.4f})."


def _unique(names: Sequence[str]) -> list[str]:
    return [name if names.index(name) == i else f"{name} ({i + 1})" for i, name in enumerate(names)]


def batches(parent: Run, records: Mapping[str, RunRecord | None]) -> dict[str, Any]:
    """Time and memory of runs that had a process each; a table, a picture, and the figures."""
    rows: list[tuple[Any, ...]] = []
    seconds: dict[str, float] = {}
    figures: dict[str, Any] = {}
    for name, record in records.items():
        if record is None or not record.performance:
            rows.append((name, None, None, None, "failed"))
            continue
        best = min(row["epoch_seconds"] for row in record.performance)
        seconds[name] = best
        peak = record.results.get("peak_rss_mib")
        figures[name] = {"epoch_seconds": best, "peak_rss_mib": peak}
        link = Link("report", str(record.folder.relative_to(parent.folder) / "report.html"))
        rows.append((name, best, peak, advice.figure(record, "best_val_accuracy"), link))
    columns = ("process", "s per epoch (fastest)", "peak MiB", "best validation accuracy", "")
    parent.table("Time and memory, each in a process of its own", columns, rows)
    if seconds:
        parent.picture(
            plot.bars(seconds, "seconds per epoch"),
            f"seconds_{'_'.join(seconds).replace(' ', '')}",
            "Seconds of the fastest epoch: "
            + ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
            + ".",
        )
    return figures


def profiled(parent: Run, steps: profile) -> None:
    """Where the time of a step goes, op by op, and its trace for Perfetto."""
    table = steps.key_averages().table(row_limit=15)
    parent.text("Where the time of a step goes (batch 128)", table)
    path = parent.folder / "trace.json"
    steps.export_chrome_trace(str(path))
    parent.say(f"A trace of 20 steps, to be opened at ui.perfetto.dev: {path}")


def summarise_all(out: Path) -> Path:
    """runs_summary.csv and comparison.html over all runs below a folder; returns the table's path."""
    records = find_runs(out)
    path = out / "runs_summary.csv"
    write_runs_summary(records, path)
    comparison_page(records, out / "comparison.html", "Lab 4: all runs")
    return path
