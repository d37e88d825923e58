"""JSON files: values that one can hold, written and read back; a damaged file is named."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_text
from ..tensor import Tensor


def plain(value: Any, place: str) -> Any:
    """A value of JSON's types: tensors and NumPy numbers become Python's, NaN and infinity None, paths text.

    Args: place: the value's name in messages, such as ``results['accuracy']``.
    Raises TypeError for a value that JSON cannot hold, and ValueError for one that contains itself.
    """
    try:
        return _plain(value, place)
    except RecursionError:
        raise ValueError(f"{place} contains itself, or is nested too deep for a file") from None


def _plain(value: Any, place: str) -> Any:
    if isinstance(value, Mapping):
        made = {str(key): _plain(item, f"{place}[{key!r}]") for key, item in value.items()}
        if len(made) < len(value):
            raise TypeError(f"{place} has two keys that are one as text; its keys are {', '.join(map(repr, value))}")
        return made
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{place}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        value = value.tolist()
        return _plain(value, place)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value) if isinstance(os.fspath(value), str) else str(value)
    raise TypeError(
        f"{place} is {value!r} ({type(value).__name__}), which a JSON file cannot hold; expected numbers, text, True, "
        "False, None, tensors, or lists and dicts of them"
    )


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write what :func:`plain` gave; the file is complete at any moment."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The dict in a file. Raises FileNotFoundError, or ValueError with the file's name if it is damaged."""
    content = read_any_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it holds a {type(content).__name__}, expected a dict")
    return content


def read_any_json(path: Path) -> Any:
    """The value in a file. Raises as :func:`read_json`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8
        raise ValueError(f"{path} is damaged: {error}") from None


def read_summary(folder: Path) -> dict[str, Any]:
    """summary.json of a run's folder; {} if there is none yet. Raises ValueError if it is damaged."""
    try:
        return read_json(folder / "summary.json")
    except FileNotFoundError:
        return {}
