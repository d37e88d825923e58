"""Hooks on tensors: what they see, what they may change, and that nothing they keep changes under them."""

from __future__ import annotations

from typing import Any

import pytest
from op_suite import torch

import minigrad
from minigrad.errors import GraphError, ShapeError

BOTH = pytest.mark.parametrize("lib", [minigrad, torch], ids=["minigrad", "torch"])


def leaf(lib: Any) -> Any:
    return lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)


def g(lib: Any, *values: float) -> Any:
    return lib.tensor(values or (1.0, 10.0), dtype=lib.float64)


@BOTH
def test_a_hook_sees_the_whole_gradient_once(lib: Any) -> None:
    x = leaf(lib)
    y = x * 2
    seen: list[Any] = []
    y.register_hook(lambda d: seen.append(d.tolist()))
    x.register_hook(lambda d: seen.append(d.tolist()))
    (y * 3 + y).backward(g(lib))
    assert seen == [[4.0, 40.0], [8.0, 80.0]]


@BOTH
def test_a_hook_may_replace_the_gradient(lib: Any) -> None:
    x = leaf(lib)
    y = x * 2
    y.register_hook(lambda d: d * 10)
    x.register_hook(lambda d: d + 1)
    (y * 3).backward(g(lib))
    assert x.grad.tolist() == [61.0, 601.0]


@BOTH
def test_hooks_run_in_their_order_each_on_what_the_last_left(lib: Any) -> None:
    x = leaf(lib)
    x.register_hook(lambda d: d * 2)
    x.register_hook(lambda d: d + 1)  # handles that nobody keeps must not shadow each other
    x.register_hook(lambda d: None)
    (x * 1).backward(g(lib))
    assert x.grad.tolist() == [3.0, 21.0]


@BOTH
def test_a_removed_hook_is_silent(lib: Any) -> None:
    x = leaf(lib)
    y = x * 2
    one, two = y.register_hook(lambda d: d * 100), x.register_hook(lambda d: d * 100)
    y.register_hook(lambda d: d + 1)
    one.remove()
    two.remove()
    two.remove()
    (y * 1).backward(g(lib))
    assert x.grad.tolist() == [4.0, 22.0]


@BOTH
def test_hooks_before_and_after_a_change_in_place(lib: Any) -> None:
    x = leaf(lib)
    y = x * 2
    y.register_hook(lambda d: d * 10)  # of the old value
    y += 1
    y.register_hook(lambda d: d + 1)  # of the new one
    (y * 3).backward(g(lib))
    assert x.grad.tolist() == [80.0, 620.0]


@BOTH
def test_a_hook_on_one_of_several_outputs(lib: Any) -> None:
    x = leaf(lib)
    values, _ = x.sort(descending=True)
    values.register_hook(lambda d: d * 5)
    values.backward(g(lib))
    assert x.grad.tolist() == [50.0, 5.0]


@BOTH
def test_hooks_run_for_grad_too(lib: Any) -> None:
    x = leaf(lib)
    y = x * 2
    y.register_hook(lambda d: d * 10)
    x.register_hook(lambda d: d + 1)
    z = y * 3
    (dy,) = lib.autograd.grad(z, y, g(lib), retain_graph=True)
    (dx,) = lib.autograd.grad(z, x, g(lib))
    assert dy.tolist() == [30.0, 300.0]
    assert dx.tolist() == [61.0, 601.0]


@BOTH
def test_a_hook_under_create_graph_is_part_of_the_graph(lib: Any) -> None:
    x = leaf(lib)
    y = x * x
    y.register_hook(lambda d: d * d)
    w = g(lib).requires_grad_()
    (d,) = lib.autograd.grad(y, x, w, create_graph=True)  # w² · 2x
    d.backward(g(lib, 1.0, 1.0))
    assert x.grad.tolist() == [2.0, 200.0]
    assert w.grad.tolist() == [4.0, 80.0]


@BOTH
def test_what_a_hook_kept_stays_as_it_was(lib: Any) -> None:
    x = leaf(lib)
    kept: list[Any] = []
    y = x.clone()
    x.register_hook(kept.append)
    y.register_hook(kept.append)
    z = y * 2
    z.backward(g(lib), retain_graph=True)
    z.backward(g(lib))
    assert [k.tolist() for k in kept] == [[2.0, 20.0]] * 4
    for k in kept:
        k.zero_()
    assert x.grad.tolist() == [4.0, 40.0]


@BOTH
def test_what_a_hook_returns_is_not_held(lib: Any) -> None:
    x = leaf(lib)
    mine = g(lib, 7.0, 7.0)
    x.register_hook(lambda d: mine)
    (x * 1).backward(g(lib))
    mine.zero_()
    assert x.grad.tolist() == [7.0, 7.0]


@BOTH
def test_retain_grad(lib: Any) -> None:
    x = leaf(lib)
    y = x * 2
    y.retain_grad()
    y.retain_grad()  # twice is once
    (y * 3).backward(g(lib), retain_graph=True)
    assert y.grad.tolist() == [3.0, 30.0]
    (y * 3).backward(g(lib))
    assert y.grad.tolist() == [6.0, 60.0]
    x.retain_grad()  # a leaf keeps its gradient anyway
    assert x.grad.tolist() == [12.0, 120.0]


@BOTH
def test_retain_grad_keeps_what_the_hooks_made_of_it(lib: Any) -> None:
    x = leaf(lib)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda d: d * 10)
    (y * 3).backward(g(lib))
    assert y.grad.tolist() == [30.0, 300.0]


@BOTH
def test_retain_grad_follows_a_change_in_place(lib: Any) -> None:
    x = leaf(lib)
    y = x * 2
    y.retain_grad()
    y *= 3
    (y * 3).backward(g(lib))
    assert y.grad.tolist() == [3.0, 30.0]
    assert x.grad.tolist() == [18.0, 180.0]


def test_retain_grad_holds_nothing_back() -> None:
    x = leaf(minigrad)
    y = x * 2
    y.retain_grad()
    z = y * 3
    del y
    z.backward(g(minigrad))
    assert x.grad.tolist() == [6.0, 60.0]


def test_refusals() -> None:
    x = leaf(minigrad)
    with pytest.raises(GraphError, match="none will ever arrive"):
        minigrad.ones(2).register_hook(lambda d: None)
    with pytest.raises(GraphError, match="retain_grad"):
        minigrad.ones(2).retain_grad()
    x.register_hook(lambda d: minigrad.ones(3))
    with pytest.raises(ShapeError, match=r"gradient of shape \(2,\), got shape \(3,\)"):
        (x * 1).backward(g(minigrad))
    assert x.grad is None
