"""Where data lies."""

from __future__ import annotations

import os
from pathlib import Path


def data_root(data: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the data sets: `data`, else the variable MINIGRAD_DATA, else ~/.cache/minigrad.

    A leading ~ is expanded; the folder need not exist.
    """
    chosen = data if data is not None else os.environ.get("MINIGRAD_DATA") or "~/.cache/minigrad"
    return Path(chosen).expanduser()
