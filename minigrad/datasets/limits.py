"""Bounds on what a data file may ask for, so that a small hostile one takes neither the memory nor the disk."""

from __future__ import annotations

from pathlib import Path

LARGEST = 1 << 29  # bytes of one file, or of all in an archive, unpacked; the data sets here have 0.2 · 10⁹ at most


def refuse_larger(path: Path, size: int, what: str = "holds") -> None:
    """Raise ValueError, naming the file, if `size` bytes are more than any of the data sets' files has."""
    if size > LARGEST:
        raise ValueError(
            f"{path} {what} {size} bytes, more than the {LARGEST} that are read; it is not of this data set"
        )
