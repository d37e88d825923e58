"""Figures without pyplot, in a common style.

Names of classes, layers and runs come from data and users. Matplotlib would read what stands between two ``$`` as a
formula, and leave a line out of a legend whose name begins with ``_``; here text is drawn as it stands.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor

COLOURS = ("#1f5fbf", "#e07000", "#2a8f4f", "#c0267e", "#7a5fd0", "#8a6d3b", "#1aa3a3", "#555555")
DOTS_PER_INCH = 144
_LETTERS = 85  # that fit into a line below a picture


def new_figure(width: float = 5.6, height: float = 3.5, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """A figure of so many inches, and its axes as an array (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        _as_it_stands([axes.title, axes.xaxis.label, axes.yaxis.label])
    return figure, panels


def as_chart(axes: Any, xlabel: str, ylabel: str, title: str = "") -> None:
    """Name the axes, draw a light grid, leave out the frame."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if title:
        axes.set_title(title, fontsize="medium")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def png_of(figure: Any) -> bytes:
    """A figure as the content of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def head(figure: Any, title: str) -> None:
    """A title over all panels, if there is one."""
    if title:
        figure.suptitle(title, fontsize="medium", parse_math=False)


def legend(figure: Any, axes: Any, lines: Sequence[tuple[str, Any]], columns: int = 4, loc: str = "best") -> None:
    """Name the lines: inside the axes, or below them where there are too many to find a free corner for."""
    names, handles = [one_line(name) for name, _ in lines], [line for _, line in lines]
    style: dict[str, Any] = {"frameon": False, "fontsize": "small", "labels": ["?"] * len(names)}
    if len(names) > 4:
        fitting = max(1, min(columns, _LETTERS // (6 + max(map(len, names)))))
        rows = -(-len(names) // fitting)
        figure.set_figheight(figure.get_figheight() + 0.19 * max(0, rows - 2))  # which the axes would lose otherwise
        made = figure.legend(handles=handles, loc="outside lower center", ncols=fitting, **style)
    else:
        made = axes.legend(handles=handles, loc=loc, **style)
    _as_it_stands(made.get_texts())
    for text, name in zip(made.get_texts(), names, strict=True):
        text.set_text(name)


def name_ticks(axis: Any, names: Sequence[Any], **style: Any) -> None:
    """Ticks 0, 1, … of an axis, with a name each."""
    axis.set_ticks(range(len(names)), [one_line(name) for name in names], **style)
    _as_it_stands([label for tick in axis.get_major_ticks() for label in (tick.label1, tick.label2)])


def one_line(name: Any, longest: int = 40) -> str:
    """A name in one line; of one that would not leave the picture any room, beginning and end."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(name))
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[1 - longest // 2 :]}"


def _as_it_stands(texts: Sequence[Any]) -> None:
    for text in texts:
        text.set_parse_math(False)


def to_array(values: Any) -> np.ndarray[Any, Any]:
    """A tensor on any device, an array or a list as a NumPy array."""
    return values.numpy(force=True) if isinstance(values, Tensor) else np.asarray(values)
