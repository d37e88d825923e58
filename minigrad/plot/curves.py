"""Lines: how a number went over the steps, and a fitted function over the true one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .canvas import COLOURS, as_chart, new_figure, to_array


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
    for i, (name, (x, y)) in enumerate(lines.items()):
        x, y = to_array(x), to_array(y)
        if x.shape != y.shape or x.ndim != 1:
            raise ValueError(
                f"curves: line {name!r} has x of shape {x.shape} and y of shape {y.shape}, expected both (N,)"
            )
        marker = "o" if len(x) == 1 else None  # a line needs two points
        style: dict[str, Any] = {"linestyle": (0, (4, 4))} if name in dashed else {}
        axes.plot(
            x, y, color=COLOURS[i % len(COLOURS)], label=name, linewidth=1.6, marker=marker, markersize=4, **style
        )
    if log:
        axes.set_yscale("log")
    as_chart(axes, xlabel, ylabel, title)
    if len(lines) > 4:  # too many to find a free corner for
        figure.legend(frameon=False, fontsize="small", loc="outside lower center", ncols=4)
    elif len(lines) > 1:
        axes.legend(frameon=False, fontsize="small")
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
        as_chart(axes, "x" if i >= len(snapshots) - columns else "", "y" if i % columns == 0 else "", name)
        if i == 0:
            axes.legend(frameon=False, fontsize="small", loc="upper left")
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure
