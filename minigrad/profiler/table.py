"""The table of ops, as plain data and as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..terminal import fitting

_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6}


class Row(NamedTuple):
    """What was recorded of an op, an optimizer's method or a scope. Times are in seconds.

    Attributes:
        name, category: as those of :class:`FunctionEventAvg`.
        calls: forward passes of an op, else calls.
        forward, backward: an op's passes, without the ops called inside.
        seconds: the whole time without what was called inside; of an op, forward + backward.
        total: with what was called inside.
        share: ``seconds`` of all the time recorded, 0 to 1.
        bytes: of the outputs and gradients that it made.
        flops: of products and convolutions, where they were asked for.
        shapes: the different shapes of its inputs.
        ran_by: "kernel", "textbook", "user"; "kernel / textbook" if the two passes differ, "mixed" if calls do.
    """

    name: str
    category: str
    calls: int
    forward: float
    backward: float
    seconds: float
    total: float
    share: float
    bytes: int
    flops: int
    shapes: list[Any]
    ran_by: str


def text(
    rows: list[Row],
    row_limit: int,
    by_shape: bool,
    name_width: int,
    shapes_width: int,
    header: str | None,
    time_unit: str | None,
) -> str:
    """The rows under each other, and a last line with their sum. Raises ValueError for an unknown ``time_unit``."""
    if time_unit is not None and time_unit not in _UNITS:
        raise ValueError(f"table: time_unit must be one of {', '.join(map(repr, _UNITS))} or None, got {time_unit!r}")

    def time(seconds: float) -> str:
        return _duration(seconds, time_unit) if seconds else ""

    columns: dict[str, Callable[[Row], str]] = {
        "Name": lambda row: _shortened(row.name, name_width),
        "Calls": lambda row: f"{row.calls:,}" if row.calls else "",
        "Forward": lambda row: time(row.forward),
        "Backward": lambda row: time(row.backward),
        "Self": lambda row: time(row.seconds),
        "Share": lambda row: f"{row.share:.1%}" if row.seconds else "",
        "Total": lambda row: time(row.total),
    }
    if any(row.bytes for row in rows):
        columns["Bytes"] = lambda row: _size(row.bytes) if row.bytes else ""
    if any(row.flops for row in rows):
        columns["GFLOPs"] = lambda row: f"{row.flops / 1e9:,.3f}" if row.flops else ""
    columns["Ran by"] = lambda row: row.ran_by
    left = {"Name", "Ran by", "Input shapes"}
    if by_shape:
        columns["Input shapes"] = lambda row: _shortened(
            ", ".join(map(str, row.shapes[0])) if row.shapes else "", shapes_width
        )
    shown = rows if row_limit < 0 else rows[:row_limit]
    cells = [list(columns), *([cell(row) for cell in columns.values()] for row in shown)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if name in left else cell.rjust(width)
            for name, cell, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in cells
    ]
    rule = "-" * max(map(len, lines))
    lines = [lines[0], rule, *lines[1:], rule]
    if len(shown) < len(rows):
        lines.append(f"{len(rows) - len(shown)} more rows: row_limit=-1 shows them")
    lines.append(f"Recorded: {_duration(sum(row.seconds for row in rows), time_unit)}")
    return fitting("\n".join(([header] if header else []) + lines))


def _duration(seconds: float, unit: str | None = None) -> str:
    if unit is None:
        unit = "s" if seconds >= 1 else "ms" if seconds >= 1e-3 else "us"
    return f"{seconds * _UNITS[unit]:,.3f} {unit.replace('us', 'µs')}"


def _size(count: int) -> str:
    if count < 1 << 10:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, 4)
    return f"{count / (1 << 10 * power):,.2f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
