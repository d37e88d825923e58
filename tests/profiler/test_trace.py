"""The trace for viewers."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from profiler_support import random_like

import minigrad
from minigrad.profiler import profile


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
