"""Tables of numbers and text as CSV files."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .files import write_text

_TRUTH = {"True": 1, "False": 0}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FORMULA = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")  # a text that begins so (the last ones full-width) may be one


def write_table(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]], first: str | None = None) -> None:
    """Write rows {column: value} as CSV. A column that a row does not have stays empty; the order is that of first use.

    Text that a spreadsheet would take for a formula gets an apostrophe before it, as spreadsheets mark text themselves.

    Args: first: a column that is there even if there are no rows.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ([first] if first else [])
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow([_cell(column) for column in columns])
    table.writerows([[_cell(row.get(column)) for column in columns] for row in rows])
    write_text(path, text.getvalue())


def read_table(path: str | os.PathLike[str]) -> list[dict[str, float]]:
    """The rows of a table of numbers that :func:`write_table` wrote; empty cells are left out.

    The first column counts the rows, so each has a number there. Raises FileNotFoundError if there is no file, and
    ValueError, with its name, if it is damaged.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = [line for line in csv.reader(file, strict=True) if line]
        columns = [_uncell(name) for name in lines[0]] if lines else []
        rows = []
        for line in lines[1:]:
            if len(line) > len(columns):
                raise ValueError(f"a row has {len(line)} cells, the head {len(columns)}")
            row = {name: float(_TRUTH.get(cell, cell)) for name, cell in zip(columns, line, strict=False) if cell}
            if not math.isfinite(row.get(columns[0], math.nan)):
                raise ValueError(f"a row has no number under {columns[0]!r}")
            rows.append(row)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{os.fspath(path)} is damaged: {error}") from None
    return rows


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, np.number)):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def _uncell(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text
