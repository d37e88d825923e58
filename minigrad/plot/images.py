"""Weights as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from .canvas import new_figure, to_array


def weight_images(weight: Any, shape: tuple[int, ...] | None = None, title: str = "", limit: int = 32) -> Any:
    """Each neuron's weights as the image it answers to most: grey where a weight is 0, brighter where it is positive.

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
    columns = min(len(shown), 5 if len(shown) <= 10 else 8)
    rows = -(-len(shown) // columns)
    figure, panels = new_figure(1.25 * columns + 0.2, 1.4 * rows + 0.4, rows, columns)
    for i, axes in enumerate(panels.flat):
        axes.set_axis_off()
        if i < len(shown):
            axes.imshow(pixels[i], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_title(str(chosen[i]), fontsize="x-small", pad=2)
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure
