"""What a rule or a hook of the user's is handed is its own: it may change it in place, and nobody else sees that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import kernels, nn
from minigrad.autograd import Function


def by_operator(d: Any, mask: Any) -> Any:
    d *= mask
    return d


def by_method(d: Any, mask: Any) -> Any:
    return d.masked_fill_(mask == 0, 0.0)


def by_index(d: Any, mask: Any) -> Any:
    d[mask == 0] = 0.0
    return d


def by_a_view(d: Any, mask: Any) -> Any:
    d.view(-1)[:] *= mask
    return d


def by_numpy(d: Any, mask: Any) -> Any:
    d.numpy()[...] *= mask.numpy()
    return d


def by_data(d: Any, mask: Any) -> Any:
    d.data.mul_(mask)
    return d


CHANGES = [by_operator, by_method, by_index, by_a_view, by_numpy, by_data]


def masked(change: Callable[..., Any]) -> Callable[[Any], Any]:
    """y = relu(x), whose rule changes what it is handed."""

    class Masked(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mask = (x > 0).to(x.dtype)
            return x * ctx.mask

        @staticmethod
        def backward(ctx, dy):
            return change(dy, ctx.mask)

    return Masked.apply


def hooked(change: Callable[..., Any]) -> Callable[[Any], Any]:
    def apply(x: Any) -> Any:
        mask = (x.detach() > 0).to(x.dtype)
        y = x * 1.0

        def hook(d: Any) -> None:
            change(d, mask)

        y.register_hook(hook)
        return y

    return apply


def module_hooked(kind: str) -> Callable[[Callable[..., Any]], Callable[[Any], Any]]:
    def make(change: Callable[..., Any]) -> Callable[[Any], Any]:
        def apply(x: Any) -> Any:
            mask = (x.detach() > 0).to(x.dtype)
            module = nn.Identity()
            if kind == "output":
                module.register_full_backward_pre_hook(lambda m, grads: (change(grads[0], mask),))
            else:
                module.register_full_backward_hook(lambda m, grads, out: (change(grads[0], mask),))
            return module(x)

        return apply

    return make


PLACES = {
    "rule": masked,
    "tensor hook": hooked,
    "module hook on the output": module_hooked("output"),
    "module hook on the input": module_hooked("input"),
}


def leaf(dtype: Any, *values: float) -> Any:
    return minigrad.tensor(values, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reaches_no_sibling(place: str, change: Any) -> None:
    op = PLACES[place](change)
    for dtype in (minigrad.float32, minigrad.float64, minigrad.float16):
        a, b = leaf(dtype, 1.0, -1.0, 2.0, -2.0), leaf(dtype, 5.0, 6.0, 7.0, 8.0)
        w = minigrad.tensor([1.0, 2.0, 3.0, 4.0], dtype=dtype)
        ((op(a) + b) * w).sum().backward()
        assert b.grad.tolist() == [1.0, 2.0, 3.0, 4.0]
        assert a.grad.tolist() == [1.0, 0.0, 3.0, 0.0]
    with kernels.disabled():
        ((op(a) + b) * w).sum().backward()
    assert b.grad.tolist() == [2.0, 4.0, 6.0, 8.0]


# Ways in which one array, or parts of one, reach several readers.
SHARING: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda y, b: y + b,
    "sum the other way": lambda y, b: b + y,
    "difference": lambda y, b: y - b,
    "sum of three": lambda y, b: y + b + b * 2,
    "cat": lambda y, b: minigrad.cat([y, b]),
    "stack": lambda y, b: minigrad.stack([y, b], 1),
    "views": lambda y, b: minigrad.cat([y.view(2, 2).t(), b.view(2, 2)]),
    "one number for all": lambda y, b: y.sum() + b.sum(),
    "mean": lambda y, b: (y + b).mean(),
    "expanded": lambda y, b: (y.expand(3, 4) + b).t(),
    "clone": lambda y, b: y.clone() + b.clone(),
    "where": lambda y, b: minigrad.where(b > 6, y, b),
    "in place": lambda y, b: (b * 1.0).add_(y),
}


@pytest.mark.parametrize("how", SHARING)
@pytest.mark.parametrize("place", PLACES)
def test_however_the_gradient_is_shared(how: str, place: str) -> None:
    rng = np.random.default_rng(0)
    results = []
    upstream: Any = None
    for change in (lambda d, mask: d * mask, by_operator, by_numpy):
        if place == "tensor hook" and not results:  # the hook's answer counts, where it has one
            op = _answering(change)
        else:
            op = PLACES[place](change)
        a, b = leaf(minigrad.float64, 1.0, -1.0, 2.0, -2.0), leaf(minigrad.float64, 5.0, 6.0, 7.0, 8.0)
        y = op(a * 1.0)
        total = SHARING[how](y, b) * 1.0 if how != "sum" else SHARING[how](y, b)
        if upstream is None:
            upstream = minigrad.tensor(rng.standard_normal(total.shape))
        given = upstream.clone()
        total.backward(given, retain_graph=True)
        total.backward(given)
        assert given.tolist() == upstream.tolist()  # the caller's own
        results.append((a.grad.tolist(), b.grad.tolist()))
    assert results[0] == results[1] == results[2]


def _answering(change: Any) -> Callable[[Any], Any]:
    def apply(x: Any) -> Any:
        mask = (x.detach() > 0).to(x.dtype)
        y = x * 1.0
        y.register_hook(lambda d: change(d, mask))
        return y

    return apply


def test_a_hook_on_a_leaf_changes_that_leafs_gradient_alone() -> None:
    a, b = leaf(minigrad.float32, 1.0, 2.0), leaf(minigrad.float32, 3.0, 4.0)
    a.register_hook(lambda d: d.mul_(10).sum() and None)
    (a + b).backward(minigrad.tensor([1.0, 2.0]))
    assert (a.grad.tolist(), b.grad.tolist()) == ([10.0, 20.0], [1.0, 2.0])
    da, db = minigrad.autograd.grad(a + b, (a, b), minigrad.tensor([1.0, 2.0]))
    assert (da.tolist(), db.tolist()) == ([10.0, 20.0], [1.0, 2.0])


@pytest.mark.parametrize("place", PLACES)
def test_under_create_graph(place: str) -> None:
    results = []
    for change in (lambda d, mask: d * mask, by_operator):
        op = _answering(change) if place == "tensor hook" and not results else PLACES[place](change)
        a, b = leaf(minigrad.float64, 1.0, -1.0, 2.0), leaf(minigrad.float64, 5.0, 6.0, 7.0)
        loss = ((op(a * a) + b) ** 3).sum()
        first = minigrad.autograd.grad(loss, (a, b), create_graph=True)
        u = minigrad.tensor([0.3, -1.1, 0.7], dtype=minigrad.float64)
        second = minigrad.autograd.grad(first[0] + first[1], (a, b), u)
        results.append([d.tolist() for d in (*first, *second)])
    assert results[0] == results[1]


def test_a_rule_with_several_outputs() -> None:
    class Twice(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, d2, d3):
            d2 *= 2
            d3 *= 3
            d2 += d3
            return d2

    a, b = leaf(minigrad.float64, 1.0, 2.0), leaf(minigrad.float64, 3.0, 4.0)
    y, z = Twice.apply(a)
    (y + z + b).backward(minigrad.tensor([1.0, -1.0]))
    assert (a.grad.tolist(), b.grad.tolist()) == ([5.0, -5.0], [1.0, -1.0])


# --- a gradient that the user has set -------------------------------------------------------------------------------


def _read_only() -> Any:
    frozen = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    frozen.flags.writeable = False
    return minigrad.from_numpy(frozen)


GRADS: dict[str, Callable[[], Any]] = {
    "expanded": lambda: minigrad.ones(1, dtype=minigrad.float64).expand(2, 3),
    "expanded along one axis": lambda: minigrad.tensor([[1.0], [2.0]], dtype=minigrad.float64).expand(2, 3),
    "read-only": _read_only,
    "broadcast by NumPy": lambda: minigrad.from_numpy(np.broadcast_to(np.arange(3.0), (2, 3))),
    "windows that overlap": lambda: minigrad.from_numpy(
        np.lib.stride_tricks.as_strided(np.arange(4.0), (2, 3), (8, 8), writeable=True)
    ),
    "transposed": lambda: minigrad.arange(6.0, dtype=minigrad.float64).view(3, 2).t(),
    "every second column": lambda: minigrad.arange(12.0, dtype=minigrad.float64).view(2, 6)[:, ::2],
    "reversed": lambda: minigrad.from_numpy(np.arange(6.0).reshape(2, 3)[::-1, ::-1]),
    "part of a larger one": lambda: minigrad.arange(12.0, dtype=minigrad.float64)[3:9].view(2, 3),
    "its own": lambda: minigrad.ones(2, 3, dtype=minigrad.float64),
}


@pytest.mark.parametrize("name", GRADS)
def test_gradients_add_up_in_whatever_memory(name: str) -> None:
    x = minigrad.zeros(2, 3, dtype=minigrad.float64, requires_grad=True)
    before = GRADS[name]().numpy().copy()
    x.grad = GRADS[name]()
    g = np.random.default_rng(0).standard_normal((2, 3))
    for times in (1, 2):
        (x * 1.0).backward(minigrad.tensor(g))
        np.testing.assert_allclose(x.grad.numpy(), before + times * g, rtol=1e-14)


def test_a_gradient_that_is_a_view_fills_the_memory_it_shows() -> None:
    flat = minigrad.zeros(8, dtype=minigrad.float64)  # gradients of several parameters side by side
    a, b = (minigrad.zeros(2, 2, dtype=minigrad.float64, requires_grad=True) for _ in range(2))
    a.grad, b.grad = flat[:4].view(2, 2), flat[4:].view(2, 2).t()
    (a * 2 + b * 3).backward(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert flat.tolist() == [2.0, 4.0, 6.0, 8.0, 3.0, 9.0, 6.0, 12.0]
