"""A progress bar over steps, which Ctrl-C ends after the current step."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from ..interrupts import calls_on_interrupt
from ..terminal import fitting, is_terminal, say

T = TypeVar("T")


class Progress(Generic[T]):
    """Iterate over steps with a progress bar (tqdm's, on stderr); Ctrl-C ends the iteration after the current step.

        steps = Progress(range(1000), "training")
        for step in steps:
            ...
            if step % 100 == 0:
                steps.show(loss=loss.item())
        if steps.interrupted: ...

    A step costs about 0.1 µs: the bar is drawn a few times a second, or every ten seconds if stderr is not a terminal;
    without a stderr there is no bar. A second Ctrl-C raises KeyboardInterrupt.

    Args:
        items: what to iterate over.
        label: text before the bar.
        total: the number of items; ``len(items)`` if None and known.
    Attributes:
        interrupted: whether Ctrl-C was pressed.
        last: the item of the last step, if it was interrupted.
    """

    def __init__(self, items: Iterable[T], label: str = "", total: int | None = None) -> None:
        self.items = items
        self.label = label
        self.total = total
        self.interrupted = False
        self.last: T | None = None
        self._bar: Any = None

    def __iter__(self) -> Iterator[T]:
        from tqdm import tqdm

        pause = 0.2 if is_terminal(sys.stderr) else 10.0  # seconds between drawings
        bar = tqdm(
            self.items,
            desc=fitting(self.label, sys.stderr) or None,
            total=self.total,
            mininterval=pause,
            dynamic_ncols=True,
            disable=sys.stderr is None,
        )
        with calls_on_interrupt(self._stop), bar:
            self._bar = bar
            for item in bar:
                yield item
                if self.interrupted:
                    self.last = item
                    break
        self._bar = None

    def show(self, **metrics: float) -> None:
        """Show metrics after the bar when it is next drawn: `show(loss=0.25)`."""
        if self._bar is not None:
            text = ", ".join(f"{k} {v:.4g}" for k, v in metrics.items())
            self._bar.set_postfix_str(fitting(text, sys.stderr), refresh=False)

    def say(self, text: str) -> None:
        """Print a line (to stdout) above the bar."""
        if self._bar is not None and is_terminal(sys.stderr) and sys.stdout is not None:
            self._bar.write(fitting(text))
        else:  # in a log file the bar is drawn rarely, and need not move out of the way
            say(text)

    def _stop(self) -> None:
        self.interrupted = True
