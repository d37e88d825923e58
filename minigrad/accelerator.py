"""The device beside the CPU, whichever there is (``torch.accelerator``): for minigrad a GPU through CuPy, or none."""

from __future__ import annotations

from . import cuda
from .devices import device


def is_available() -> bool:
    """Whether there is a device beside the CPU that minigrad can use."""
    return cuda.is_available()


def current_accelerator(check_available: bool = False) -> device | None:
    """``device("cuda")``, or None without a GPU, whatever ``check_available`` says."""
    return device("cuda") if cuda.is_available() else None


def device_count() -> int:
    """How many such devices there are."""
    return cuda.device_count()
