"""Lab 5's report page for one network: figures beside the student report's, curves, which classes are confused."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

from kit.image_data import Images
from kit.image_training import Trained, report_statistics

import minigrad
from minigrad import plot
from minigrad.runs import Run
from minigrad.training import confusion_matrix

from . import overfitting


class Reference(NamedTuple):
    """The report's figures of a network; None where it gives none."""

    parameters: int
    test: float  # the best accuracy of all epochs
    train: float | None  # accuracy at the end
    train_seconds: float
    inference_seconds: float | None


REFERENCE = {
    "mnist-fc": Reference(567_434, 0.9776, 0.9927, 112.75, 1.82),
    "mnist-cnn": Reference(421_642, 0.9920, 0.9909, 148.85, 1.93),
    "mnist-rescnn": Reference(108_042, 0.9922, 0.9941, 189.42, 2.46),
    "cifar10-fc": Reference(9_050_378, 0.5539, None, 156.67, None),
    "cifar10-rescnn": Reference(87_498, 0.7417, None, 516.70, None),
    "cifar10-regrescnn": Reference(87_498, 0.7262, None, 504.60, None),
}


def of_run(trained: Trained, name: str, images: Images) -> None:
    """Figures beside the reference, curves and the verdict on overfitting, confusion matrix, gradients, the network."""
    run = trained.run
    judged = judge(run, len(images.test))
    run.results["overfitting"] = judged.kind
    if images.complete and not run.config["quick"]:
        theirs, ours = REFERENCE[name], run.results
        rows = {
            "best test accuracy": (theirs.test, ours.get("best_test_accuracy")),
            "training accuracy": (theirs.train, ours.get("train_accuracy")),
            "parameters": (theirs.parameters, ours["parameters"]),
            "training, s": (theirs.train_seconds, ours["train_seconds"]),
            "inference, s": (theirs.inference_seconds, ours["inference_seconds"]),
        }
        given = {what: pair for what, pair in rows.items() if pair[0] is not None}
        run.compare(given, note="The best of all epochs, as in the report. The seconds are of another machine there.")
    for key, ylabel in (("accuracy", "accuracy"), ("loss", "cross-entropy")):
        lines = {"train": run.column(key), "test": run.column(f"val_{key}")}
        ends = ", ".join(f"{name} {values[-1]:.4f}" for name, (_, values) in lines.items() if values)
        caption = f"{ylabel.capitalize()} by epoch; at the end {ends}."
        run.picture(plot.curves(lines, "epoch", ylabel), key, f"{caption} {judged}" if key == "accuracy" else caption)
    classes = images.classes
    predicted = trained.scores.argmax(1)
    true = images.test.tensors[1]
    counts = confusion_matrix(true, predicted, len(classes))
    caption = f"Test images ({images.kind}), true class against predicted class, with the last weights."
    run.picture(plot.confusion_matrix(counts, classes), "confusion_matrix", f"{caption} {confusions(counts, classes)}")
    if trained.gradients.history:
        layers = trained.gradients.history[-1]["layers"]
        rms = {layer: of["rms"] for layer, of in layers.items() if layer.endswith("weight")}
        caption = f"Root mean square of the gradient by layer in the last epoch, {min(rms.values()):.1e} to "
        run.picture(plot.gradient_flow(rms), "gradient_flow", f"{caption}{max(rms.values()):.1e}.")
        norms = run.column("grad_norm")
        caption = (
            f"Norm of the whole gradient, mean over the steps of an epoch; mean of all epochs {fmean(norms[1]):.3g}."
        )
        run.picture(plot.curves({"gradient": norms}, "epoch", "L2 norm"), "gradient_norm", caption)
    if trained.gradients.verdicts:
        run.text("Gradients out of bounds", "\n".join(trained.gradients.verdicts))
    report_statistics(trained)
    run.text("The network", str(minigrad.utils.summary(trained.model, images.train[:1][0])))
    if run.history:
        run.say(f"{run.name}: test accuracy {run.history[-1]['val_accuracy']:.4f}. {judged}")


def judge(run: Run, test_images: int) -> overfitting.Verdict:
    """The verdict on a run's curves."""
    loss, val_loss, accuracy, val_accuracy = (
        run.column(key)[1] for key in ("loss", "val_loss", "accuracy", "val_accuracy")
    )
    return overfitting.verdict(loss, val_loss, accuracy, val_accuracy, test_images)


def confusions(counts: Any, classes: Sequence[str], most: int = 3) -> str:
    """The pairs of classes that are confused most often, as text."""
    pairs = [
        (int(counts[i, j] + counts[j, i]), f"{classes[j]} and {classes[i]}")
        for i in range(len(classes))
        for j in range(i)
    ]
    top = [f"{names} ({n})" for n, names in sorted(pairs, reverse=True)[:most] if n]
    return f"Taken for each other most often: {', '.join(top)}." if top else "No image is taken for another."
