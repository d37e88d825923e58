"""A finished step leaves nothing: no cycle for the collector, no array, and flat memory."""

from __future__ import annotations

import contextlib
import gc
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.nn.functional as F


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def weights() -> list[Any]:
    return [minigrad.randn(*s, requires_grad=True) for s in ((8, 4), (8,), (3, 8), (3,))]


def loss_of(params: list[Any]) -> Any:
    w1, b1, w2, b2 = params
    x = minigrad.randn(16, 4)
    h = F.relu(F.linear(x, w1, b1)) + 0.0
    h[0] = 0.0
    h += 0.1
    v = h[1:3]
    v *= 2.0
    return F.cross_entropy(F.dropout(F.linear(h, w2, b2), 0.1), minigrad.randint(0, 3, (16,)))


STEPS = {
    "backward": lambda p: loss_of(p).backward(),
    "grad": lambda p: minigrad.autograd.grad(loss_of(p), p),
    "unused graph": lambda p: loss_of(p),
    "retained graph": lambda p: loss_of(p).backward(retain_graph=True),
    "create_graph": lambda p: [g.sum() for g in minigrad.autograd.grad(loss_of(p), p, create_graph=True)],
    "hooks": lambda p: _with_hooks(p),
    "own op": lambda p: _own_op(p[0]).backward(minigrad.ones(8, 4)),
    "an error": lambda p: _with_error(p),
    "second derivatives": lambda p: (
        (minigrad.autograd.grad((p[0] ** 3).sum(), p[0], create_graph=True)[0] ** 2).sum().backward()
    ),
    "sort and indices": lambda p: (p[0].sort(1).values * p[0].max(1, keepdim=True).values).sum().backward(),
    "anomaly": lambda p: _with_anomaly(p),
}


def _with_hooks(p: list[Any]) -> None:
    y = p[0] * 2
    y.register_hook(lambda g: g * 2)
    y.retain_grad()
    y.sum().backward()


class _Double(minigrad.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x * 2
        ctx.save_for_backward(x, y)
        ctx.mark_non_differentiable(x > 0)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, y = ctx.saved_tensors
        return dy * 2 + 0 * x * y


_own_op = _Double.apply


def _with_error(p: list[Any]) -> None:
    with contextlib.suppress(minigrad.ShapeError):
        (p[0] * 2) @ p[0]


def _with_anomaly(p: list[Any]) -> None:
    with minigrad.autograd.detect_anomaly():
        loss_of(p).backward()


@pytest.mark.parametrize("name", STEPS)
def test_a_step_leaves_nothing_for_the_collector(name: str, no_collector: None) -> None:
    params = weights()
    for _ in range(3):  # what is made once (caches, first gradients) is made here
        STEPS[name](params)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(20):
        STEPS[name](params)
    grown = len(gc.get_objects()) - before
    assert gc.collect() == 0
    assert grown < 20


@pytest.mark.parametrize("walk", [True, False], ids=["walked", "not walked"])
def test_loss_and_graph_die_with_the_last_name(walk: bool, no_collector: None) -> None:
    params = weights()
    loss = loss_of(params)
    died = [weakref.ref(loss), weakref.ref(loss.grad_fn), weakref.ref(loss._array)]
    if walk:
        loss.backward()
    del loss
    assert [r() for r in died] == [None] * 3


def test_arrays_are_given_back_during_the_walk(no_collector: None) -> None:
    x = minigrad.ones(4, requires_grad=True)
    y = x.exp()
    saved = weakref.ref(y._array)
    z = (y * 2).sum()
    del y
    assert saved() is not None
    z.backward()
    assert saved() is None


def test_views_do_not_pile_up_on_their_base() -> None:
    base = minigrad.zeros(10)
    for _ in range(5000):
        base[3]
    assert base._views is None or len(base._views) < 100
    y = minigrad.ones(10, requires_grad=True) * 1.0
    for i in range(300):
        y[i % 10] += 1.0
    assert len(y._views or ()) < 100


def test_memory_is_flat_over_thousands_of_steps() -> None:
    params = weights()

    def step() -> None:
        loss_of(params).backward()
        with minigrad.no_grad():
            for p in params:
                p -= 0.01 * p.grad
                p.grad.zero_()

    for _ in range(50):
        step()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            step()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # Python itself keeps up to 2000 freed tuples of each length; one array left behind a step would be 600 kB.
    assert after - before < 300_000
    assert np.isfinite(params[0].detach().numpy()).all()
