"""Weights, examples and activations as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .canvas import head, new_figure, one_line, to_array

_RED = "#b5202c"


def weight_images(weight: Any, shape: tuple[int, ...] | None = None, title: str = "", limit: int = 32) -> Any:
    """Each neuron's weights as an image: grey where a weight is 0, brighter where it is positive.

    All are scaled by one number, the 99.5 % quantile of the absolute weights, so neurons can be compared.

    Args:
        weight: (neurons, …), such as a layer's `weight`.
        shape: of one image, (3, H, W) for colour or (H, W); that of `weight` behind its first axis if None.
        limit: if there are more neurons, only so many are shown: those with the largest weights (by Euclidean norm).
    Raises ValueError where the weights of a neuron do not make such an image.
    """
    weight = to_array(weight)
    shape = tuple(weight.shape[1:]) if shape is None else tuple(shape)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] not in (1, 3)) or weight[0].size != np.prod(shape):
        raise ValueError(
            f"weight_images: weight has shape {weight.shape}, an image {shape}; expected (H, W) or (3, H, W) "
            "with as many elements as a neuron has weights"
        )
    flat = weight.reshape(len(weight), -1)
    chosen = np.sort(np.argsort(-np.linalg.norm(flat, axis=1), kind="stable")[:limit])
    shown = flat[chosen].reshape(-1, *shape)
    scale = max(float(np.quantile(np.abs(shown), 0.995)), 1e-30)
    pixels = np.clip(0.5 + 0.5 * shown / scale, 0, 1)
    if len(shape) == 3:
        pixels = pixels.transpose(0, 2, 3, 1)  # (N, C, H, W) → (N, H, W, C)
    figure, _ = _grid(pixels, [str(i) for i in chosen], title, cmap="gray", vmin=0, vmax=1)
    return figure


def predictions(
    images: Any,
    true: Any,
    predicted: Any,
    names: Sequence[str] | None = None,
    confidence: Any = None,
    limit: int = 24,
    title: str = "",
) -> Any:
    """Example images under "true class → predicted class", red where the two differ.

    Args:
        images: (N, H, W), (N, 1, H, W) or (N, 3, H, W): integers in 0 … 255, or floats in 0 … 1. Others, such as
            normalized images, are stretched so that the least number of all is black and the greatest white.
        true, predicted: (N,), the indices of the classes.
        names: of the classes; their indices if None.
        confidence: (N,), the probability that the network gave to its prediction, 0 … 1: written below the classes.
        limit: how many images are shown, the first ones.
    Raises ValueError for other shapes, a class without a name, and a limit below 1.
    """
    images, labels = to_array(images), [to_array(true), to_array(predicted)]
    channels = images.shape[1] if images.ndim == 4 else 1
    if images.ndim not in (3, 4) or channels not in (1, 3) or not images.size:
        raise ValueError(
            f"predictions: images has shape {images.shape}, expected (N, H, W), (N, 1, H, W) or (N, 3, H, W), not empty"
        )
    columns = {"true": labels[0], "predicted": labels[1]}
    if confidence is not None:
        columns["confidence"] = to_array(confidence)
    for name, column in columns.items():
        if column.shape != (len(images),):
            raise ValueError(f"predictions: {name} has shape {column.shape}, expected ({len(images)},): one per image")
    shown = _count("predictions", limit, len(images))
    pairs = [[int(label[i]) for label in labels] for i in range(shown)]
    if names is not None and not all(0 <= k < len(names) for pair in pairs for k in pair):
        raise ValueError(
            f"predictions: classes run from {np.min(pairs)} to {np.max(pairs)}, but names has {len(names)}"
        )
    words = [[str(k) if names is None else one_line(names[k], 20) for k in pair] for pair in pairs]
    between = "\n→ " if max(len(a) + len(b) for a, b in words) > 14 else " → "
    titles = [between.join(pair) for pair in words]
    if confidence is not None:
        titles = [f"{text}\n{columns['confidence'][i]:.0%}" for i, text in enumerate(titles)]
    pixels = _brightness(images[:shown])
    if images.ndim == 4:
        pixels = pixels.transpose(0, 2, 3, 1)  # (N, C, H, W) → (N, H, W, C)
    figure, panels = _grid(pixels, titles, title, cmap="gray", vmin=0, vmax=1)
    for axes, (a, b) in zip(panels, pairs, strict=True):
        if a != b:
            axes.title.set_color(_RED)
    return figure


def feature_maps(activations: Any, limit: int = 32, title: str = "") -> Any:
    """The activation of each channel of a layer for one image: bright where it is high.

    One scale for all, from the least activation to the 99.5 % quantile, so that channels can be compared.

    Args:
        activations: (C, H, W): of one image, without a batch axis.
        limit: how many channels are shown, the first ones.
    Raises ValueError for another shape and for a limit below 1.
    """
    activations = to_array(activations)
    if activations.ndim != 3 or not activations.size:
        raise ValueError(
            f"feature_maps: activations has shape {activations.shape}, expected (C, H, W), not empty; of a batch, take "
            "one: activations[0]"
        )
    shown = activations[: _count("feature_maps", limit, len(activations))].astype(np.float64)
    low, high = float(shown.min()), float(np.quantile(shown, 0.995))
    figure, panels = _grid(
        shown, [str(i) for i in range(len(shown))], title, cmap="viridis", vmin=low, vmax=max(high, low + 1e-30)
    )
    figure.colorbar(panels[0].images[0], ax=figure.axes, label="activation", shrink=0.8, aspect=30)
    return figure


def _count(function: str, limit: int, there: int) -> int:
    if limit < 1:
        raise ValueError(f"{function}: limit is {limit}, expected at least 1")
    return min(limit, there)


def _brightness(images: Any) -> Any:
    """Pixels in 0 … 1."""
    if images.dtype.kind in "iu" and images.min() >= 0 and images.max() <= 255:
        return images / 255
    images = np.where(np.isfinite(images), images, np.nan).astype(np.float64)  # NaN is left blank
    low, high = np.nanmin(images, initial=1.0), np.nanmax(images, initial=0.0)
    return images if low >= 0 and high <= 1 else (images - low) / max(high - low, 1e-30)


def _grid(pixels: Any, titles: list[str], title: str, **style: Any) -> tuple[Any, list[Any]]:
    """Images (N, H, W) or (N, H, W, C) in rows, each under its title: the figure and the axes of the images."""
    columns = min(len(pixels), 5 if len(pixels) <= 10 else 8)
    rows = -(-len(pixels) // columns)
    lines = max(text.count("\n") for text in titles)
    figure, panels = new_figure(1.25 * columns + 0.2, (1.4 + 0.12 * lines) * rows + 0.4, rows, columns)
    for axes in panels.flat:
        axes.set_axis_off()
    shown = list(panels.flat)[: len(pixels)]
    for axes, image, text in zip(shown, pixels, titles, strict=True):
        axes.imshow(image, interpolation="nearest", **style)
        axes.set_title(text, fontsize="x-small", pad=2)
    head(figure, title)
    return figure, shown
