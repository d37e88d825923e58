"""The table as text."""

from __future__ import annotations

import re

import pytest
from profiler_support import random_like, row_of

import minigrad
from minigrad.profiler import profile


def test_the_table(recorded: profile) -> None:
    averages = recorded.key_averages()
    lines = averages.table(header="A header", time_unit="us").splitlines()
    assert lines[0] == "A header"
    assert lines[1].split() == [
        *("Name", "Calls", "Forward", "Backward", "Self", "Share", "Total", "Bytes"),
        "Ran",
        "by",
    ]
    shown = [re.split(r"\s{2,}", line)[0] for line in lines[3:-2]]
    assert shown == [row.key for row in averages]
    linear = next(line for line in lines if line.startswith("Linear "))
    assert re.search(r"^Linear +2 +[\d.,]+ µs +[\d.,]+ µs +[\d.,]+ µs +\d+\.\d% ", linear)
    assert re.fullmatch(r"Recorded: [\d.,]+ µs", lines[-1])
    by_name = averages.table(sort_by="key", row_limit=2, max_name_column_width=6).splitlines()
    assert [line.split()[0] for line in by_name[2:4]] == ["Accum…", "Linear"]
    assert by_name[-2] == f"{len(averages) - 2} more rows: row_limit=-1 shows them"
    with pytest.raises(ValueError, match="time_unit must be one of 's', 'ms', 'us'"):
        averages.table(time_unit="ns")


def test_shapes_and_memory_may_be_left_out() -> None:
    with profile(record_shapes=False, profile_memory=False) as p:
        x = minigrad.randn(3, requires_grad=True)
        y = x.sin()
        y.backward(random_like(y))
    row = row_of(p, "Sin")
    assert (row.shapes, row.bytes) == ([()], 0)
    assert "Bytes" not in p.key_averages().table()
    with pytest.raises(ValueError, match="record_shapes=True"):
        p.key_averages(group_by_input_shape=True)
    with pytest.raises(NotImplementedError, match="group_by_stack_n"):
        p.key_averages(group_by_stack_n=5)
