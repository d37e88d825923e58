"""The profiler's records: one :class:`Record` for each thing that took time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

FORWARD, BACKWARD, OPTIMIZER, ENGINE, SCOPE, STEP = "forward", "backward", "optimizer", "engine", "scope", "step"
KERNEL, TEXTBOOK, USER = "kernel", "textbook", "user"  # what ran: a kernel, the op's own arithmetic, a user's Function
WALK, DELIVER = "backward (walk)", "AccumulateGrad"  # the engine's own work

Shapes = tuple[tuple[int, ...], ...]


class Record(NamedTuple):
    """One thing that took time, as it was noted at its end. Times are ``time.perf_counter_ns``."""

    category: str
    name: str
    thread: int
    start: int
    end: int
    note: str | None = None  # what record_function was given beside the name
    input_shapes: Shapes = ()  # of the tensors that came in; backward: of the gradients
    output_shape: tuple[int, ...] = ()  # forward, if flops are asked for: of the first tensor that came out
    bytes: int = 0  # of the arrays that it made; a view makes none
    ran_by: str = ""
    order: int = 0  # the number of the op's node, which its forward and its backward share; 0 without a node
    products: int = (
        0  # backward, if flops are asked for: for how many of the op's first two arguments it made a gradient
    )
    gpu: bool = False


@dataclass(frozen=True)
class Recording:
    """What one recorder has seen between ``begun`` and ``ended`` (perf_counter_ns)."""

    records: list[Record]
    begun: int
    ended: int
    thread: int  # the one that started it, whose time is the wall time; numbers count from 0
    threads: dict[int, tuple[int, str]]  # number → (the system's id, name)
    pid: int
