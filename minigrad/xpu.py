"""Intel's GPUs (``torch.xpu``), on which minigrad does not run."""

from __future__ import annotations


def is_available() -> bool:
    """Whether ``device="xpu"`` can be used: never."""
    return False


def device_count() -> int:
    """How many such GPUs minigrad can use: 0."""
    return 0
