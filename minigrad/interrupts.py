"""Ctrl-C held back during what must not stop half-way: a change of weights, the compiling of a kernel."""

from __future__ import annotations

from _signal import SIGINT, getsignal, signal  # without the enums of `signal`, whose conversions take microseconds
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
