"""Receptive fields as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .canvas import COLOURS, head, new_figure, one_line, to_array

_DECADES = 4  # from the greatest gradient down to the darkest colour


def receptive_fields(
    gradients: Mapping[str, Any],
    boxes: Mapping[str, tuple[float, float, float, float]] | None = None,
    title: str = "",
    columns: int = 4,
) -> Any:
    """How much one output depends on each pixel, {name: mean |∂y/∂x| (H, W)}, each relative to its greatest value.

    Colours are logarithmic, over four powers of ten: gradients fade toward the edges of the field, and would not be
    seen there otherwise. Pixels with a gradient of 0 are white: the output does not depend on them.

    Args:
        boxes: {name: (top, left, height, width)} in pixels, drawn as a frame: the receptive field that was computed.
        columns: panels side by side.
    Raises ValueError where there is nothing to draw, for other shapes, and for negative gradients.
    """
    maps = {name: to_array(values) for name, values in gradients.items()}
    if not maps:
        raise ValueError("receptive_fields: there is nothing to draw, expected {name: gradients (H, W)}")
    for name, values in maps.items():
        if values.ndim != 2 or not values.size or not (values >= 0).all():
            raise ValueError(
                f"receptive_fields: {name!r} has shape {values.shape}, expected (H, W), not empty, with no value below "
                "0 or NaN"
            )
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle

    columns = max(1, min(columns, len(maps)))
    figure, panels = new_figure(
        1.75 * columns + 0.9, 2.0 * -(-len(maps) // columns) + 0.3, -(-len(maps) // columns), columns
    )
    for axes in panels.flat:
        axes.set_axis_off()
    drawn = list(panels.flat)[: len(maps)]
    for axes, (name, values) in zip(drawn, maps.items(), strict=True):
        shares = np.ma.masked_equal(values / max(values.max(), 1e-300), 0)
        axes.set_axis_on()
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(one_line(name, 24), fontsize="small")
        axes.imshow(shares, cmap="viridis", norm=LogNorm(10.0**-_DECADES, 1), interpolation="nearest")
        if boxes is not None and name in boxes:
            top, left, height, width = boxes[name]
            frame = Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=COLOURS[1], linewidth=1.6)
            axes.add_patch(frame)
    figure.colorbar(drawn[0].images[0], ax=figure.axes, label="|∂y/∂x| of the greatest", shrink=0.8, aspect=30)
    head(figure, title)
    return figure
