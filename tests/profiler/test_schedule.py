"""Schedules: which steps are recorded."""

from __future__ import annotations

from itertools import product

import pytest
from profiler_support import names, row_of

import minigrad
from minigrad.autograd import Op
from minigrad.profiler import (
    ProfilerAction,
    profile,
    record_function,
    schedule,
)


def test_a_schedule_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for counts in product((0, 2), (1, 2), (1, 3), (0, 1, 2), (0, 3), (0, 1)):
        options = dict(
            zip(("wait", "warmup", "active", "repeat", "skip_first", "skip_first_wait"), counts, strict=True)
        )
        ours, theirs = schedule(**options), torch.profiler.schedule(**options)
        assert [ours(i).name for i in range(25)] == [theirs(i).name for i in range(25)], options


@pytest.mark.parametrize("name", ["wait", "warmup", "active", "repeat", "skip_first"])
def test_a_schedule_of_impossible_counts_is_refused(name: str) -> None:
    counts = {"wait": 1, "warmup": 1, "active": 1, name: -1}
    with pytest.raises(ValueError, match=f"schedule: {name} must be at least"):
        schedule(**counts)
    with pytest.raises(TypeError):
        schedule(**{**counts, name: 1.5})  # type: ignore[arg-type]


@pytest.mark.parametrize("together", [False, True])
def test_only_the_active_steps_are_recorded(together: bool) -> None:
    ready = []
    plan = schedule(wait=1, warmup=1, active=2, repeat=2)

    def note(p: profile) -> None:
        ready.append((p.step_num, [e.name for e in p.events() if e.category == "step"]))

    with profile(schedule=plan, on_trace_ready=note, acc_events=together) as p:
        for i in range(10):
            assert (Op.apply.__func__.__module__ == "minigrad.profiler.recorder") == (i % 4 > 0 and i < 8)
            minigrad.ones(i + 1).sin()
            p.step()
    first, second = (["ProfilerStep#2", "ProfilerStep#3"], ["ProfilerStep#6", "ProfilerStep#7"])
    assert ready == [(4, first), (8, first + second if together else second)]
    sizes = [e.input_shapes for e in p.events() if e.name == "Sin"]
    assert sizes == [((n,),) for n in ((3, 4, 7, 8) if together else (7, 8))]
    steps = row_of(p, "ProfilerStep*")
    assert (steps.calls, steps.seconds) == (len(sizes), 0.0)  # a step's own time is the rest's
    assert steps.total > 0
    rows = p.key_averages().rows()
    wall = sum(r.ended - r.begun for r in p.events().recordings) / 1e9
    assert sum(row.seconds for row in rows) == pytest.approx(wall)
    assert all(e.time_range.start >= 0 for e in p.events())


def test_what_began_in_the_warm_up_is_left_out() -> None:
    with profile(schedule=schedule(wait=0, warmup=1, active=1)) as p:
        minigrad.ones(1).sin()
        with record_function("from the warm-up on"):
            p.step()
            minigrad.ones(2).sin()
        p.step()
    assert names(p.events()) == ["Sin", "ProfilerStep#1"]
    assert p.events()[0].time_range.start >= 0


def test_the_end_of_the_block_ends_a_recording_too() -> None:
    ready: list[int] = []
    with profile(
        schedule=schedule(wait=0, warmup=1, active=5), on_trace_ready=lambda p: ready.append(len(p.events()))
    ) as p:
        p.step()
        minigrad.ones(2).sin()
    assert ready == [2]  # the op and its step
    with profile(schedule=schedule(wait=0, warmup=5, active=1), on_trace_ready=lambda p: ready.append(0)) as p:
        p.step()
    assert ready == [2]


def test_a_schedule_that_returns_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match=r"schedule\(0\) must return a ProfilerAction"):
        profile(schedule=lambda step: True).start()  # type: ignore[arg-type, return-value]
    with profile(schedule=lambda step: ProfilerAction.RECORD) as p:
        minigrad.ones(2).sin()
    assert names(p.events()) == ["Sin", "ProfilerStep#0"]
