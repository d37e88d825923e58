"""Memory for large results, kept from one training step to the next.

The operating system hands out memory in pages that it has to clear first, and takes back what ``free`` returns when it
is large. A layer that makes 30 MB afresh in every step so pays for 8,000 page faults each time, often more than for
its arithmetic. But every step of a training loop asks for the same sizes again. So a block that is no longer used waits
here for the next request of its size.

What waits never takes more than what once was in use at the same time: after each request the blocks that have waited
longest are given back until blocks in use and blocks waiting together fit into that peak.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
import threading
from collections import OrderedDict
from typing import Any

import numpy as np

SMALLEST = 1 << 20  # bytes: below this malloc reuses its memory by itself
_ALIGNMENT = 64  # bytes: a vector register, a line of the cache
_FLOAT32 = np.dtype(np.float32)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's names for them, in malloc.h


class _Lease:
    """The owner of one array's memory: when the array and all views of it are gone, the block goes back."""

    __slots__ = ("__array_interface__", "block")

    def __init__(self, block: Any, interface: dict[str, Any]) -> None:
        self.block = block
        self.__array_interface__ = interface

    def __del__(self) -> None:
        _store.put(self.block)


class _Store:
    def __init__(self) -> None:
        # Re-entrant: the garbage collector may end a lease while this very thread is in here.
        self.lock = threading.RLock()
        self.waiting: OrderedDict[int, list[Any]] = OrderedDict()  # by size, the size asked for last at the end
        self.in_use = self.idle = self.peak = 0  # bytes

    def take(self, size: int) -> Any:
        with self.lock:
            blocks = self.waiting.get(size)
            if blocks:
                self.waiting.move_to_end(size)
                self.idle -= size
                block = blocks.pop()
            else:
                block = None
            self.in_use += size
            self.peak = max(self.peak, self.in_use)
            self.shrink(self.peak)
        return np.empty(size + _ALIGNMENT, np.uint8) if block is None else block

    def put(self, block: Any) -> None:
        size = block.nbytes - _ALIGNMENT
        with self.lock:
            self.in_use -= size
            self.idle += size
            self.waiting.setdefault(size, []).append(block)

    def shrink(self, limit: int) -> None:
        """Give waiting blocks back, those of the size not asked for longest first, until all fit into ``limit``."""
        while self.idle and self.in_use + self.idle > limit:
            size, blocks = next(iter(self.waiting.items()))
            if blocks:
                blocks.pop()
                self.idle -= size
            else:
                del self.waiting[size]


_store = _Store()
if hasattr(os, "register_at_fork"):  # a forked child must not find the lock taken by a thread that it has not
    os.register_at_fork(
        before=_store.lock.acquire, after_in_parent=_store.lock.release, after_in_child=_store.lock.release
    )


def empty(shape: tuple[int, ...]) -> Any:
    """An uninitialized C-contiguous float32 array, as ``np.empty``; a large one may lie in memory used before."""
    size = 4 * math.prod(shape)
    if size < SMALLEST:
        return np.empty(shape, _FLOAT32)
    block = _store.take(size)
    address: int = block.__array_interface__["data"][0]
    address += -address % _ALIGNMENT
    lease = _Lease(block, {"shape": shape, "typestr": _FLOAT32.str, "data": (address, False), "version": 3})
    return np.asarray(lease)


def owns_memory(array: Any) -> bool:
    """Whether a NumPy array holds memory of its own, from ``np.empty`` or from :func:`empty`, and is no view."""
    return array.base is None or array.base.__class__ is _Lease


def keep_freed_memory() -> None:
    """Ask the C library to keep what is freed below SMALLEST, too, instead of giving it back page by page.

    glibc returns freed memory as soon as some hundred kilobytes lie at the end of its heap. In a training step that
    happens over and over: half a millisecond of page faults in a step of three, for arrays of a few hundred kilobytes
    and for the kernels' scratch memory. Other C libraries have no such setting, and whoever has chosen by the
    environment (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_) keeps that choice.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)


def release() -> int:
    """Give all waiting memory back to the system; returns the bytes."""
    with _store.lock:
        given = _store.idle
        _store.peak = _store.in_use
        _store.shrink(0)
    return given
