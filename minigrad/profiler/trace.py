"""The events as Chrome's trace JSON, which https://ui.perfetto.dev and chrome://tracing draw as bars on a line of time.

Each event is a "complete" one ("ph": "X") with its begin and length in µs, on the line of its thread; what an event
called lies below it. Arrows lead from each op's forward pass to its backward pass. The format: "Trace Event Format", of
the Chromium project.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from .events import FunctionEvent
from .records import BACKWARD, ENGINE, FORWARD, OPTIMIZER, SCOPE, STEP, Recording

# PyTorch's names of categories, by which viewers choose colours.
CATEGORIES = {
    FORWARD: "cpu_op",
    BACKWARD: "cpu_op",
    ENGINE: "cpu_op",
    OPTIMIZER: "user_annotation",
    SCOPE: "user_annotation",
    STEP: "user_annotation",
}


def write_trace(events: Sequence[FunctionEvent], recordings: Sequence[Recording], path: str | os.PathLike[str]) -> None:
    """Write the trace to a file, compressed if its name ends in ".gz".

    Raises OSError where the file cannot be written.
    """
    made = json.dumps(
        {
            "schemaVersion": 1,
            "displayTimeUnit": "ms",
            "traceEvents": [*_thread_names(recordings), *_bars(events, recordings)],
        }
    )
    opener: Any = gzip.open if os.fspath(path).endswith(".gz") else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.write(made)


def _thread_names(recordings: Sequence[Recording]) -> Iterable[dict[str, Any]]:
    """What the process and its threads are called."""
    for pid in {r.pid for r in recordings}:
        yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": "minigrad"}}
    for pid, tid, name in {(r.pid, tid, name) for r in recordings for tid, name in r.threads.values()}:
        yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}


def _bars(events: Sequence[FunctionEvent], recordings: Sequence[Recording]) -> Iterable[dict[str, Any]]:
    pid = recordings[0].pid
    differentiated = {e.sequence_nr for e in events if e.category == BACKWARD and e.sequence_nr}
    for e in events:
        where = {"pid": pid, "tid": e.thread, "ts": e.time_range.start}
        yield {
            **{"ph": "X", "cat": CATEGORIES[e.category], "name": e.name, **where},
            **{"dur": e.time_range.elapsed_us(), "args": _details(e)},
        }
        if e.sequence_nr in differentiated:
            arrow = {"ph": "s"} if e.category == FORWARD else {"ph": "f", "bp": "e"}
            yield {**arrow, "cat": "fwdbwd", "name": "fwdbwd", "id": e.sequence_nr, **where}


def _details(e: FunctionEvent) -> dict[str, Any]:
    """What a viewer shows of a bar that is clicked."""
    details: dict[str, Any] = {}
    if e.input_shapes:
        details["Input Dims"] = e.input_shapes
    if e.ran_by:
        details["Ran by"] = e.ran_by
        details["Bytes"] = e.self_cpu_memory_usage + e.self_device_memory_usage
    if e.flops:
        details["flops"] = e.flops
    if e.sequence_nr:
        details["Sequence number"] = e.sequence_nr
    if e.note is not None:
        details["Note"] = e.note
    return details
