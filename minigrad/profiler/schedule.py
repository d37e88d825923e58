"""When to record: what the profiler does in each step of a training loop."""

from __future__ import annotations

import enum
import operator
from collections.abc import Callable


class ProfilerAction(enum.Enum):
    """What the profiler does in a step. Source: torch.profiler.ProfilerAction."""

    NONE = 0
    WARMUP = 1  # watch, and forget what was seen: the first watched step pays for caches that are still cold
    RECORD = 2
    RECORD_AND_SAVE = 3  # the last step of a recording: afterwards its events are there, and on_trace_ready is called


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """A cycle of ``wait`` steps without the profiler, ``warmup`` steps to warm up and ``active`` steps recorded.

    Args:
        wait, warmup: steps, 0 or more.
        active: steps, 1 or more.
        repeat: how many cycles; 0 goes on for ever.
        skip_first: steps before the first cycle.
        skip_first_wait: if not 0, the first cycle does not wait.

    Returns a function from the number of a step, from 0, to its :class:`ProfilerAction`.
    Raises ValueError for a count out of its range, and TypeError for one that is not an integer.
    Source: torch.profiler.schedule.
    """
    counts = {"wait": wait, "warmup": warmup, "active": active, "repeat": repeat, "skip_first": skip_first}
    for name, count in counts.items():
        least = 1 if name == "active" else 0
        if operator.index(count) < least:
            raise ValueError(f"schedule: {name} must be at least {least}, got {count}")
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise ValueError(f"schedule: steps count from 0, got {step}")
        if step < skip_first:
            return ProfilerAction.NONE
        cycle, position = divmod(step - skip_first + (wait if skip_first_wait else 0), length)
        if position < wait or (repeat and cycle >= repeat):
            return ProfilerAction.NONE
        if position < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if position < length - 1 else ProfilerAction.RECORD_AND_SAVE

    return action
