"""Kernels are loaded late, can be switched off at any moment, and never change what a program means."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels

ROOT = Path(__file__).resolve().parents[2]


def test_the_switch_nests_and_goes_back() -> None:
    assert kernels.enabled()
    with kernels.disabled():
        assert not kernels.enabled()
        with kernels.disabled():
            assert not kernels.enabled()
        assert not kernels.enabled()
    assert kernels.enabled()
    with pytest.raises(KeyError), kernels.disabled():
        raise KeyError
    assert kernels.enabled()


def test_the_switch_belongs_to_its_thread() -> None:
    # two threads whose blocks overlap, the first to enter being the first to leave
    entered, may_leave, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        seen.append(kernels.enabled())
        with kernels.disabled():
            entered.set()
            may_leave.wait(10)
            seen.append(kernels.enabled())
        seen.append(kernels.enabled())

    thread = threading.Thread(target=other)
    with kernels.disabled():
        thread.start()
        entered.wait(10)
    assert kernels.enabled()
    may_leave.set()
    thread.join()
    assert seen == [True, False, True]
    assert kernels.enabled()


def test_ops_ask_their_own_thread() -> None:
    x = minigrad.ones(64, 50, requires_grad=True)
    used: list[Any] = []

    def run() -> None:
        used.append(F.silu(x).grad_fn.kernel)

    with kernels.disabled():
        run()
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    run()
    assert used[0] is None
    assert used[1] is used[2] is not None


def loss_of(x: Any, w: Any) -> Any:
    return F.cross_entropy(F.silu(F.linear(x, w)).tanh() + minigrad.ones(40), minigrad.arange(64) % 40)


@pytest.mark.parametrize(("forward", "backward"), [(True, True), (True, False), (False, True), (False, False)])
def test_either_backward_follows_either_forward(forward: bool, backward: bool) -> None:
    rng = np.random.default_rng(0)
    x, w = (
        minigrad.tensor(rng.standard_normal(s).astype(np.float32), requires_grad=True) for s in ((64, 50), (40, 50))
    )
    before = kernels.switch.on
    try:
        kernels.switch.on = forward
        loss = loss_of(x, w)
        kernels.switch.on = backward
        loss.backward()
    finally:
        kernels.switch.on = before
    exact_x, exact_w = (minigrad.tensor(t.detach().numpy().astype(np.float64), requires_grad=True) for t in (x, w))
    exact = loss_of(exact_x, exact_w)
    exact.backward()
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
    np.testing.assert_allclose(x.grad.numpy(), exact_x.grad.numpy(), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(w.grad.numpy(), exact_w.grad.numpy(), rtol=1e-3, atol=1e-6)


def test_second_derivatives_after_a_kernels_forward() -> None:
    x = minigrad.randn(40, 40, requires_grad=True)
    y = F.softmax(F.gelu(x) + minigrad.ones(40), 1).sigmoid()
    (g,) = minigrad.autograd.grad(y, x, minigrad.ones_like(y), create_graph=True)
    (h,) = minigrad.autograd.grad((g * g).sum(), x)
    z = minigrad.tensor(x.detach().numpy().astype(np.float64), requires_grad=True)
    y = F.softmax(F.gelu(z) + minigrad.ones(40), 1).sigmoid()
    (g,) = minigrad.autograd.grad(y, z, minigrad.ones_like(y), create_graph=True)
    (exact,) = minigrad.autograd.grad((g * g).sum(), z)
    np.testing.assert_allclose(h.numpy(), exact.numpy(), rtol=1e-2, atol=1e-6)


def test_walking_twice_over_kernels() -> None:
    x = minigrad.randn(64, 40, requires_grad=True)
    loss = F.cross_entropy(x, minigrad.arange(64) % 40) + F.mse_loss(x.sigmoid(), minigrad.zeros(64, 40))
    loss.backward(retain_graph=True)
    once = x.grad.numpy().copy()
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * once, rtol=1e-6)
    with pytest.raises(minigrad.GraphError, match="retain_graph"):
        loss.backward()


def test_changes_in_place_are_seen_past_kernels() -> None:
    x = minigrad.randn(64, 64, requires_grad=True)
    for f in (F.sigmoid, F.silu, lambda y: F.softmax(y, 1), lambda y: y @ y, lambda y: F.mse_loss(y, y.detach() + 1)):
        y = x * 1.0
        z = f(y)
        y += 1
        z += 1
        with pytest.raises(minigrad.GraphError, match="changed in place"):
            z.backward(minigrad.ones_like(z))


def test_a_load_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where Ctrl-C comes while Numba is imported."""
    kernel = kernels.Kernel("pointwise.activation", "relu", "cpu")
    x = np.linspace(-1, 1, 2048, dtype=np.float32)

    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("minigrad.kernels.registry.importlib.import_module", interrupted)
        with pytest.raises(KeyboardInterrupt):
            kernel.compute(x)
    assert not kernel.loaded
    np.testing.assert_array_equal(kernel.compute(x), np.maximum(x, 0))
    assert kernel.loaded


def test_an_unknown_kernel_is_named() -> None:
    with pytest.raises(KeyError, match=r"activation.nonsense.*relu"):
        kernels.find("pointwise.activation.nonsense").load()


def run(program: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_numba_is_loaded_when_a_kernel_is_needed_and_not_before() -> None:
    program = """
import sys, minigrad
print("numba" in sys.modules)
x = minigrad.randn(3, 4, requires_grad=True)
((x * x + x).exp() / 2 - x.relu()).softmax(1).mean().backward()
print("numba" in sys.modules)
with minigrad.kernels.disabled():
    minigrad.randn(100, 100).sigmoid()
print("numba" in sys.modules)
minigrad.randn(3, 4) @ minigrad.randn(4, 3)
print("numba" in sys.modules)
"""
    assert run(program).split() == ["False", "False", "False", "True"]


def test_the_number_of_threads() -> None:
    before = kernels.get_num_threads()
    try:
        kernels.set_num_threads(1)
        assert minigrad.get_num_threads() == 1
        x = minigrad.randn(300, 300)
        one = (F.softmax(x, 1), x.sigmoid(), F.log_softmax(x, 1))
        kernels.set_num_threads(2)
        two = (F.softmax(x, 1), x.sigmoid(), F.log_softmax(x, 1))
        for a, b in zip(one, two, strict=True):
            assert a.tolist() == b.tolist()
        for bad in (0, -1, 1.5, True, "2"):
            with pytest.raises(ValueError, match="positive integer"):
                kernels.set_num_threads(bad)  # type: ignore[arg-type]
        assert kernels.get_num_threads() == 2
    finally:
        kernels.set_num_threads(before)
