"""What the tests of kernels share: one call with kernels and by the textbook, and arrays between guards."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad import kernels

Array = np.ndarray[Any, Any]
UNIT = 2.0**-24  # the rounding of one float32 operation
GUARD = 4096 + 1  # numbers before and behind a guarded array; odd, so that it begins at no vector's boundary
SENTINEL = 0x7FC0BEEF  # a NaN that no arithmetic makes


def draw(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


def run(function: Callable[..., Any], arrays: list[Array], upstream: Array) -> list[Array]:
    """The output of ``function`` and the gradients of its arguments."""
    tensors = [minigrad.from_numpy(a).requires_grad_() for a in arrays]
    y = function(*tensors)
    y.backward(minigrad.from_numpy(upstream))
    return [y.detach().numpy(), *[t.grad.numpy() for t in tensors]]


def both_ways(function: Callable[..., Any], *arrays: Array, seed: int = 0) -> tuple[list[Array], list[Array]]:
    """Output and gradients with kernels, and by the textbook in float64; the upstream gradient is random."""
    exact_arrays = [a.astype(np.float64) for a in arrays]
    with kernels.disabled():
        shape = function(*[minigrad.from_numpy(a) for a in exact_arrays]).shape
        upstream = draw(np.random.default_rng(seed), *shape)
        exact = run(function, exact_arrays, upstream.astype(np.float64))
    return run(function, list(arrays), upstream), exact


class Guards:
    """Arrays that lie in the middle of larger ones. What reads beyond an array meets NaN; what writes is found."""

    def __init__(self) -> None:
        self.rooms: list[tuple[Array, int]] = []

    def empty(self, shape: Any, dtype: Any = np.float32) -> Array:
        """As ``np.empty``, full of NaN."""
        shape = shape if isinstance(shape, tuple) else (shape,)
        size = int(np.prod(shape))
        room = np.full(size + 2 * GUARD, SENTINEL, np.uint32)
        self.rooms.append((room, size))
        return room[GUARD : GUARD + size].view(dtype).reshape(shape)

    def around(self, array: Array) -> Array:
        """A copy of ``array``."""
        copy = self.empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    def check(self) -> None:
        """Nothing beside an array was written, and nothing in one was left as it was."""
        for room, size in self.rooms:
            assert (room[:GUARD] == SENTINEL).all(), "written before an array"
            assert (room[GUARD + size :] == SENTINEL).all(), "written behind an array"
            assert (room[GUARD : GUARD + size] != SENTINEL).all(), "a number was not written"
        self.rooms.clear()


class Fences(Guards):
    """Arrays that end, or begin, where memory that nobody may touch begins or ends: even a number that is read and
    thrown away then ends the process."""

    protect = ctypes.CDLL(None).mprotect if sys.platform.startswith("linux") else None

    def __init__(self) -> None:
        super().__init__()
        self.at_end = True

    def empty(self, shape: Any, dtype: Any = np.float32) -> Array:
        shape = shape if isinstance(shape, tuple) else (shape,)
        size, page = 4 * int(np.prod(shape)), mmap.PAGESIZE
        pages = -(-size // page)
        memory = mmap.mmap(-1, (pages + 2) * page)
        whole = np.frombuffer(memory, np.uint8)
        for fence in (0, pages + 1):
            assert self.protect is not None
            assert not self.protect(ctypes.c_void_p(whole.ctypes.data + fence * page), ctypes.c_size_t(page), 0)
        self.at_end = not self.at_end
        start = page + (pages * page - size if self.at_end else 0)
        array = whole[start : start + size].view(dtype)
        array.view(np.uint32)[:] = SENTINEL
        self.rooms.append((array, 0))
        return array.reshape(shape)

    def check(self) -> None:
        for array, _ in self.rooms:
            assert (array.view(np.uint32) != SENTINEL).all(), "a number was not written"
        self.rooms.clear()


def passes_between_fences(test: str) -> None:
    """Run a test that uses the fixture ``guards`` in a process of its own, with fences in their place."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run(
        command, cwd=root, env={**os.environ, "FENCES": "1"}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]


class ByKernel:
    """One use of an op's CPU kernel, both ways, whatever the op's arguments would choose."""

    def __init__(self, op: Any, needs: tuple[bool, ...] = (True, True, True)) -> None:
        kernel = op.on_cpu
        kernel.load()
        self.kernel, self.node = kernel, op()
        self.node.edges = [True if needed else None for needed in needs]

    def forward(self, *args: Any) -> Any:
        """The output, or NotImplemented."""
        result = self.kernel.compute(*args)
        return result if result is NotImplemented else self.node.keep(self.node, result, *args)

    def backward(self, dy: Any) -> Any:
        """The gradients, or NotImplemented."""
        return self.kernel.gradients(self.node.needs, dy, *self.node.saved, *self.node.options)
