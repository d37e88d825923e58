"""What was recorded, as a tree of events.

Who called whom follows from the times. A thread notes what ends, so a caller is noted after all that it called, and
these are the last ones noted that began after it did. An event's *self* time is its time without theirs; self times
therefore add up to the time that the thread spent in anything recorded.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from .records import BACKWARD, FORWARD, SCOPE, STEP, USER, Record, Recording, Shapes


class Interval(NamedTuple):
    """µs since the recording began."""

    start: float
    end: float

    def elapsed_us(self) -> float:
        return self.end - self.start


@dataclass(eq=False, kw_only=True)
class Measured:
    """What PyTorch calls the times (in µs) and the memory (in bytes) of an event, or of several.

    *Total* counts what was called inside too, *self* does not. The time of an op on a GPU, from its call until the GPU
    has come to rest, is its CPU time and its device time alike. Memory is that of the arrays that ops made: outputs
    and gradients; a view makes none. ``flops`` are its own.
    """

    key: str
    category: str
    count: int = 1
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    device_time_total: float = 0.0
    self_device_time_total: float = 0.0
    cpu_memory_usage: int = 0
    self_cpu_memory_usage: int = 0
    device_memory_usage: int = 0
    self_device_memory_usage: int = 0
    flops: int = 0

    @property
    def cpu_time(self) -> float:
        """Per call."""
        return self.cpu_time_total / max(self.count, 1)

    @property
    def device_time(self) -> float:
        """Per call."""
        return self.device_time_total / max(self.count, 1)


@dataclass(eq=False, kw_only=True)
class FunctionEvent(Measured):
    """One forward or backward pass of an op, one call of an optimizer or of the engine, or one scope.

    Attributes:
        name: ``Linear``, ``LinearBackward``, ``Optimizer.step#Adam.step``, or a scope's; ``key`` is that of the op.
        category: "forward", "backward", "optimizer", "engine", "scope" or "step".
        thread: the system's number of the thread.
        time_range: when, in µs since the recording began.
        input_shapes: of the tensors that came in; of a backward pass, of the gradients.
        op_shapes: of the op's inputs, for both passes; a backward pass whose forward pass was not recorded has its
            gradients' shapes here.
        ran_by: "kernel", "textbook", or "user" for a user's ``Function``; "" for other events.
        sequence_nr: the same number for both passes of an op that was recorded in the graph, else 0.
        note: what :class:`record_function` was given beside the name.
        cpu_parent, cpu_children: what it was called in, and what it called, in order.
    """

    name: str
    thread: int
    time_range: Interval
    input_shapes: Shapes = ()
    op_shapes: Shapes = ()
    ran_by: str = ""
    sequence_nr: int = 0
    note: str | None = None
    cpu_parent: FunctionEvent | None = field(default=None, repr=False)
    cpu_children: list[FunctionEvent] = field(default_factory=list, repr=False)

    @property
    def is_user_annotation(self) -> bool:
        return self.category in (SCOPE, STEP)


def events_of(recording: Recording, origin: int, with_flops: bool) -> list[FunctionEvent]:
    """The events of a recording in the order of their ends; the time ``origin`` (perf_counter_ns) counts as 0."""
    events = []
    forward = {r.order: r for r in recording.records if r.category == FORWARD and r.order}
    waiting: dict[int, list[FunctionEvent]] = defaultdict(list)  # by thread: those whose caller has not ended yet
    for r in recording.records:
        op = forward.get(r.order, r) if r.category == BACKWARD else r
        event = FunctionEvent(
            key="ProfilerStep*" if r.category == STEP else r.name,
            category=r.category,
            name=f"{r.name}Backward" if r.category == BACKWARD else r.name,
            thread=recording.threads[r.thread][0],
            time_range=Interval((r.start - origin) / 1e3, (r.end - origin) / 1e3),
            input_shapes=r.input_shapes,
            op_shapes=op.input_shapes,
            ran_by=r.ran_by,
            sequence_nr=-r.order,
            note=r.note,
        )
        before, start = waiting[r.thread], event.time_range.start
        inside = len(before)
        while inside and before[inside - 1].time_range.start >= start:
            inside -= 1
        event.cpu_children = before[inside:]
        for child in event.cpu_children:
            child.cpu_parent = event
        before[inside:] = [event]
        _add_up(event, r)
        if with_flops and op.category == FORWARD and op.ran_by != USER:
            event.flops = _flops(op) * (r.products if r.category == BACKWARD else 1)
        events.append(event)
    return events


def _add_up(event: FunctionEvent, r: Record) -> None:
    """Work out the times and bytes of an event whose children have theirs."""
    children = event.cpu_children
    event.cpu_time_total = event.time_range.elapsed_us()
    event.self_cpu_time_total = event.cpu_time_total - sum(c.cpu_time_total for c in children)
    event.self_device_time_total = event.self_cpu_time_total if r.gpu else 0.0
    event.device_time_total = event.self_device_time_total + sum(c.device_time_total for c in children)
    on_cpu = sum(c.cpu_memory_usage for c in children)
    on_device = sum(c.device_memory_usage for c in children)
    own = max(0, r.bytes - on_cpu - on_device)  # what an op returns may have been made by ops that it called
    event.self_cpu_memory_usage, event.self_device_memory_usage = (0, own) if r.gpu else (own, 0)
    event.cpu_memory_usage = on_cpu + event.self_cpu_memory_usage
    event.device_memory_usage = on_device + event.self_device_memory_usage


def _flops(forward: Record) -> int:
    """Two for each multiply-add of a product or a convolution; each of its gradients costs as much. 0 for other ops."""
    if len(forward.input_shapes) < 2:
        return 0
    x, w = forward.input_shapes[:2]
    outputs = math.prod(forward.output_shape)
    if forward.name == "MatMul":
        return 2 * outputs * x[-1]
    if forward.name in ("Conv2d", "Conv2dActivation", "Linear", "LinearActivation"):
        return 2 * outputs * math.prod(w[1:])  # each output is a sum over a row of the weight
    if forward.name == "ConvTranspose2d":
        return 2 * math.prod(x) * math.prod(w[1:])  # each input goes into a row of the weight's outputs
    if forward.name == "ConvWeight2d":
        return 2 * outputs * math.prod(w) // w[1]  # each weight meets every element of dy (N, O, H, W)
    return 0
