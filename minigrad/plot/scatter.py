"""Pairs of numbers as points."""

from __future__ import annotations

from typing import Any

import numpy as np

from .canvas import COLOURS, as_chart, new_figure, to_array


def scatter(x: Any, y: Any, xlabel: str = "x", ylabel: str = "y", title: str = "", correlation: bool = True) -> Any:
    """Points (x, y), with Pearson's correlation coefficient r written in.

    r = Σ (x − x̄)(y − ȳ) / √(Σ (x − x̄)² Σ (y − ȳ)²): 1 or −1 on a straight line, 0 where no line helps. It is not
    defined for fewer than two points, or where x or y does not vary. Points with a NaN or an infinity are left out.

    Args:
        x, y: (N,) each.
        correlation: whether to write r.
    Raises ValueError for other shapes.
    """
    x, y = to_array(x).astype(np.float64), to_array(y).astype(np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"scatter: x has shape {x.shape} and y {y.shape}, expected both (N,)")
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    figure, ((axes,),) = new_figure(4.6, 3.6)
    points = axes.scatter(x, y, s=16, color=COLOURS[0], alpha=0.75, edgecolor="white", linewidth=0.4)
    as_chart(axes, xlabel, ylabel, title)
    if correlation:
        varies = len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0
        r = f"{np.corrcoef(x, y)[0, 1]:.2f}" if varies else "not defined"
        points.set_label(f"r = {r}, {len(x)} points")
        axes.legend(fontsize="small", handlelength=0.8)  # where the fewest points are
    return figure
