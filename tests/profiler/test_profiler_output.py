"""What the profiler shows: the table, plain rows, the trace; and that PyTorch's scripts find what they ask for."""

from __future__ import annotations

import gzip
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from profiler_support import network, random_like, row_of

import minigrad
from minigrad import nn
from minigrad.autograd import Function
from minigrad.profiler import profile, schedule, tensorboard_trace_handler

# --- what is shown ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded() -> profile:
    """Two steps of a small network."""
    _, _, step = network()
    with profile() as p:
        for _ in range(2):
            step()
    return p


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


def test_flops_of_products_and_convolutions() -> None:
    class Linear(Function):
        """A user's, of which nothing is known."""

        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            return x.exp()

    images, upstream = minigrad.randn(4, 2, 6, 6), minigrad.randn(4, 3, 4, 4)
    conv, back, linear = nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(3, 2, 3), nn.Linear(5, 7)
    a, b = minigrad.randn(2, 3, 4, requires_grad=True), minigrad.randn(2, 4, 5, requires_grad=True)
    with profile(with_flops=True, record_shapes=False) as p:
        conv(images).backward(upstream)
        back(upstream)
        y = linear(minigrad.randn(2, 3, 5, requires_grad=True))
        y.backward(random_like(y))
        z = a @ b
        z.backward(random_like(z))
        Linear.apply(a, b)
    flops = {row.name: row.flops for row in p.key_averages().rows() if row.flops}
    assert flops == {
        "Conv2d": 2 * 2 * (4 * 3 * 4 * 4) * (2 * 3 * 3),  # its images need no gradient
        "ConvTranspose2d": 2 * (4 * 3 * 4 * 4) * (2 * 3 * 3),
        "Linear": 3 * 2 * (2 * 3 * 7) * 5,
        "MatMul": 3 * 2 * (2 * 3 * 5) * 4,
    }
    assert "GFLOPs" in p.key_averages().table()


def test_an_event_prints_itself(recorded: profile) -> None:
    event = recorded.events()[0]
    assert event.name in repr(event)
    assert len(repr(event)) < 1000


# --- the trace --------------------------------------------------------------------------------------------------------


def trace_of(p: profile, path: Path) -> list[dict[str, Any]]:
    p.export_chrome_trace(path)
    raw = path.read_bytes()
    found: list[dict[str, Any]] = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)["traceEvents"]
    return found


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_the_trace(recorded: profile, tmp_path: Path, name: str) -> None:
    found = trace_of(recorded, tmp_path / name)
    bars = [e for e in found if e["ph"] == "X"]
    assert len(bars) == len(recorded.events())
    for bar, event in zip(bars, recorded.events(), strict=True):
        assert {"name", "cat", "ph", "pid", "tid", "ts", "dur", "args"} == set(bar)
        assert (bar["name"], bar["ts"], bar["dur"]) == (event.name, event.time_range.start, event.cpu_time_total)
        assert bar["dur"] >= 0
    meta = {(e["name"], e["args"]["name"]) for e in found if e["ph"] == "M"}
    assert meta == {("process_name", "minigrad"), ("thread_name", threading.current_thread().name)}
    assert {e["tid"] for e in found if e["ph"] == "M"} == {0, threading.get_native_id()}
    linear = next(bar for bar in bars if bar["name"] == "Linear")
    assert linear["args"]["Input Dims"][0] == [3, 8]
    assert linear["args"]["Ran by"] in ("kernel", "textbook")
    assert linear["args"]["Bytes"] == 3 * 2 * 4


def test_bars_lie_in_each_other_or_beside(recorded: profile, tmp_path: Path) -> None:
    bars = [e for e in trace_of(recorded, tmp_path / "trace.json") if e["ph"] == "X"]
    open_: list[dict[str, Any]] = []
    for bar in sorted(bars, key=lambda bar: (bar["ts"], -bar["dur"])):
        while open_ and open_[-1]["ts"] + open_[-1]["dur"] <= bar["ts"]:
            open_.pop()
        assert not open_ or bar["ts"] + bar["dur"] <= open_[-1]["ts"] + open_[-1]["dur"] + 1e-6
        open_.append(bar)


def test_arrows_lead_from_forward_to_backward(tmp_path: Path) -> None:
    x = minigrad.randn(3, requires_grad=True)
    with profile() as p:
        x.exp()  # never walked back
        x.sin().cos().backward(random_like(x))
    found = trace_of(p, tmp_path / "trace.json")
    starts = {e["id"]: e["ts"] for e in found if e["ph"] == "s"}
    ends = {e["id"]: e["ts"] for e in found if e["ph"] == "f"}
    bars = {e["ts"]: e["name"] for e in found if e["ph"] == "X"}
    assert starts.keys() == ends.keys()
    assert {bars[starts[i]]: bars[ends[i]] for i in starts} == {"Sin": "SinBackward", "Cos": "CosBackward"}


def test_a_trace_of_nothing_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="nothing is recorded"):
        profile().export_chrome_trace(tmp_path / "trace.json")
    assert not list(tmp_path.iterdir())


def test_a_handler_writes_a_file_a_recording(tmp_path: Path) -> None:
    for use_gzip, ending in ((False, "json"), (True, "json.gz")):
        folder = tmp_path / ending / "deep"
        plan = schedule(wait=0, warmup=0, active=1, repeat=2)
        with profile(schedule=plan, on_trace_ready=tensorboard_trace_handler(folder, "me", use_gzip)) as p:
            for _ in range(3):
                minigrad.ones(2).sin()
                p.step()
        files = sorted(folder.iterdir())
        assert [re.sub(r"\d+", "N", file.name) for file in files] == [f"me.N.pt.trace.{ending}"] * 2


# --- PyTorch's face ---------------------------------------------------------------------------------------------------

SCRIPT = """
import torch
import torch.nn as nn
from torch.profiler import ProfilerActivity, profile, record_function, schedule

model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
tables = []

def ready(prof):
    tables.append(prof.key_averages(group_by_input_shape=True).table(sort_by="self_cpu_time_total", row_limit=10))

with profile(
    activities=[ProfilerActivity.CPU],
    schedule=schedule(wait=1, warmup=1, active=2, repeat=1),
    on_trace_ready=ready,
    record_shapes=True,
    profile_memory=True,
) as prof:
    for _ in range(5):
        with record_function("forward"):
            loss = model(torch.randn(3, 4)).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        prof.step()
rows = prof.key_averages()
averages = {e.key: (e.count, e.cpu_time_total >= e.self_cpu_time_total >= 0, e.cpu_time > 0) for e in rows}
total = prof.key_averages().self_cpu_time_total
"""


def test_a_script_for_pytorch_runs_when_its_imports_are_renamed() -> None:
    seen = []
    for library in ("torch", "minigrad"):
        pytest.importorskip(library)
        source = re.sub(r"(?m)^import torch$", f"import {library} as torch", SCRIPT)
        source = re.sub(r"(?m)^(import|from) torch\b(?=[. ])", rf"\1 {library}", source)
        space: dict[str, Any] = {}
        exec(compile(source.replace("import torch as torch", "import torch"), "script", "exec"), space)
        assert len(space["tables"]) == 1
        assert "forward" in space["tables"][0]
        assert space["total"] > 0
        shared = ("forward", "ProfilerStep*", "Optimizer.step#SGD.step", "Optimizer.zero_grad#SGD.zero_grad")
        seen.append({key: space["averages"][key] for key in shared})
    assert seen[0] == seen[1]
