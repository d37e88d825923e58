"""Histograms over the steps of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .canvas import as_chart, new_figure, to_array

_ROWS = 120  # of the picture's own bins


def histograms_over_time(
    histograms: Sequence[tuple[Any, Any]], steps: Any, xlabel: str = "epoch", ylabel: str = "value", title: str = ""
) -> Any:
    """Histograms side by side as a heat map: a column for each step, darker where more of its values lie.

    Each histogram may have bins of its own. All are brought to common ones, by taking the values of a bin to be evenly
    spread in it; colour is the share of a step's values. Colours are by the square root, so that thin tails show.

    Args:
        histograms: (edges (B + 1,), counts (B,)) for each step; ``numpy.histogram`` gives them as (counts, edges).
        steps: (S,), rising: the number of the step or epoch of each.
    Raises ValueError where there are none, for another number of steps, other shapes, edges that do not rise, negative
    counts, or a histogram without counts.
    """
    steps = to_array(steps).astype(np.float64)
    checked = [_checked(i, edges, counts) for i, (edges, counts) in enumerate(histograms)]
    if not checked or steps.shape != (len(checked),):
        raise ValueError(
            f"histograms_over_time: {len(checked)} histograms and steps of shape {steps.shape}; expected one step for "
            "each, and at least one"
        )
    if (np.diff(steps) <= 0).any():
        raise ValueError(f"histograms_over_time: steps must rise, they are {steps.tolist()}")
    used = [edges[np.flatnonzero(counts)[[0, -1]] + [0, 1]] for edges, counts in checked]  # without empty ends
    common = np.linspace(min(low for low, _ in used), max(high for _, high in used), _ROWS + 1)
    shares = []
    for edges, counts in checked:
        below = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()  # the share of the values below each edge
        shares.append(np.diff(np.interp(common, edges, below)))
    middles = (steps[1:] + steps[:-1]) / 2
    first = steps[0] - (middles[0] - steps[0] if len(middles) else 0.5)
    last = steps[-1] + (steps[-1] - middles[-1] if len(middles) else 0.5)
    figure, axes = _heat_map(np.array([first, *middles, last]), common, np.array(shares).T)
    if len(steps) <= 10:
        axes.set_xticks(steps)
    as_chart(axes, xlabel, ylabel, title)
    axes.grid(False)
    return figure


def _checked(i: int, edges: Any, counts: Any) -> tuple[Any, Any]:
    edges, counts = to_array(edges).astype(np.float64), to_array(counts).astype(np.float64)
    where = f"histograms_over_time: histogram {i}"
    if counts.ndim != 1 or edges.shape != (len(counts) + 1,):
        raise ValueError(
            f"{where} has edges of shape {edges.shape} and counts of shape {counts.shape}, expected (B + 1,) and (B,)"
        )
    if not (np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
        raise ValueError(f"{where} has edges that are not finite and rising")
    if not (counts >= 0).all() or not 0 < counts.sum() < np.inf:
        raise ValueError(f"{where} has counts that are negative, not finite, or all 0")
    return edges, counts


def _heat_map(columns: Any, rows: Any, shares: Any) -> tuple[Any, Any]:
    """Cells (rows, columns) between these edges, with a colour bar: figure and axes."""
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import PercentFormatter

    figure, ((axes,),) = new_figure()
    norm = PowerNorm(0.5, vmin=0, vmax=shares.max())
    mesh = axes.pcolormesh(columns, rows, shares, norm=norm, cmap="Blues", rasterized=True)
    figure.colorbar(mesh, ax=axes, label="share of the values", format=PercentFormatter(1.0))
    return figure, axes
