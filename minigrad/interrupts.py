"""Ctrl-C held back during what must not stop half-way, such as a change of weights, or turned into a call."""

from __future__ import annotations

from _signal import (  # without the enums of `signal`, whose conversions take microseconds
    SIGINT,
    default_int_handler,
    getsignal,
    signal,
)
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any


class HeldBack:
    """``with HeldBack():`` runs its block to the end; a Ctrl-C that came meanwhile acts after it.

    Python runs the handlers of signals in the main thread between any two instructions, so that KeyboardInterrupt could
    come between two parameters. In another thread nothing is needed, and nothing is done; nor where Ctrl-C has no
    handler in Python.
    """

    _handler: Any = None  # what Ctrl-C does outside the block; None: nothing that Python could do
    _came: Any = None  # the arguments for it, once it came

    def _remember(self, *arguments: Any) -> None:
        self._came = arguments

    def __enter__(self) -> None:
        handler = getsignal(SIGINT)
        if callable(handler):
            try:
                signal(SIGINT, self._remember)
            except ValueError:  # not the main thread
                return
            self._handler = handler

    def __exit__(self, *error: object) -> None:
        if self._handler is not None:
            signal(SIGINT, self._handler)
            if self._came is not None:
                self._handler(*self._came)


@contextmanager
def calls_on_interrupt(first: Callable[[], None]) -> Iterator[None]:
    """Call ``first`` at the first Ctrl-C; a second one acts as usual. Only the main thread gets signals."""
    if current_thread() is not main_thread():
        yield
        return
    before = getsignal(SIGINT) or default_int_handler  # None: not set from Python

    def once(number: int, frame: Any) -> None:
        first()
        signal(SIGINT, before)

    signal(SIGINT, once)
    try:
        yield
    finally:
        signal(SIGINT, before)
