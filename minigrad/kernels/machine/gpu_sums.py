"""Sums on the GPU (``machine.cu``), cut into parts so that there is work for all of it."""

from __future__ import annotations

import math
from typing import Any

from .gpu import THREADS, contiguous, empty, launch, launch_each, up

BLOCKS = 1024  # a channel's numbers are cut into parts until there are about as many blocks
SMALLEST_PART = 8 * THREADS  # numbers of a part, below which another block does not pay


def parts_of(channels: int, numbers: int) -> tuple[int, int]:
    """(parts, the length of each) into which to cut each channel's numbers; the last may be shorter."""
    length = up(numbers, max(1, min(up(BLOCKS, channels), numbers // SMALLEST_PART)))
    return up(numbers, length), length


def add_parts(partial: Any, sums: Any) -> Any:
    """sums = Σ partial over its first axis; returns sums."""
    launch_each("machine", "add_parts", sums.size, sums, (partial, sums, sums.size, partial.shape[0]))
    return sums


def over_channels(x: Any) -> Any:
    """Σ x of shape (N, C, …) over all axes but the channels'."""
    n, channels, places = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    parts, length = parts_of(channels, n * places)
    sums = empty((channels,), x)
    partial = empty((parts, channels), x) if parts > 1 else sums
    args = contiguous(x), partial, n, channels, places, length
    launch("machine", "sum_channels", (channels, parts), (THREADS,), x, args)
    return add_parts(partial, sums) if parts > 1 else sums
