"""When the profiler records: beginning and ending, schedules, scopes, options; and that it leaves nothing behind."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from profiler_support import names, row_of

import minigrad
from minigrad.autograd import Function, Op
from minigrad.profiler import (
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)
from minigrad.profiler.recorder import Recorder
from minigrad.utils.data import DataLoader, Dataset


def test_an_exception_leaves_nothing_behind_and_keeps_what_was_recorded() -> None:
    x = minigrad.randn(3, requires_grad=True)
    p = profile()
    with pytest.raises(KeyError), p:
        {}[x.sin()]
    assert names(p.events())[0] == "Sin"


def test_an_op_that_fails_and_a_rule_that_fails() -> None:
    class Broken(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            raise ArithmeticError

    with profile() as p:
        with pytest.raises(minigrad.ShapeError):
            minigrad.ones(2) + minigrad.ones(3)
        y = Broken.apply(minigrad.randn(3, requires_grad=True))
        with pytest.raises(ArithmeticError):
            y.backward(minigrad.ones(3))
    assert names(p.events())[:3] == ["Add", "Clone", "Broken"]
    assert row_of(p, "Add").bytes == 0
    assert "backward" not in vars(y.grad_fn)
    with pytest.raises(ArithmeticError):
        y.backward(minigrad.ones(3))


def test_errors_are_those_that_come_without_a_profiler() -> None:
    class Careless(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            return [1.0]

    x = minigrad.zeros(3, requires_grad=True)
    with profile():
        with pytest.raises(TypeError, match=r"Careless.backward: gradient 0 is a list"):
            Careless.apply(x).backward(minigrad.ones(3))
        with minigrad.autograd.detect_anomaly():
            with pytest.raises(minigrad.AnomalyError, match=r"Log: .*minigrad.log\(x\)"):
                minigrad.log(x)
            y = x.sqrt()
            with pytest.raises(minigrad.AnomalyError, match=r"Sqrt: backward .*y = x.sqrt\(\)"):
                y.backward(minigrad.ones(3))
        y = x.exp()
        y += 1.0
        with pytest.raises(minigrad.GraphError, match="changed in place"):
            y.backward(minigrad.ones(3))


def test_a_second_profiler_is_refused() -> None:
    with profile() as p:
        with pytest.raises(RuntimeError, match="one at a time"):
            p.start()
        with pytest.raises(RuntimeError, match="one at a time"), profile():
            pass
        minigrad.ones(2).sin()
    assert names(p.events()) == ["Sin"]


def test_start_and_stop_by_hand_and_again() -> None:
    p = profile()
    with pytest.raises(RuntimeError, match="nothing is recorded yet"):
        p.events()
    with pytest.raises(RuntimeError, match=r"step\(\) belongs between"):
        p.step()
    for function, name in ((minigrad.sin, "Sin"), (minigrad.cos, "Cos")):
        p.start()
        function(minigrad.ones(2))
        p.stop()
        p.stop()
        assert names(p.events()) == [name]


def test_a_start_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("minigrad.profiler.recorder._family", None)
        with pytest.raises(TypeError), profile():
            pass


def test_a_callback_that_fails_leaves_nothing_behind() -> None:
    def fail(p: profile) -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError), profile(on_trace_ready=fail):
        minigrad.ones(2).sin()


@pytest.mark.parametrize(
    "option",
    [
        *({"with_stack": True}, {"with_modules": True}, {"experimental_config": object()}, {"use_cuda": True}),
        *(
            {"execution_trace_observer": object()},
            {"custom_trace_id_callback": str},
            {"post_processing_timeout_s": 1.0},
        ),
    ],
    ids=lambda option: next(iter(option)),
)
def test_an_option_that_is_not_in_minigrad_is_named(option: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError, match=next(iter(option))):
        profile(**option)


def test_activities() -> None:
    assert supported_activities() >= {ProfilerActivity.CPU}
    with pytest.raises(TypeError, match="'cpu'"):
        profile(activities=["cpu"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="activities is empty"):
        profile(activities=[])
    if ProfilerActivity.CUDA not in supported_activities():
        with pytest.warns(UserWarning, match="no GPU"):
            assert profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]).activities == {
                ProfilerActivity.CPU
            }


def test_scopes_nest_and_decorate() -> None:
    @record_function("decorated", "with a note")
    def work(n: int) -> Any:
        """Docs."""
        return work(n - 1) if n else minigrad.ones(2).sin()

    assert work.__doc__ == "Docs."
    work(1)  # while nothing is recorded
    with profile() as p, record_function("outer"):
        with pytest.raises(KeyError), record_function("inner"):
            raise KeyError
        work(1)
    events = p.events()
    assert names(events) == ["inner", "Sin", "decorated", "decorated", "outer"]
    assert names(events[-1].cpu_children) == ["inner", "decorated"]
    assert [e.note for e in events] == [None, None, "with a note", "with a note", None]
    assert all(e.is_user_annotation == (e.name != "Sin") for e in events)
    assert row_of(p, "decorated").calls == 2


def test_scopes_across_the_ends_of_a_recording_are_left_out() -> None:
    p = profile()
    with record_function("around"):
        p.start()
        p.stop()
        p.start()
        across = record_function("across")
        across.__enter__()
        p.stop()
        across.__exit__(None, None, None)
    assert names(p.events()) == []
    with pytest.raises(TypeError, match="name must be a string, got int"):
        record_function(3)  # type: ignore[arg-type]


class Watched(Dataset):
    """Says whether ops are recorded where its samples are made, and whether a profiler can be started there."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> Any:
        recording = Recorder.running is not None or "run" in Op.apply.__qualname__
        with profile() as p:
            minigrad.ones(2).exp()
        return recording, names(p.events()) == ["Exp"]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_begin_inside_are_not_recorded(workers: int) -> None:
    loader = DataLoader(Watched(), batch_size=2, num_workers=workers, persistent_workers=True)
    with profile() as p:
        inside = [[part.tolist() for part in batch] for batch in loader]
        minigrad.ones(2).exp()
    after = [[part.tolist() for part in batch] for batch in loader]
    assert inside == after == [[[False] * 2, [True] * 2]] * 2
    assert "Exp" in names(p.events())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_may_end_what_its_parent_began() -> None:
    with profile() as p:
        child = os.fork()
        if child == 0:
            p.stop()
            os._exit(int(Recorder.running is not None))
        minigrad.ones(2).exp()
    assert os.waitpid(child, 0)[1] == 0
    assert names(p.events()) == ["Exp"]


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
