"""Files that are whole at any moment: tables as CSV, and text."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_table(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]], first: str | None = None) -> None:
    """Write rows {column: value} as CSV. A column that a row does not have stays empty; the order is that of first use.

    Args: first: a column that is there even if there are no rows.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ([first] if first else [])
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, restval="")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())


def make_writable(folder: str | os.PathLike[str]) -> None:
    """Make a folder if it is not there. Raises OSError if it cannot be made, or if no file can be written into it."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    probe = place / f".{secrets.token_hex(4)}.tmp"
    probe.touch()
    probe.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file beside its place and move it there: a reader, or a kill, never meets half of it.

    Raises OSError if it cannot be written; what stood there before still stands then.
    """
    target = Path(path)
    draft = target.parent / f".{target.name}-{secrets.token_hex(4)}.tmp"
    try:
        with open(draft, "x", encoding="utf-8", newline="") as file:
            file.write(text)
        os.replace(draft, target)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
