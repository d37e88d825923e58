"""Figures without pyplot, and the looks they share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor

COLOURS = ("#1f5fbf", "#e07000", "#2a8f4f", "#c0267e", "#7a5fd0", "#8a6d3b", "#1aa3a3", "#555555")
DOTS_PER_INCH = 144


def new_figure(width: float = 5.6, height: float = 3.5, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """A figure of so many inches, and its axes as an array (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def as_chart(axes: Any, xlabel: str, ylabel: str, title: str = "") -> None:
    """Name the axes, draw a light grid, leave out the frame."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if title:
        axes.set_title(title, fontsize="medium")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def legend(figure: Any, axes: Any, entries: int, columns: int = 4, loc: str = "best") -> None:
    """Name the lines: inside the axes, or below them where there are too many to find a free corner for."""
    if entries > 4:
        figure.legend(frameon=False, fontsize="small", loc="outside lower center", ncols=columns)
    else:
        axes.legend(frameon=False, fontsize="small", loc=loc)


def to_array(values: Any) -> np.ndarray[Any, Any]:
    """A tensor on any device, an array or a list as a NumPy array."""
    return values.numpy(force=True) if isinstance(values, Tensor) else np.asarray(values)
