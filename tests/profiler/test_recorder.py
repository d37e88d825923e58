"""What the profiler records of ops, optimizers, threads and a GPU, and that it adds up to the wall time."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import cuda_double
import numpy as np
import pytest
from profiler_support import names, network, random_like, row_of

import minigrad
from minigrad import nn
from minigrad.autograd import Function, Op
from minigrad.kernels import Kernel
from minigrad.profiler import ProfilerActivity, profile, record_function


class Twice(Function):
    """2x, by an op."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2.0

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy * 2.0


# --- what is recorded -------------------------------------------------------------------------------------------------


def test_each_pass_is_recorded_with_shapes_and_bytes() -> None:
    layer, x = nn.Linear(4, 2), minigrad.randn(3, 4)
    with profile() as p:
        for _ in range(5):
            y = layer(x)
            y.backward(random_like(y))
    row = row_of(p, "Linear")
    assert (row.category, row.calls, row.shapes) == ("op", 5, [((3, 4), (2, 4), (2,))])
    assert row.bytes == 5 * 4 * (3 * 2 + 2 * 4 + 2)  # the output, and the gradients of weight and bias
    assert row.forward > 0
    assert row.backward > 0
    assert row.seconds == pytest.approx(row.forward + row.backward)
    forward, backward = (next(e for e in p.events() if e.name == name) for name in ("Linear", "LinearBackward"))
    assert (forward.input_shapes, backward.input_shapes) == (((3, 4), (2, 4), (2,)), ((3, 2),))
    assert (forward.self_cpu_memory_usage, backward.self_cpu_memory_usage) == (24, 40)
    assert forward.sequence_nr == backward.sequence_nr > 0


def test_views_and_gradients_passed_on_make_no_bytes() -> None:
    a, b = (minigrad.randn(3, 4, requires_grad=True) for _ in range(2))
    upstream = minigrad.randn(12)
    with profile() as p:
        (a + b).reshape(12).backward(upstream)
    assert (row_of(p, "Add").bytes, row_of(p, "Reshape").bytes) == (48, 0)


def test_an_op_of_several_outputs() -> None:
    x = minigrad.randn(1, 2, 4, 4, requires_grad=True)
    with profile() as p:
        values, _ = nn.functional.max_pool2d(x, 2, return_indices=True)
        values.backward(random_like(values))
    forward, backward = (e for e in p.events() if e.key == "MaxPool2d")
    assert (forward.name, backward.name) == ("MaxPool2d", "MaxPool2dBackward")
    assert forward.sequence_nr == backward.sequence_nr > 0
    assert forward.self_cpu_memory_usage == 2 * 2 * 2 * (4 + 8)  # floats, and their indices
    assert backward.self_cpu_memory_usage == 2 * 4 * 4 * 4


@pytest.mark.parametrize("ran_by", ["kernel", "textbook"])
def test_kernel_or_textbook_with_and_without_a_graph(ran_by: str) -> None:
    x, upstream = minigrad.randn(1000, requires_grad=True), minigrad.randn(1000)
    with profile() as p, contextlib.nullcontext() if ran_by == "kernel" else minigrad.kernels.disabled():
        with minigrad.no_grad():
            x.sigmoid()
        x.sigmoid().backward(upstream)
    assert (row_of(p, "Sigmoid").calls, row_of(p, "Sigmoid").ran_by) == (2, ran_by)
    assert [e.ran_by for e in p.events() if e.key == "Sigmoid"] == [ran_by] * 3


def test_passes_and_calls_that_ran_differently_are_told_apart() -> None:
    x, upstream = minigrad.randn(1000, requires_grad=True), minigrad.randn(1000)
    with profile() as p:
        y = x.sigmoid()
        with minigrad.kernels.disabled():
            y.backward(upstream)
    assert row_of(p, "Sigmoid").ran_by == "kernel / textbook"
    with profile() as p:
        x.sigmoid()
        with minigrad.kernels.disabled():
            x.sigmoid()
    assert row_of(p, "Sigmoid").ran_by == "mixed"


def test_a_graph_made_before_is_seen_on_the_way_back() -> None:
    x = minigrad.randn(3, requires_grad=True)
    y = x.sin()
    with profile() as p:
        y.backward(random_like(y))
    row = row_of(p, "Sin")
    assert (row.calls, row.forward, row.shapes) == (1, 0.0, [((3,),)])
    assert row.backward > 0


def test_a_graph_walked_twice_and_after_the_end() -> None:
    x, upstream = minigrad.randn(1000, requires_grad=True), minigrad.randn(1000)
    with profile() as p:
        y = x.sigmoid()
        kernel = y.grad_fn.kernel
        for _ in range(2):
            y.backward(upstream, retain_graph=True)
    assert kernel is not None
    assert y.grad_fn.kernel is kernel
    assert "backward" not in vars(y.grad_fn)
    y.backward(upstream)
    s = 1 / (1 + np.exp(-x.detach().numpy()))
    np.testing.assert_allclose(x.grad.numpy(), 3 * s * (1 - s) * upstream.numpy(), rtol=1e-4, atol=1e-6)
    assert names(p.events()).count("SigmoidBackward") == 2


def test_a_kernel_that_leaves_the_way_back_to_the_textbook() -> None:
    class Triple(Op):
        @staticmethod
        def compute(x: Any) -> Any:
            return x * 3.0

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            return dy * 3.0

    class OnlyForward(Kernel):
        def load(self) -> Kernel:
            self.compute = Triple.compute
            return self

    Triple.on_cpu = OnlyForward("", "", "cpu")
    with profile() as p:
        Triple.apply(minigrad.randn(3, requires_grad=True)).backward(minigrad.ones(3))
    assert [(e.name, e.ran_by) for e in p.events() if e.key == "Triple"] == [
        ("Triple", "kernel"),
        ("TripleBackward", "textbook"),
    ]


def test_the_numbers_are_the_same() -> None:
    model, _, _ = network()
    x, upstream = minigrad.randn(3, 4), minigrad.randn(3, 2)
    grads = []
    for watch in (contextlib.nullcontext(), profile()):
        with watch:
            model.zero_grad()
            model(x).backward(upstream)
        grads.append([w.grad.clone() for w in model.parameters()])
    assert all(minigrad.equal(a, b) for a, b in zip(*grads, strict=True))


# --- how it adds up ---------------------------------------------------------------------------------------------------


def test_self_times_add_up_to_the_wall_time() -> None:
    _, _, step = network()
    with profile() as p:
        for _ in range(3):
            with record_function("step"):
                step()
    rows, (recording,) = p.key_averages().rows(), p.events().recordings
    wall = (recording.ended - recording.begun) / 1e9
    assert sum(row.share for row in rows) == pytest.approx(1.0)
    assert sum(row.seconds for row in rows) == pytest.approx(wall)
    assert p.key_averages().self_cpu_time_total == pytest.approx(wall * 1e6)
    assert all(row.seconds >= 0 for row in rows)
    assert {row.category for row in rows} == {"op", "optimizer", "engine", "scope", "rest"}
    assert row_of(p, "Python and the rest").seconds > 0
    assert [row.share for row in rows] == sorted((row.share for row in rows), reverse=True)


def test_what_an_op_calls_is_its_child_and_counts_once() -> None:
    x = minigrad.randn(3, requires_grad=True)
    with profile() as p, record_function("scope"):
        y = Twice.apply(x)
        y.backward(random_like(y))
    events = {e.name: e for e in p.events()}
    forward = events["Twice"]
    assert forward.ran_by == "user"
    assert names(forward.cpu_children) == ["Mul"]
    assert forward.cpu_children[0].cpu_parent is forward
    assert forward.cpu_parent is events["scope"]
    assert names(events["TwiceBackward"].cpu_children) == ["Mul"]
    assert names(events["backward (walk)"].cpu_children) == ["TwiceBackward"]
    assert (forward.cpu_memory_usage, forward.self_cpu_memory_usage) == (12, 0)  # made by Mul
    for e in p.events():
        inside = sum(child.cpu_time_total for child in e.cpu_children)
        assert e.self_cpu_time_total == pytest.approx(e.cpu_time_total - inside)
        assert 0 <= e.self_cpu_time_total <= e.cpu_time_total
    row = row_of(p, "Mul")
    assert (row.calls, row.backward) == (2, 0.0)  # once on the way, once on the way back


def test_second_derivatives() -> None:
    x = minigrad.randn(4, dtype=minigrad.float64, requires_grad=True)
    v = minigrad.randn(4, dtype=minigrad.float64)
    with profile() as p:
        (g,) = minigrad.autograd.grad(x.sin(), x, v, create_graph=True)
        g.backward(v)
    np.testing.assert_allclose(x.grad.numpy(), -np.sin(x.detach().numpy()) * v.numpy() ** 2, rtol=1e-12)
    first = next(e for e in p.events() if e.name == "SinBackward")
    assert "Cos" in names(first.cpu_children)
    assert names(p.events()).count("backward (walk)") == 2
    assert {"MulBackward", "CosBackward"} <= set(names(p.events()))


def test_hooks_run_and_their_ops_are_seen() -> None:
    x = minigrad.randn(3, requires_grad=True)
    seen = []
    with profile() as p:
        y = x.sin()
        y.register_hook(lambda g: g * 3.0)
        x.register_hook(lambda g: seen.append(g.tolist()))
        y.cos().backward(minigrad.ones(3))
    a = x.detach().numpy()
    np.testing.assert_allclose(x.grad.numpy(), -np.sin(np.sin(a)) * 3 * np.cos(a), rtol=1e-5)
    assert len(seen) == 1
    mul = next(e for e in p.events() if e.name == "Mul")
    assert mul.cpu_parent is not None
    assert mul.cpu_parent.name == "backward (walk)"


def test_a_walk_inside_a_walk() -> None:
    x = minigrad.randn(3, requires_grad=True)
    y = x.sin()
    upstream = random_like(y)
    with profile() as p:
        z = y.cos()
        z.register_hook(lambda g: y.backward(upstream, retain_graph=True))
        z.backward(minigrad.ones(3))
    walks = [e for e in p.events() if e.name == "backward (walk)"]
    assert walks[0].cpu_parent is walks[1]
    assert names(p.events()).count("SinBackward") == 2
    assert "backward" not in vars(y.grad_fn)


def test_a_change_in_place_is_seen_on_the_way_back() -> None:
    x = minigrad.randn(3, requires_grad=True)
    with profile() as p:
        y = x * 1.0
        y[0] = 5.0
        y.backward(random_like(y))
    assert any(e.category == "backward" and e.name != "MulBackward" for e in p.events())
    assert x.grad[0].item() == 0.0


def test_the_optimizer_and_its_closure() -> None:
    model, optimizer, _ = network()
    x = minigrad.randn(3, 4)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        return loss

    with profile() as p:
        assert optimizer.step(closure).item() > 0
    step = next(e for e in p.events() if e.name == "Optimizer.step#Adam.step")
    assert names(step.cpu_children)[0] == "Optimizer.zero_grad#Adam.zero_grad"
    assert {"Linear", "Sum", "backward (walk)"} <= set(names(step.cpu_children))
    row = row_of(p, "Optimizer.step#Adam.step")
    assert (row.category, row.calls, row.forward, row.backward) == ("optimizer", 1, 0.0, 0.0)
    assert row.seconds < row.total


def test_an_optimizer_of_ones_own_that_calls_super_steps_once() -> None:
    class Mine(minigrad.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    optimizer = Mine([minigrad.zeros(2, requires_grad=True)], lr=0.1)
    with profile() as p:
        optimizer.step()
    assert row_of(p, "Optimizer.step#Mine.step").calls == 1
    assert "profile" not in repr(Mine.step)


def test_threads_are_recorded_each_for_itself() -> None:
    x = minigrad.randn(3)
    go = threading.Barrier(2)

    def work() -> None:
        go.wait(10)
        with record_function("in the thread"):
            x.sin()
        go.wait(10)

    thread = threading.Thread(target=work, name="worker")
    with profile() as p:
        thread.start()
        with record_function("beside it"):
            go.wait(10)
            x.cos()
            go.wait(10)
        thread.join()
    events = {e.name: e for e in p.events()}
    assert events["Sin"].thread == events["in the thread"].thread != events["Cos"].thread
    assert events["Sin"].cpu_parent is events["in the thread"]
    assert names(events["beside it"].cpu_children) == ["Cos"]
    (recording,) = p.events().recordings
    wall, other = (recording.ended - recording.begun) / 1e3, events["in the thread"].cpu_time_total
    assert p.key_averages().self_cpu_time_total == pytest.approx(wall + other)
    assert "worker" in [name for _, name in recording.threads.values()]


# --- the GPU, on a double ---------------------------------------------------------------------------------------------


def test_on_a_gpu_the_clock_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with monkeypatch.context() as patch:
            cuda_double.install(patch)
            waits: list[int] = []
            patch.setattr(minigrad.cuda, "synchronize", lambda: waits.append(1))
            x = minigrad.randn(3, device="cuda", requires_grad=True)
            with profile() as p:
                minigrad.ones(3).cos()
                assert not waits
                y = x.sin()
                assert len(waits) == 2
                y.backward(minigrad.ones(3, device="cuda"))
                assert len(waits) == 2 + 2 + 4  # around the rule, the walk and the delivery
            rows = {row.key: row for row in p.key_averages()}
            assert rows["Cos"].device_time_total == 0.0
            assert rows["Sin"].self_device_time_total == rows["Sin"].self_cpu_time_total > 0
            assert rows["backward (walk)"].device_time_total == rows["Sin"].backward_time
            assert (rows["Sin"].self_cpu_memory_usage, rows["Sin"].self_device_memory_usage) == (0, 24)
            waits.clear()
            with profile(activities=[ProfilerActivity.CPU]) as p:
                x.sin()
            assert not waits
            assert {row.key: row for row in p.key_averages()}["Sin"].device_time_total == 0.0
    finally:
        cuda_double.uninstall()
