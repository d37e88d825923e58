"""Load a data set, and download it if it is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from minigrad.datasets import data_root

T = TypeVar("T")


def fetched(load: Callable[[Path, bool], T], data: str | None, what: str, by_hand: str) -> T:
    """`load(root, False)`, and if the files are not there `load(root, True)`, which downloads them.

    Ends the program with one message if that fails (what to put where) or a file is damaged (which one). `by_hand`
    names the files, relative to root.
    """
    root = data_root(data)
    try:
        return load(root, False)
    except ValueError as error:  # a file that is there but damaged
        raise SystemExit(f"error: {error}") from None
    except RuntimeError:
        print(f"{what} is not in {root}; downloading it", flush=True)
    try:
        return load(root, True)
    except (RuntimeError, OSError, ValueError) as error:
        raise SystemExit(
            f"error: {what} is not in {root} and could not be downloaded:\n  {error}\n"
            f"Put {by_hand} into {root}, or name the folder that has it with --data, or try the lab without it: --quick"
        ) from None
