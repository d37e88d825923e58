"""The rows of the table: keys and order."""

from __future__ import annotations

import re

import pytest
from profiler_support import random_like

import minigrad
from minigrad import nn
from minigrad.profiler import profile

PYTORCHS_KEYS = [
    *("cpu_time", "cuda_time", "cpu_time_total", "cuda_time_total", "self_cpu_time_total", "self_cuda_time_total"),
    *("cpu_memory_usage", "cuda_memory_usage", "self_cpu_memory_usage", "self_cuda_memory_usage", "count"),
    *("device_time_total", "self_device_time_total"),
]


@pytest.mark.parametrize("key", [*PYTORCHS_KEYS, "forward_time", "backward_time", "share"])
def test_the_table_is_sorted_by_a_key(recorded: profile, key: str) -> None:
    averages = recorded.key_averages()
    lines = averages.table(sort_by=key, row_limit=-1).splitlines()[2:-2]
    shown = [re.split(r"\s{2,}", line)[0] for line in lines]
    values = {row.key: getattr(row, key.replace("cuda", "device")) for row in averages}
    assert sorted(shown) == sorted(values)
    assert [values[name] for name in shown] == sorted(values.values(), reverse=True)


def test_an_unknown_key_is_answered_with_the_nearest(recorded: profile) -> None:
    with pytest.raises(ValueError, match="'self_cpu_time'; did you mean 'self_cpu_time_total'"):
        recorded.key_averages().table(sort_by="self_cpu_time")


def test_rows_by_shape() -> None:
    a, b = nn.Linear(4, 2), nn.Linear(2, 4)
    with profile() as p:
        for _ in range(2):
            y = b(a(minigrad.randn(3, 4)))
            y.backward(random_like(y))
    apart = {row.key: row for row in p.key_averages()}["Linear"]
    assert (apart.count, apart.input_shapes, len(apart.shapes)) == (4, "", 2)
    rows = [row for row in p.key_averages(group_by_input_shape=True) if row.key == "Linear"]
    assert {row.input_shapes for row in rows} == {((3, 4), (2, 4), (2,)), ((3, 2), (4, 2), (4,))}
    for row in rows:  # each with both passes
        assert row.count == 2
        assert row.forward_time > 0
        assert row.backward_time > 0
    assert "(3, 4), (2, 4), (2,)" in p.key_averages(group_by_input_shape=True).table()
