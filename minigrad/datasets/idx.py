"""The IDX files of MNIST: a magic number, the lengths of the axes, then bytes. Plain or gzipped."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from .limits import refuse_larger

_UNSIGNED_BYTE = 0x08
_BLOCK = 1 << 20  # bytes read at a time
_ADVICE = "delete it and get it again (download=True)"


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The array of bytes in an IDX file.

    Layout: bytes 0, 0, 8 (unsigned bytes), number of axes; then each axis' length as 4 bytes, the highest
    first; then the data. Raises ValueError, naming the file, where it is anything else, cut short or too large. No more
    is unpacked than the header asks for.
    Source: the MNIST page of Y. LeCun, C. Cortes and C. Burges.
    """
    try:
        with _opened(path) as file:
            shape = _shape(path, file, axes)
            size = math.prod(shape)
            length = path.stat().st_size
            if path.suffix != ".gz" and length != 4 + 4 * axes + size:
                raise _other_length(path, f"{length} bytes", shape, 4 + 4 * axes + size)
            data = bytearray()
            while len(data) < size and (block := file.read(min(size - len(data), _BLOCK))):
                data += block
            if len(data) < size or file.read(1):  # at the end gzip's checksum is compared
                held = f"{4 + 4 * axes + len(data)} bytes" if len(data) < size else "more bytes"
                raise _other_length(path, held, shape, 4 + 4 * axes + size)
    except (EOFError, gzip.BadGzipFile, zlib.error, MemoryError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); {_ADVICE}") from None
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def is_whole(path: Path, axes: int) -> bool:
    """Whether a file's length is what its header asks for: not cut short, without reading it.

    A gzipped file tells the length of what it holds (modulo 2³²) in its last 4 bytes.
    """
    try:
        with _opened(path) as file:
            size = 4 + 4 * axes + math.prod(_shape(path, file, axes))
        if path.suffix != ".gz":
            return path.stat().st_size == size
        with open(path, "rb") as packed:
            packed.seek(-4, os.SEEK_END)
            return int.from_bytes(packed.read(4), "little") == size
    except (ValueError, EOFError, OSError, zlib.error):
        return False


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")


def _shape(path: Path, file: Any, axes: int) -> tuple[int, ...]:
    """The lengths of the axes by the header, which is read."""
    header = file.read(4 + 4 * axes)
    if len(header) < 4 + 4 * axes or header[:4] != bytes([0, 0, _UNSIGNED_BYTE, axes]):
        raise ValueError(
            f"{path} is not an IDX file of bytes with {axes} axes: it begins with "
            f"{header[:4].hex(' ') or 'nothing'}, expected 00 00 08 {axes:02x}; {_ADVICE}"
        )
    shape = tuple(int(n) for n in np.frombuffer(header, dtype=">u4", offset=4))
    refuse_larger(path, math.prod(shape), f"asks in its header (shape {shape}) for")
    return shape


def _other_length(path: Path, held: str, shape: tuple[int, ...], size: int) -> ValueError:
    return ValueError(f"{path} holds {held}, but its header (shape {shape}) asks for {size}; {_ADVICE}")
