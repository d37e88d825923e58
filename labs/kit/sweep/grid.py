"""A grid of settings from the command line: ``lr=0.01,0.1`` and ``batch_size=32,64`` make four cells."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

LONGEST = 100  # letters of a folder's name


def assignment(text: str) -> tuple[str, str]:
    """An option's value NAME=VALUES, as name and text."""
    name, _, values = text.partition("=")
    if not name.strip() or any(not part.strip() for part in values.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, or NAME=VALUE,VALUE,… for a grid")
    return name.strip().replace("-", "_"), values


def choices(grid: Sequence[tuple[str, str]], fixed: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The settings of every cell: each value of each grid meets each of the others, and the fixed ones are in all.

    Raises ValueError for a setting or a value that is given twice.
    """
    names = [name for name, _ in (*grid, *fixed)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the setting {twice} is given {names.count(twice)} times")
    axes = {name: values_in(text) for name, text in grid}
    for name, values in axes.items():
        again = next((value for value in values if values.count(value) > 1), None)
        if again is not None:
            raise ValueError(f"--grid {name}: the value {again} is there {values.count(again)} times")
    same = {name: value_in(text) for name, text in fixed}
    cells = [{**same, **dict(zip(axes, values, strict=True))} for values in itertools.product(*axes.values())]
    return [dict(sorted(cell.items())) for cell in cells]


def values_in(text: str) -> list[Any]:
    """``0.1,0.2`` as numbers, ``[10],[32,32]`` as lists, ``step,cyclical`` as text: JSON where it is, else text."""
    try:
        return list(json.loads(f"[{text}]"))
    except ValueError:
        return [value_in(part) for part in text.split(",")]


def value_in(text: str) -> Any:
    """A value as JSON, or as text where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def folder_name(settings: dict[str, Any]) -> str:
    """A name that is the same for the same settings and another for others; to be read, where they are not too many."""
    texts = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()]
    plain = ",".join(texts) or "defaults"
    name = re.sub(r"[^\w.,=+-]+", "_", plain)[:LONGEST]
    if name == plain:
        return name
    return f"{name}~{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]}"
