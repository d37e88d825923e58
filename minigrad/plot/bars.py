"""Named numbers as bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .canvas import COLOURS, as_chart, name_ticks, new_figure

_RED = "#b5202c"
_FAR = 1e3  # a ratio of gradients, between the first layer and the last, that hinders learning


def bars(
    values: Mapping[str, float], xlabel: str = "", title: str = "", form: str = "{:.3g}", log: bool = False
) -> Any:
    """Horizontal bars {name: number} in the given order from the top, each with its number beside it.

    Args:
        form: how a number is written, such as "{:.1%}" for shares or "{:.2f} ms" for times.
        log: a logarithmic axis; the numbers must be positive then.
    Raises ValueError where there are no values, a number is not finite, or one is not positive on a logarithmic axis.
    """
    numbers = _checked_values("bars", values)
    for name, number in numbers.items():
        if not np.isfinite(number) or (log and number <= 0):
            kind = "a positive number, for a logarithmic axis" if log else "a finite number"
            raise ValueError(f"bars: {name!r} is {number}, expected {kind}")
    figure, axes = _horizontal(list(numbers), list(numbers.values()), [COLOURS[0]] * len(numbers), log)
    _write_values(axes, list(numbers.values()), [form.format(number) for number in numbers.values()])
    as_chart(axes, xlabel, "", title)
    axes.grid(False, axis="y")
    return figure


def gradient_flow(norms: Mapping[str, float], xlabel: str = "mean |gradient|", title: str = "") -> Any:
    """How large the gradients are in each layer, first layer on top, on a logarithmic axis.

    Where gradients shrink in the backward pass toward the first layers (they *vanish*), those hardly learn; where they
    grow (they *explode*), training diverges. A line under the picture gives the ratio of the first layer to the last,
    and says so where it is below 1/1000 or above 1000. A gradient of 0, NaN or infinity has no bar but is named in red.

    Args:
        norms: {layer: mean |gradient| or norm}, in the order of the layers.
    Raises ValueError where there are no layers, or a number is negative.
    """
    numbers = _checked_values("gradient_flow", norms)
    for name, number in numbers.items():
        if number < 0:
            raise ValueError(f"gradient_flow: {name!r} is {number}, expected a size, which is not negative")
    sizes = np.array(list(numbers.values()))
    drawn = np.isfinite(sizes) & (sizes > 0)
    floor = sizes[drawn].min() / 10 if drawn.any() else 0.1
    lengths = np.where(drawn, sizes, floor)
    colours = [COLOURS[0] if ok else "none" for ok in drawn]
    figure, axes = _horizontal(list(numbers), lengths.tolist(), colours, log=True)
    _write_values(axes, lengths.tolist(), [f"{size:.2g}" for size in sizes])
    axes.set_xlim(left=floor)
    for text, ok in zip(axes.texts, drawn, strict=True):
        if not ok:
            text.set_color(_RED)
    note = ""
    if len(sizes) > 1 and drawn[0] and drawn[-1]:
        ratio = sizes[0] / sizes[-1]
        verdict = ": vanishing" if ratio < 1 / _FAR else ": exploding" if ratio > _FAR else ""
        note = f"\nfirst layer / last layer = {ratio:.2g}{verdict}"
    as_chart(axes, xlabel + note, "", title)
    axes.grid(False, axis="y")
    return figure


def _checked_values(function: str, values: Mapping[str, Any]) -> dict[str, float]:
    if not values:
        raise ValueError(f"{function}: there is nothing to draw, expected {{name: number}}")
    return {str(name): float(value) for name, value in values.items()}


def _horizontal(names: list[str], lengths: list[float], colours: list[str], log: bool) -> tuple[Any, Any]:
    """Figure and axes with a bar for each name, the first on top, and room for the numbers at their ends."""
    figure, ((axes,),) = new_figure(5.6, 0.9 + 0.27 * len(names))
    axes.barh(range(len(names)), lengths, color=colours, height=0.66)
    name_ticks(axes.yaxis, names, fontsize="small")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_axisbelow(True)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter("")  # Matplotlib would write between the powers of ten, too
    return figure, axes


def _write_values(axes: Any, lengths: list[float], texts: list[str]) -> None:
    """A number behind the end of each bar, and a margin that holds the longest."""
    for i, (length, text) in enumerate(zip(lengths, texts, strict=True)):
        left = length < 0
        axes.annotate(
            text,
            (length, i),
            (-4 if left else 4, 0),
            textcoords="offset points",
            va="center",
            ha="right" if left else "left",
            fontsize="small",
            parse_math=False,
        )
    axes.margins(x=0.04 + 0.018 * max(map(len, texts)))
