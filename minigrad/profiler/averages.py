"""Events added up by op: the rows of the table, and their shares of the recorded time.

What is left of the wall time beside ops, optimizer, engine and scopes is a row too, "Python and the rest": modules, the
training loop, loading data, and the profiler's own work. So the rows add up to all of it.

The wall time is that of the thread that started the recording. Other threads run beside it: what they spend in ops and
scopes counts on top.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from typing import Any

from . import trace
from .events import FunctionEvent, Measured, events_of
from .records import BACKWARD, FORWARD, STEP, Recording, Shapes
from .table import Row, text

OP, REST = "op", "rest"
REST_NAME = "Python and the rest"
_SUMS = (
    *("cpu_time_total", "self_cpu_time_total", "device_time_total", "self_device_time_total"),
    *("cpu_memory_usage", "self_cpu_memory_usage", "device_memory_usage", "self_device_memory_usage", "flops"),
)
SORT_KEYS = ("count", "cpu_time", "device_time", *_SUMS, "forward_time", "backward_time", "share", "key")


@dataclass(eq=False, kw_only=True)
class FunctionEventAvg(Measured):
    """All events of an op, of an optimizer's method, or of scopes of one name, added up.

    Attributes:
        key: the op's name.
        category: "op", "optimizer", "engine", "scope", "step", or "rest" for what the wall time holds beside them.
        count: forward passes; backward passes if no forward pass was recorded.
        forward_time, backward_time: the self times of an op's passes, in µs; together ``self_cpu_time_total``.
        share: of the recorded time, 0 to 1. The shares of all rows add up to 1.
        shapes: the different ``op_shapes``, in the order of their first appearance.
    """

    forward_time: float = 0.0
    backward_time: float = 0.0
    share: float = 0.0
    shapes: list[Shapes] = field(default_factory=list)
    _ran: dict[str, set[str]] = field(default_factory=lambda: {FORWARD: set(), BACKWARD: set()}, repr=False)
    _calls: dict[str, int] = field(default_factory=dict, repr=False)

    def add(self, e: FunctionEvent) -> None:
        """Add an event."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(e, name))
        self._calls[e.category] = self._calls.get(e.category, 0) + 1
        self.count = self._calls.get(FORWARD) or self._calls[e.category]
        if e.category == STEP:  # a step's own time is the training loop's: it belongs to the rest
            self.self_cpu_time_total = 0.0
        if e.category == FORWARD:
            self.forward_time += e.self_cpu_time_total
        elif e.category == BACKWARD:
            self.backward_time += e.self_cpu_time_total
        if e.ran_by:
            self._ran[e.category].add(e.ran_by)
            if e.op_shapes not in self.shapes:
                self.shapes.append(e.op_shapes)

    @property
    def input_shapes(self) -> Any:
        """The shapes of the op's inputs if all calls had the same, else "", as in PyTorch."""
        return self.shapes[0] if len(self.shapes) == 1 else ""

    @property
    def ran_by(self) -> str:
        """ "kernel", "textbook" or "user", or the two passes apart: "kernel / textbook". "mixed" where calls differ."""
        passes = [next(iter(ran)) if len(ran) == 1 else "mixed" for ran in self._ran.values() if ran]
        return " / ".join(dict.fromkeys(passes))

    def row(self) -> Row:
        """The same as plain data, in seconds."""
        return Row(
            name=self.key,
            category=self.category,
            calls=self.count,
            forward=self.forward_time / 1e6,
            backward=self.backward_time / 1e6,
            seconds=self.self_cpu_time_total / 1e6,
            total=self.cpu_time_total / 1e6,
            share=self.share,
            bytes=self.self_cpu_memory_usage + self.self_device_memory_usage,
            flops=self.flops,
            shapes=self.shapes,
            ran_by=self.ran_by,
        )


class AverageList(list[FunctionEventAvg]):
    """The rows of the table, the largest share first."""

    def __init__(self, rows: list[FunctionEventAvg], by_shape: bool) -> None:
        super().__init__(sorted(rows, key=lambda row: -row.self_cpu_time_total))
        self.by_shape = by_shape
        for row in self:
            row.share = row.self_cpu_time_total / self.self_cpu_time_total

    @property
    def self_cpu_time_total(self) -> float:
        """All that was recorded, in µs: the wall time, and the time that other threads spent in ops and scopes."""
        return sum(row.self_cpu_time_total for row in self)

    def rows(self) -> list[Row]:
        """The rows as plain data: named tuples with name, category, calls, forward, backward, seconds, total, share,
        bytes, flops, shapes and ran_by. Times are in seconds."""
        return [row.row() for row in self]

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        time_unit: str | None = None,
    ) -> str:
        """The rows as text, to be printed.

        Args:
            sort_by: the largest first by any of PyTorch's keys ("cpu_time_total", "self_cpu_time_total", "count", …;
                "cuda_…" is the same as "device_…"), by "forward_time", "backward_time" or "share"; or by "key", the
                names from A to Z. None: by share.
            row_limit: how many rows; -1 for all.
            max_name_column_width, max_shapes_column_width: characters, beyond which a cell is cut off.
            header: a line above.
            time_unit: "s", "ms" or "us" for all times; None chooses one for each.

        Raises ValueError for an unknown ``sort_by`` or ``time_unit``.
        Source: torch.autograd.profiler_util.EventList.table; the columns are minigrad's own.
        """
        rows: list[FunctionEventAvg] = list(self)
        if sort_by is not None:
            key = _sort_key(sort_by)
            rows.sort(key=lambda row: getattr(row, key), reverse=key != "key")
        return text(
            [row.row() for row in rows],
            row_limit,
            self.by_shape,
            max_name_column_width,
            max_shapes_column_width,
            header,
            time_unit,
        )


def _sort_key(asked: str) -> str:
    """The attribute to sort by."""
    key = asked.replace("cuda_", "device_")
    if key in SORT_KEYS:
        return key
    near = difflib.get_close_matches(asked, SORT_KEYS, n=1, cutoff=0.0)
    raise ValueError(
        f"table: cannot sort by {asked!r}; did you mean {near[0]!r}? The keys are {', '.join(map(repr, SORT_KEYS))}"
    )


class EventList(list[FunctionEvent]):
    """The events of one or several recordings, in the order of their ends."""

    def __init__(self, recordings: list[Recording], with_flops: bool) -> None:
        super().__init__(e for r in recordings for e in events_of(r, recordings[0].begun, with_flops))
        self.recordings = recordings

    def key_averages(self, group_by_input_shapes: bool = False) -> AverageList:
        """The events added up by op; by op and shapes of its inputs if asked for."""
        rows: dict[Any, FunctionEventAvg] = {}
        wall = sum(r.ended - r.begun for r in self.recordings) / 1e3
        rest = FunctionEventAvg(key=REST_NAME, category=REST, count=0, self_cpu_time_total=wall)
        starters = {r.threads[r.thread][0] for r in self.recordings}
        for e in self:
            category = OP if e.category in (FORWARD, BACKWARD) else e.category
            group = (category, e.key, e.op_shapes if group_by_input_shapes else None)
            if group not in rows:
                rows[group] = FunctionEventAvg(key=e.key, category=category, count=0)
            rows[group].add(e)
            if e.category != STEP and e.thread in starters:
                rest.self_cpu_time_total -= e.self_cpu_time_total
        rest.cpu_time_total = rest.self_cpu_time_total
        return AverageList([*rows.values(), rest], group_by_input_shapes)

    @property
    def self_cpu_time_total(self) -> float:
        """The time spent in events, in µs."""
        return sum(e.self_cpu_time_total for e in self)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the events as a Chrome trace (:func:`minigrad.profiler.trace.write_trace`)."""
        trace.write_trace(self, self.recordings, path)
