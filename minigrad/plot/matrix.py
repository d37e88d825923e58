"""Confusion matrices as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .canvas import name_ticks, new_figure, one_line, to_array


def confusion_matrix(counts: Any, names: Sequence[str] | None = None, title: str = "") -> Any:
    """How often each true class (row) was predicted as each class (column): counts (K, K), darker is more.

    Raises ValueError for another shape, or another number of names than K.
    """
    counts = to_array(counts)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"confusion_matrix: counts has shape {counts.shape}, expected (K, K)")
    k = len(counts)
    names = [one_line(name) for name in (range(k) if names is None else names)]
    if len(names) != k:
        raise ValueError(f"confusion_matrix: {len(names)} names for {k} classes")
    side = max(3.2, 1.2 + 0.55 * k)
    figure, ((axes,),) = new_figure(side + 0.6, side)
    axes.imshow(counts, cmap="Blues", vmin=0)
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 4 else {}
    name_ticks(axes.xaxis, names, **slanted)
    name_ticks(axes.yaxis, names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    for i in range(k):
        for j in range(k):
            dark = counts[i, j] > counts.max() / 2
            axes.text(
                j,
                i,
                f"{counts[i, j]}",
                ha="center",
                va="center",
                color="white" if dark else "#1c2127",
                fontsize="small",
            )
    if title:
        axes.set_title(title, fontsize="medium")
    return figure
