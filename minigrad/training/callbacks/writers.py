"""What the monitors share: where pictures go, and how often something is measured."""

from __future__ import annotations

from typing import Any


def checked_writer(who: str, writer: Any) -> Any:
    """``writer`` if it can be written to: a SummaryWriter, something with one (a Run, a TensorBoardLogger), or None.

    Raises TypeError for anything else.
    """
    if writer is None or hasattr(type(writer), "writer") or hasattr(writer, "add_scalar"):
        return writer
    raise TypeError(f"{who}: writer is {writer!r}, expected a SummaryWriter, a Run, a TensorBoardLogger or None")


def opened(writer: Any) -> Any:
    """The SummaryWriter that is meant, opened if need be; None if there is none."""
    return writer.writer if hasattr(type(writer), "writer") else writer


def checked_count(who: str, name: str, value: Any, least: int = 1) -> int:
    """``value`` if it is a whole number of at least ``least``. Raises ValueError otherwise."""
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{who}: {name} = {value!r}, expected a whole number, {least} or more")
    return value
