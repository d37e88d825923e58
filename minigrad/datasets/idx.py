"""The IDX files of MNIST: a magic number, the lengths of the axes, then bytes. Plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The array of bytes in an IDX file.

    Layout: bytes 0, 0, 8 (unsigned bytes), number of axes; then each axis' length as 4 bytes, the highest
    first; then the data. Raises ValueError, naming the file, where it is anything else or cut short.
    Source: the MNIST page of Y. LeCun, C. Cortes and C. Burges.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and get it again (download=True)") from None
    header = 4 + 4 * axes
    if len(raw) < header or raw[:4] != bytes([0, 0, _UNSIGNED_BYTE, axes]):
        raise ValueError(
            f"{path} is not an IDX file of bytes with {axes} axes: it begins with "
            f"{raw[:4].hex(' ') or 'nothing'}, expected 00 00 08 {axes:02x}; delete it and get it again "
            "(download=True)"
        )
    shape = tuple(int(n) for n in np.frombuffer(raw, dtype=">u4", count=axes, offset=4))
    expected = header + int(np.prod(shape, dtype=np.int64))
    if len(raw) != expected:
        raise ValueError(
            f"{path} holds {len(raw)} bytes, but its header (shape {shape}) asks for {expected}; delete it "
            "and get it again (download=True)"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape).copy()
