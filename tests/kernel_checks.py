"""What the tests of kernels share: one call with kernels and by the textbook, and arrays between guards."""

from __future__ import annotations

from collections.abc import Callable
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


class Context:
    """What a kernel pair wants of the node it runs for: which arguments need a gradient, and a place to save things."""

    def __init__(self, wanted: tuple[bool, ...]) -> None:
        self.edges = [True if w else None for w in wanted]
        self.saved: Any = ()
        self.scratch: Any = None

    def needs(self, i: int) -> bool:
        return self.edges[i] is not None
