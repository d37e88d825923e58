"""Curves: metrics over steps, and a fitted function with the true one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .canvas import COLOURS, as_chart, head, legend, new_figure, one_line, to_array
from .smoothing import smooth


def curves(
    lines: Mapping[str, tuple[Any, Any]],
    xlabel: str = "epoch",
    ylabel: str = "loss",
    title: str = "",
    log: bool = False,
    dashed: Collection[str] = (),
) -> Any:
    """Lines {name: (x, y)} in one picture, with a logarithmic y axis if asked; those named in `dashed` let others show.

    Raises ValueError where x and y differ in length.
    """
    figure, ((axes,),) = new_figure()
    drawn = []
    for i, (name, (x, y)) in enumerate(lines.items()):
        x, y = _points("curves", name, x, y)
        style: dict[str, Any] = {"linestyle": (0, (4, 4))} if name in dashed else {}
        drawn.append((name, _line(axes, x, y, i, label=name, linewidth=1.6, **style)))
    return _finished(figure, axes, drawn, xlabel, ylabel, title, log)


def smoothed_curves(
    lines: Mapping[str, tuple[Any, Any]],
    weight: float = 0.6,
    xlabel: str = "step",
    ylabel: str = "loss",
    title: str = "",
    log: bool = False,
) -> Any:
    """Noisy lines {name: (x, y)}, pale, each under its moving average: :func:`minigrad.plot.smoothing.smooth`.

    The average is TensorBoard's, so `weight` is the number at its slider: 0 smooths nothing, 0.99 almost everything.

    Raises ValueError where x and y differ in length, and for a weight outside 0 ≤ weight < 1.
    """
    figure, ((axes,),) = new_figure()
    drawn = []
    for i, (name, (x, y)) in enumerate(lines.items()):
        x, y = _points("smoothed_curves", name, x, y)
        _line(axes, x, y, i, linewidth=1.0, alpha=0.3)
        drawn.append((name, _line(axes, x, smooth(y, weight), i, label=name, linewidth=1.8)))
    return _finished(figure, axes, drawn, xlabel, ylabel, title, log)


def _points(function: str, name: str, x: Any, y: Any) -> tuple[Any, Any]:
    """Both as arrays of one length."""
    x, y = to_array(x), to_array(y)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"{function}: line {name!r} has x of shape {x.shape} and y of shape {y.shape}, expected both (N,)"
        )
    return x, y


def _line(axes: Any, x: Any, y: Any, number: int, **style: Any) -> Any:
    marker = "o" if len(x) == 1 else None  # a line needs two points
    (line,) = axes.plot(x, y, color=COLOURS[number % len(COLOURS)], marker=marker, markersize=4, **style)
    return line


def _finished(
    figure: Any, axes: Any, drawn: list[tuple[str, Any]], xlabel: str, ylabel: str, title: str, log: bool
) -> Any:
    """The figure with its axes named, and the lines if there are several; integer ticks for integer x."""
    if log:
        axes.set_yscale("log")
    as_chart(axes, xlabel, ylabel, title)
    if all(not (line.get_xdata() % 1).any() for line in axes.lines):
        axes.locator_params(axis="x", integer=True)
    if len(drawn) > 1:
        legend(figure, axes, drawn)
    return figure


def fit(x: Any, y: Any, true: Any, snapshots: Mapping[str, Any], title: str = "", columns: int = 2) -> Any:
    """Noisy points, the function behind them, and what the network made of them at several times, a panel each.

    Args:
        x, y, true: (N,) the inputs, the noisy targets, the targets without noise.
        snapshots: {name: predictions (N,)}, a panel each.
        columns: panels side by side.
    """
    x, y, true = to_array(x).ravel(), to_array(y).ravel(), to_array(true).ravel()
    order = x.argsort(kind="stable")
    columns = max(1, min(columns, len(snapshots)))
    rows = -(-len(snapshots) // columns)
    figure, panels = new_figure(2.8 * columns, 2.3 * rows, max(1, rows), columns)
    for i, axes in enumerate(panels.flat):
        if i >= len(snapshots):
            axes.set_visible(False)
            continue
        name, predicted = list(snapshots.items())[i]
        axes.plot(x, y, ".", color="#9aa5b1", markersize=2.5, label="data", zorder=1)
        axes.plot(x[order], true[order], color=COLOURS[0], linewidth=1.4, label="true function", zorder=2)
        axes.plot(
            x[order], to_array(predicted).ravel()[order], color=COLOURS[1], linewidth=1.8, label="network", zorder=3
        )
        as_chart(axes, "x" if i >= len(snapshots) - columns else "", "y" if i % columns == 0 else "", one_line(name))
        if i == 0:
            axes.legend(frameon=False, fontsize="small", loc="upper left")
    head(figure, title)
    return figure
