"""One loop for one thread and for several: a kernel's work in shares.

A loop that knows which share of the work is its own runs as a whole, as share 0 of 1, or on several threads at once:

    @shared
    def double(t, parts, x, y):
        start, end = share(t, parts, x.size)
        for i in range(start, end):
            y[i] = 2 * x[i]

    double.launch(parts, (x, y))  # from Python; compiled functions call double(parts, (x, y))

:func:`minigrad.kernels.machine.threads.shares` says how many parts pay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import prange

from .compile import jit
from .parallel_for import again, at_most


@jit
def share(t: int, parts: int, n: int) -> Any:
    """Where share t of n things begins and ends."""
    return t * n // parts, (t + 1) * n // parts


def shared(function: Callable[..., None] | None = None, *, fixed: bool = False, allocates: bool = True) -> Any:
    """The kernel ``run(parts, arguments)`` that calls ``function(t, parts, *arguments)`` for each share t of ``parts``.

    A single share stays on the thread that calls: entering the pool of threads takes longer than many kernels do.
    ``fixed`` as in :func:`minigrad.kernels.machine.compile.jit`.
    """

    def compile_(f: Callable[..., None]) -> Any:
        loop = jit(f, allocates=allocates)

        def run(parts: int, arguments: Any) -> None:
            if parts == 1:
                loop(0, 1, *arguments)
            else:
                before = at_most(parts)
                for t in prange(parts):
                    loop(t, parts, *arguments)
                again(before)

        return jit(_named_as(f, run), parallel=True, fixed=fixed, allocates=False)

    return compile_ if function is None else compile_(function)


def shared_rows(function: Callable[..., None] | None = None, *, fixed: bool = False) -> Any:
    """The same of ``function(i, *arguments)``, which does row i of as many as the first argument has, and makes no
    arrays."""

    def compile_(f: Callable[..., None]) -> Any:
        row = jit(f, inline=True, allocates=False)

        def rows(t: int, parts: int, *arguments: Any) -> None:
            first, last = share(t, parts, arguments[0].shape[0])
            for i in range(first, last):
                row(i, *arguments)

        return shared(_named_as(f, rows), fixed=fixed, allocates=False)

    return compile_ if function is None else compile_(function)


def _named_as(function: Callable[..., None], made: Callable[..., None]) -> Callable[..., None]:
    """``made``, with the name of the function that it was made of: it names the file in the cache."""
    made.__module__, made.__name__ = function.__module__, function.__name__
    return made
