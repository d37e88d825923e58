"""Files that are complete at any moment: written under another name in the same folder, and then moved."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str], durable: bool = False) -> Iterator[IO[bytes]]:
    """A file to write, which appears at ``path`` once the block has ended: a reader, or a kill, never meets half of it.

    Args: durable: wait until the disk has it, so that it also outlives a power cut.
    Raises OSError, with a file's name, if it cannot be written; what stood there before still stands then.
    """
    target = Path(path)
    draft = target.parent / f".minigrad-{secrets.token_hex(8)}.tmp"
    try:
        with open(draft, "xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:  # a full disk
            raise OSError(error.errno, error.strerror, str(target)) from None
        raise
    if durable:
        _sync_folder(target.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file by :func:`whole_file`. What UTF-8 lacks becomes ``\\udcff``."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file by :func:`whole_file`."""
    with whole_file(path) as file:
        file.write(content)


def make_writable(folder: str | os.PathLike[str]) -> None:
    """Make a folder if it is not there. Raises OSError if it cannot be made, or if no file can be written into it."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    probe = place / f".minigrad-{secrets.token_hex(8)}.tmp"
    probe.touch()
    probe.unlink()


def remove_drafts(folder: str | os.PathLike[str]) -> None:
    """Remove what a kill in the middle of a write left in a folder that nobody else writes into."""
    for draft in Path(folder).glob(".*.tmp"):
        draft.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the move itself durable, where folders can be flushed (not on Windows)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
