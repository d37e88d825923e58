"""The output of a network with two inputs over the plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .canvas import COLOURS, as_chart, new_figure, to_array


def decision_surface(
    predict: Callable[[np.ndarray[Any, Any]], Any], x: Any, target: Any, title: str = "", resolution: int = 200
) -> Any:
    """The probability of class 1 over a grid, by `contourf`, with the line where it is one half, and the samples.

    Args:
        predict: from points (M, 2), a float32 array, to probabilities (M,) or (M, 1).
        x: the samples (N, 2); the grid spans them with a margin.
        target: their classes, 0 or 1, (N,) or (N, 1).
        resolution: grid points along each side.
    Raises ValueError for other shapes.
    """
    x, target = to_array(x), to_array(target).ravel()
    if x.ndim != 2 or x.shape[1] != 2 or len(x) != len(target):
        raise ValueError(f"decision_surface: x has shape {x.shape} and target {target.shape}, expected (N, 2) and (N,)")
    low, high = x.min(0), x.max(0)
    margin = 0.15 * (high - low).max()
    sides = [np.linspace(low[i] - margin, high[i] + margin, resolution, dtype=np.float32) for i in (0, 1)]
    grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)  # (R, R, 2) → (R², 2)
    probability = to_array(predict(grid)).reshape(resolution, resolution)
    wide, high = (float(side[-1] - side[0]) for side in sides)
    figure, ((axes,),) = new_figure(5.6, 0.7 + 3.85 * min(max(high / wide, 0.3), 1.5))
    filled = axes.contourf(*sides, probability, levels=np.linspace(0, 1, 21), cmap=_pale("RdBu_r"), extend="neither")
    if probability.min() < 0.5 < probability.max():
        axes.contour(*sides, probability, levels=[0.5], colors="black", linewidths=1.2)
    for label, colour in ((0, COLOURS[0]), (1, "#b5202c")):
        points = x[target == label]
        axes.scatter(
            points[:, 0], points[:, 1], s=9, color=colour, edgecolor="white", linewidth=0.3, label=f"class {label}"
        )
    figure.set_layout_engine("compressed")  # keeps the colour bar as high as the picture, whatever its proportions
    figure.colorbar(filled, ax=axes, label="probability of class 1", ticks=np.linspace(0, 1, 6))
    as_chart(axes, "x₁", "x₂", title)
    axes.grid(False)
    axes.locator_params(nbins=6)
    axes.set_aspect("equal")
    axes.legend(fontsize="small", loc="upper right")
    return figure


def _pale(name: str) -> Any:
    """A colour map mixed with white, so that the samples stand out from it. (Transparency would show seams.)"""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(0.3 + 0.7 * colormaps[name](np.linspace(0.1, 0.9, 256))[:, :3])
