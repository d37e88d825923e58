"""Switches: no_grad and its kin, as context managers and decorators; anomaly detection."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad.errors import AnomalyError

BOTH = pytest.mark.parametrize("lib", [minigrad, torch], ids=["minigrad", "torch"])


def leaf(lib: Any, *values: float) -> Any:
    return lib.tensor(values or (1.0, 2.0), dtype=lib.float64, requires_grad=True)


@BOTH
def test_nesting(lib: Any) -> None:
    x = leaf(lib)
    with lib.no_grad():
        assert not (x * 2).requires_grad
        with lib.enable_grad():
            assert (x * 2).requires_grad
            with lib.set_grad_enabled(False):
                assert not (x * 2).requires_grad
            assert (x * 2).requires_grad
        assert not lib.is_grad_enabled()
    with lib.inference_mode():
        assert lib.is_inference_mode_enabled()
        assert not (x * 2).requires_grad
    with lib.inference_mode(False):
        assert (x * 2).requires_grad
    assert lib.is_grad_enabled()


@BOTH
def test_the_switch_goes_back_after_an_error(lib: Any) -> None:
    for mode in (lib.no_grad, lib.inference_mode, lambda: lib.set_grad_enabled(False)):
        with pytest.raises(KeyError), mode():
            raise KeyError
        assert lib.is_grad_enabled()


@BOTH
def test_one_object_entered_twice(lib: Any) -> None:
    mode = lib.no_grad()
    with mode:
        pass
    with mode:
        assert not lib.is_grad_enabled()
    assert lib.is_grad_enabled()


@BOTH
def test_decorators(lib: Any) -> None:
    @lib.no_grad()
    def one(x):
        """Says what it does."""
        return (x * 2).requires_grad

    @lib.no_grad
    def two(x):
        return (x * 2).requires_grad

    @lib.inference_mode()
    def three(x):
        return (x * 2).requires_grad

    @lib.set_grad_enabled(False)
    def four(x):
        return (x * 2).requires_grad

    assert lib.is_grad_enabled()
    x = leaf(lib)
    assert [f(x) for f in (one, two, three, four)] == [False] * 4
    assert one.__doc__ == "Says what it does."
    assert lib.is_grad_enabled()

    @lib.no_grad()
    def countdown(n):
        if n:
            countdown(n - 1)
        return lib.is_grad_enabled()

    assert countdown(3) is False
    with lib.no_grad():

        @lib.enable_grad()
        def five(x):
            return (x * 2).requires_grad

        assert five(x)
        assert not lib.is_grad_enabled()


@BOTH
def test_decorated_generators_switch_only_while_they_run(lib: Any) -> None:
    @lib.no_grad()
    def numbers():
        for i in range(2):
            yield i, lib.is_grad_enabled()

    for _, inside in numbers():
        assert not inside
        assert lib.is_grad_enabled()


@BOTH
def test_set_grad_enabled_as_a_call(lib: Any) -> None:
    try:
        lib.set_grad_enabled(False)
        assert not lib.is_grad_enabled()
    finally:
        lib.set_grad_enabled(True)
    assert lib.is_grad_enabled()


@BOTH
def test_a_leaf_may_change_under_no_grad(lib: Any) -> None:
    w = leaf(lib)
    memory = w.detach().numpy()
    (w * w).sum().backward()
    with lib.no_grad():
        w -= 0.1 * w.grad
        w[0] += 1.0
        w.mul_(2.0)
    assert w.requires_grad
    assert w.is_leaf
    np.testing.assert_allclose(w.detach().numpy(), [3.6, 3.2])
    np.testing.assert_allclose(memory, [3.6, 3.2])


# --- anomaly detection -----------------------------------------------------------------------------------------------


def test_the_first_bad_number_is_named_with_the_line_that_made_it() -> None:
    x = minigrad.tensor([1.0, -1.0], requires_grad=True)
    with minigrad.autograd.detect_anomaly(), pytest.raises(AnomalyError, match=r"Log.*NaN") as caught:
        x.exp().sub(1.0).log()  # here
    assert __file__ in str(caught.value)
    assert "# here" in str(caught.value)
    assert "test_the_first_bad_number" in str(caught.value)


def test_infinities_are_found_too() -> None:
    x = minigrad.tensor([1.0, 0.0], requires_grad=True)
    with minigrad.autograd.detect_anomaly(), pytest.raises(AnomalyError, match=r"Div.*infinity"):
        1.0 / x


@pytest.mark.filterwarnings("ignore:invalid value")
def test_infinities_that_came_in_are_no_fault() -> None:
    mask = minigrad.tensor([[0.0, -np.inf], [-np.inf, 0.0]])
    x = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    with minigrad.autograd.detect_anomaly():
        y = (x + mask).softmax(1)
        y.backward(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
        z = mask * 0.0  # NaN, but not out of finite numbers
    assert y.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert np.isnan(z.numpy()).any()


def test_a_nan_that_came_in_is_named_where_it_is_met() -> None:
    data = minigrad.tensor([1.0, 2.0, np.nan])
    with minigrad.autograd.detect_anomaly(), pytest.raises(AnomalyError, match=r"Mul: argument 0.*NaN already.*\(2,\)"):
        data * minigrad.ones(3, requires_grad=True)


def test_a_bad_gradient_is_named_with_the_line_of_its_op() -> None:
    x = minigrad.tensor([4.0, 0.0], requires_grad=True)
    with minigrad.autograd.detect_anomaly():
        y = x.sqrt()  # the root
        with pytest.raises(AnomalyError, match=r"Sqrt: backward made a.*infinity.*argument 0") as caught:
            y.backward(minigrad.tensor([1.0, 1.0]))
    assert "# the root" in str(caught.value)
    assert x.grad is None


def test_a_users_op_is_named() -> None:
    class Half(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x / 2

        @staticmethod
        def backward(ctx, dy):
            return minigrad.from_numpy(dy.numpy() * np.nan)

    x = minigrad.ones(2, requires_grad=True)
    with minigrad.autograd.detect_anomaly():
        y = Half.apply(x)
        with pytest.raises(AnomalyError, match=r"Half: backward made a NaN"):
            y.backward(minigrad.ones(2))


def test_without_it_nothing_is_checked_and_it_ends_with_its_block() -> None:
    x = minigrad.tensor([-1.0], requires_grad=True)
    with minigrad.autograd.detect_anomaly():
        assert minigrad.autograd.is_anomaly_enabled()
    assert not minigrad.autograd.is_anomaly_enabled()
    assert np.isnan(x.log().item())


def test_healthy_numbers_are_the_same_under_it() -> None:
    results = []
    for mode in (minigrad.autograd.detect_anomaly(), minigrad.enable_grad()):
        x = minigrad.tensor([0.5, 2.0], requires_grad=True)
        with mode:
            y = (x.log() * x).exp().sum()
            y.backward()
        results.append((y.item(), x.grad.tolist()))
    assert results[0] == results[1]


def test_an_array_changed_in_place_is_named_with_both_places() -> None:
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    with minigrad.autograd.detect_anomaly():
        y = x * 1.0
        z = y.exp() * y  # the product
        y += 1  # the change
        with pytest.raises(RuntimeError) as caught:
            z.backward(minigrad.ones(2))
    assert "# the product" in str(caught.value)
    assert "# the change" in str(caught.value)
    assert "add_" in str(caught.value)


def test_set_detect_anomaly_as_a_call_and_as_a_block() -> None:
    minigrad.autograd.set_detect_anomaly(True)
    try:
        with pytest.raises(AnomalyError):
            minigrad.tensor([0.0]).log()
        with minigrad.autograd.set_detect_anomaly(False):
            minigrad.tensor([0.0]).log()
        assert minigrad.autograd.is_anomaly_enabled()
    finally:
        minigrad.autograd.set_detect_anomaly(False)
    minigrad.tensor([0.0]).log()


def test_it_belongs_to_its_thread() -> None:
    # two threads whose blocks overlap, the first to enter being the first to leave
    entered, may_leave, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        seen.append(minigrad.autograd.is_anomaly_enabled())
        with minigrad.autograd.detect_anomaly():
            entered.set()
            may_leave.wait(10)
            seen.append(minigrad.autograd.is_anomaly_enabled())
        seen.append(minigrad.autograd.is_anomaly_enabled())

    thread = threading.Thread(target=other)
    with minigrad.autograd.detect_anomaly():
        thread.start()
        entered.wait(10)
    assert not minigrad.autograd.is_anomaly_enabled()
    may_leave.set()
    thread.join()
    assert seen == [False, True, False]
    assert not minigrad.autograd.is_anomaly_enabled()


def test_gradcheck_does_not_end_it() -> None:
    x = minigrad.tensor([2.0], dtype=minigrad.float64, requires_grad=True)
    with minigrad.autograd.detect_anomaly():
        assert minigrad.autograd.gradcheck(lambda x: x * x, x)
        assert minigrad.autograd.is_anomaly_enabled()
        with pytest.raises(AnomalyError):
            minigrad.tensor([0.0]).log()
    assert not minigrad.autograd.is_anomaly_enabled()
