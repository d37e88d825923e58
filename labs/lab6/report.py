"""Lab 6's report page for one network: accuracy, receptive field, gradient flow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kit.image_data import Images
from kit.image_training import Trained

import minigrad
from minigrad import nn, plot
from minigrad.runs import Run
from minigrad.training.probes import ReceptiveField

from . import receptive_field


class Reference(NamedTuple):
    """The report's figures of a network: the best test accuracy of the epochs, and the seconds of its training."""

    accuracy: float
    seconds: float


REFERENCE = {
    ("mnist", "kernel-3"): Reference(0.4403, 84.39),
    ("mnist", "kernel-5"): Reference(0.5240, 77.96),
    ("mnist", "kernel-7"): Reference(0.4941, 79.34),
    ("mnist", "mixed"): Reference(0.3803, 86.53),
    ("mnist", "shallow-2"): Reference(0.4716, 71.02),
    ("mnist", "medium-4"): Reference(0.7158, 84.51),
    ("mnist", "deep-6"): Reference(0.7746, 99.92),
    ("mnist", "resnet-like"): Reference(0.8452, 112.60),
    ("cifar10", "kernel-3"): Reference(0.3440, 84.60),
    ("cifar10", "kernel-5"): Reference(0.3288, 79.19),
    ("cifar10", "kernel-7"): Reference(0.2121, 78.93),
    ("cifar10", "mixed"): Reference(0.2788, 79.20),
    ("cifar10", "shallow-2"): Reference(0.3510, 142.77),
    ("cifar10", "medium-4"): Reference(0.3642, 321.75),
    ("cifar10", "deep-6"): Reference(0.3569, 498.76),
    ("cifar10", "resnet-like"): Reference(0.3904, 577.76),
}
QUICK_MAPS = 4  # to draw each panel takes longer than a quick training
FIELDS = "receptive_field.safetensors"  # a run's file with the gradients "before" and "after" training, (H, W) each


def standard_error(accuracy: float, images: int) -> float:
    """Of an accuracy on so many images that were drawn by chance: √(p (1 − p) / n)."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def field_before(model: nn.Module, images: Images) -> ReceptiveField:
    """The receptive field of the feature maps with new weights."""
    return receptive_field.measured(model.get_submodule("features"), receptive_field.noise(images.shape))


def of_run(trained: Trained, network: str, images: Images, before: ReceptiveField, differing: Sequence[str]) -> None:
    """The page of one run.

    Args: before: the field with the weights that training began with. differing: what is not as in the report's run.
    """
    run, model = trained.run, trained.model
    if not run.history:
        run.notice("No epoch was finished, so there is nothing to report.")
        return
    accuracies = run.column("val_accuracy")[1]
    best, last = max(accuracies), accuracies[-1]
    run.say(f"{run.name} ({images.kind}): best test accuracy {best:.4f}, last {last:.4f}")
    if images.complete and not run.config["quick"]:
        theirs = REFERENCE[images.name, network]
        rows = {
            "best test accuracy": (theirs.accuracy, best),
            "last test accuracy": (None, last),
            "training, s": (theirs.seconds, run.results["train_seconds"]),
        }
        run.compare(rows, note=_distance(best, theirs.accuracy, len(images.test), differing))
    _curves(run)
    _fields(run, model, images, before)
    _feature_maps(run, model, images)
    _gradients(trained)
    table = minigrad.utils.summary(model, images.train[:1][0])
    run.results["multiply_adds"] = table.multiply_adds
    run.text("The network", str(table))


def _distance(ours: float, theirs: float, images: int, differing: Sequence[str]) -> str:
    """How far our figure is from the report's, and what chance does."""
    text = f"The best of all epochs, as in the report: ours minus the report's {ours - theirs:+.4f}."
    if differing:
        return f"{text} But this run is not the report's: {', '.join(differing)}."
    error = math.hypot(standard_error(ours, images), standard_error(theirs, images))
    return (
        f"{text} The draw of the test images alone would move such a difference by {error:.4f} (standard error); other "
        "first weights move it more: the report's own two trainings of one network (kernel-3 and shallow-2) are 0.0313 "
        "apart on MNIST and 0.0070 on CIFAR-10. Its seconds are of another machine."
    )


def _curves(run: Run) -> None:
    for key, ylabel in (("accuracy", "accuracy"), ("loss", "cross-entropy")):
        lines = {"train": run.column(key), "test": run.column(f"val_{key}")}
        ends = ", ".join(f"{name} {values[-1]:.4f}" for name, (_, values) in lines.items())
        caption = f"{ylabel.capitalize()} by epoch; at the end {ends}. The training curve is the mean of an epoch in "
        caption += "which the weights still moved."
        run.picture(plot.curves(lines, "epoch", ylabel), key, caption)


def _fields(run: Run, model: nn.Module, images: Images, before: ReceptiveField) -> None:
    """The receptive field, computed and measured, with new weights and after training."""
    features = model.get_submodule("features")
    steps = receptive_field.steps(features)
    size = receptive_field.computed(features)
    after = receptive_field.measured(features, images.test[: receptive_field.IMAGES][0])
    fields = {"before training": before, "after training": after}
    run.results |= {
        "receptive_field": size[0],
        "measured_receptive_field": max(before.box[2:]),
        "effective_field_before": before.effective_size,
        "effective_field_after": after.effective_size,
    }
    run.save_weights({name.split()[0]: minigrad.tensor(f.gradients) for name, f in fields.items()}, FIELDS)
    rows = [(s.name, _one(s.kernel), _one(s.stride), _one(s.dilation), _one(s.size), _one(s.jump)) for s in steps]
    note = "Each layer widens it: r ← r + d (k − 1) j, then j ← j s; r = j = 1 in the image."
    if any("body" in s.name for s in steps):
        note += " A residual block's shortcut sees less than its body, so the body's layers alone count."
    columns = ("layer", "kernel k", "stride s", "dilation d", "sees r", "apart j")
    run.table("The receptive field, layer by layer", columns, rows, note)
    parts = {name: receptive_field.middle(field.gradients, size) for name, field in fields.items()}
    figure = plot.receptive_fields({n: part for n, (part, _) in parts.items()}, {n: f for n, (_, f) in parts.items()})
    caption = (
        f"How much each pixel around the middle counts for the feature maps' middle. Computed (the frame): "
        f"{size[0]} × {size[1]}; with a gradient: {before.box[2]} × {before.box[3]}. The effective field, the pixels "
        f"with more than 4.55 % of the greatest gradient, has the area of a square of side {before.effective_size:.1f} "
        f"before training, for random images, and {after.effective_size:.1f} after it, for test images."
    )
    run.picture(figure, "receptive_field", caption)


def _one(value: int | tuple[int, ...]) -> str:
    """A setting as text: 3, or 3 × 5 where the axes differ."""
    sizes = value if isinstance(value, tuple) else (value,)
    return " × ".join(map(str, sizes if len(set(sizes)) > 1 else sizes[:1]))


def _feature_maps(run: Run, model: nn.Module, images: Images) -> None:
    """What the first layer's channels answer to the first test image."""
    first = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    with minigrad.no_grad():
        image, label = images.test[:1]
        maps = first(image).relu()[0]
        dark = int((maps.amax((1, 2)) == 0).sum().item())
    caption = (
        f"The first convolution's {len(maps)} feature maps, after ReLU, of the first test image "
        f"({images.classes[int(label.item())]}). {dark} of them are 0 everywhere."
    )
    limit = QUICK_MAPS if run.config["quick"] else len(maps)
    run.picture(plot.feature_maps(maps, limit), "feature_maps", caption, kind="image")


def _gradients(trained: Trained) -> None:
    """The gradients of each layer's weights: in the last epoch, and from epoch to epoch."""
    run, history = trained.run, trained.gradients.history
    verdicts = trained.gradients.verdicts
    run.results["gradient_verdicts"] = verdicts
    if not history:
        return
    by_layer: dict[str, list[float]] = {name: [] for name in history[-1]["layers"] if name.endswith("weight")}
    for row in history:
        for name, values in by_layer.items():
            values.append(row["layers"][name]["rms"])
    lines = {name.removeprefix("features.").removesuffix(".weight"): values for name, values in by_layer.items()}
    last = {name: values[-1] for name, values in lines.items()}
    run.results["gradient_rms"] = last
    run.picture(plot.gradient_flow(last, "rms of the gradient"), "gradient_flow", _flow(last))
    epochs = [row["epoch"] for row in history]
    fine = "No layer's gradient vanishes or explodes in any of them."
    caption = f"The same from epoch to epoch. {'; '.join(verdicts) or fine}"
    figure = plot.curves({n: (epochs, v) for n, v in lines.items()}, "epoch", "rms of the gradient", log=True)
    run.picture(figure, "gradients", caption)


def _flow(rms: Mapping[str, float]) -> str:
    return (
        f"Root mean square of the gradient of each layer's weights in the last epoch, {min(rms.values()):.1e} to "
        f"{max(rms.values()):.1e}; the first layer is on top."
    )
