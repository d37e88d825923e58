"""Each kernel against the textbook: sizes on both sides of every threshold, special numbers, exact references."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_suite import Case, Input, assert_same, between, evaluate, index, real, simplex

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels

# From one element to past the point where threads share the work, with ends that fill no register.
SIZES = [1, 7, 63, 128, 513, 1024, 1031, 4099, 70_001]


def agree(call: Callable[..., Any], *inputs: Input, rtol: float = 2e-6, atol: float = 1e-6, seed: int = 0) -> None:
    """Kernels and textbook give the same float32 outputs and gradients."""
    case = Case(f"{seed}", call, inputs)
    arrays, grad = case.arrays("float32"), case.wants_grad()
    fast = evaluate(minigrad, call, arrays, grad)
    with kernels.disabled():
        assert_same(fast, evaluate(minigrad, call, arrays, grad), rtol, atol)


def used(y: Any) -> bool:
    """Whether a kernel made this tensor."""
    return y.grad_fn.kernel is not None


# --- activations -----------------------------------------------------------------------------------------------------

ACTIVATIONS: dict[str, Any] = {
    "relu": F.relu,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "silu": F.silu,
    "gelu": F.gelu,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("size", SIZES)
def test_activations(name: str, size: int) -> None:
    agree(lambda lib, x: ACTIVATIONS[name](x), Input((size,), lambda rng, s: rng.standard_normal(s) * 3))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_exact_to_a_few_units_in_the_last_place(name: str) -> None:
    x = np.concatenate([np.linspace(-100, 100, 40_001), np.linspace(-1.5, 1.5, 30_001), np.geomspace(1e-30, 1, 2001)])
    x = np.concatenate([x, -x]).astype(np.float32)
    results = []
    for dtype in (np.float32, np.float64):
        t = minigrad.tensor(x.astype(dtype), requires_grad=True)
        y = ACTIVATIONS[name](t)
        y.backward(minigrad.ones_like(y))
        results.append((y.detach().numpy(), t.grad.numpy()))
    (y, dx), (exact_y, exact_dx) = results
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, exact_y, rtol=1e-6, atol=3e-7 if name == "gelu" else 1e-35)
    np.testing.assert_allclose(dx, exact_dx, rtol=3e-6, atol=5e-7)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_special_numbers(name: str) -> None:
    special = [0.0, -0.0, math.inf, -math.inf, math.nan, 88.72, -88.72, 87.33, -87.34, 89.0, -104.0, 1e30, -1e30, 1e-40]
    x = np.array((special * 100)[:1100], dtype=np.float32)

    def call(lib: Any, x: Any) -> Any:
        return ACTIVATIONS[name](x)

    with np.errstate(all="ignore"):
        fast = evaluate(minigrad, call, [x], [True])
        with kernels.disabled():
            slow = evaluate(minigrad, call, [x], [True])
    known = x != -np.inf if name in ("silu", "gelu") else slice(None)  # −∞ · 0 is NaN, or 0, the limit
    np.testing.assert_allclose(fast.values[0][known], slow.values[0][known], rtol=2e-6, atol=1e-34)
    finite = np.isfinite(x)
    assert fast.grads[0] is not None
    assert slow.grads[0] is not None
    np.testing.assert_allclose(fast.grads[0][finite], slow.grads[0][finite], rtol=2e-6, atol=1e-34)
    assert np.isnan(fast.values[0][np.isnan(x)]).all()


# --- sums ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shapes",
    [
        ((70, 33), (33,)), ((70, 33), (1, 33)), ((64, 64), (64, 1)), ((64, 64), (64,)), ((64, 64), (1, 64)),
        ((33,), (70, 33)), ((64, 64), (64, 64)), ((64, 64), (1,)), ((64, 64), ()), ((2000, 1), (1,)), ((2000, 1), ()),
        ((1, 2000), (2000, 1)), ((1, 2000), (2000,)), ((1025, 3), (3,)), ((4, 16, 33), (33,)),
        ((4, 16, 33), (16, 1)), ((40, 40), (1, 1, 40)),
    ],
)  # fmt: skip
def test_adding_rows_and_columns(shapes: Any) -> None:
    a, b = shapes
    agree(lambda lib, x, y: x + y, real(*a), real(*b), rtol=1e-5, atol=1e-4)
    agree(lambda lib, x, y: x + y, real(*a).constant(), real(*b), rtol=1e-5, atol=1e-4)
    agree(lambda lib, x, y: x + y, real(*a), real(*b).constant())


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from(["row", "flat row", "column", "full", "one"]))
def test_adding_in_any_shape(n: int, m: int, kind: str) -> None:
    other = {"row": (1, m), "flat row": (m,), "column": (n, 1), "full": (n, m), "one": (1, 1)}[kind]
    agree(lambda lib, x, y: x + y, real(n, m), real(*other), rtol=1e-5, atol=1e-4)


def test_sizes_that_do_not_fit_are_still_refused() -> None:
    with pytest.raises(minigrad.ShapeError):
        minigrad.ones(3, 400) + minigrad.ones(400, 1)


# --- softmax ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@given(shape=st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple), data=st.data())
def test_softmax(name: str, shape: tuple[int, ...], data: Any) -> None:
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    agree(
        lambda lib, x: getattr(F, name)(x, dim),
        Input(shape, lambda rng, s: rng.standard_normal(s) * 4),
        rtol=5e-6,
        atol=5e-6,
    )


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_special_rows(name: str) -> None:
    inf, nan = math.inf, math.nan
    rows = [
        [1e30, -1e30, 0.0],
        [-inf, 1.0, 2.0],
        [88.0, -88.0, 300.0],
        [-1e4, -1e4, -1e4],
        [nan, 1.0, 2.0],
        [1.0, 2.0, nan],
    ]
    x = np.zeros((6, 40), np.float32) - 1e4
    x[:, 17:20] = rows
    fast = getattr(F, name)(minigrad.tensor(x), 1).numpy()
    with kernels.disabled(), np.errstate(all="ignore"):
        slow = getattr(F, name)(minigrad.tensor(x), 1).numpy()
    np.testing.assert_allclose(fast, slow, rtol=2e-6, atol=1e-30)


# --- losses ----------------------------------------------------------------------------------------------------------

REDUCTIONS = ["mean", "sum", "none"]


def test_cross_entropy_of_large_scores_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 30)) + rng.choice([-1e4, 1e3, 1e4], (40, 1))
    for target in (minigrad.arange(40) % 30, minigrad.full((40, 30), 1 / 30)):
        fast = F.cross_entropy(minigrad.tensor(x.astype(np.float32)), target.float() if target.ndim > 1 else target)
        exact = F.cross_entropy(minigrad.tensor(x.astype(np.float32).astype(np.float64)), target)
        assert fast.item() == pytest.approx(exact.item(), rel=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@given(n=st.integers(1, 90), classes=st.integers(1, 70), how=st.sampled_from(["classes", "probabilities", "any"]))
def test_cross_entropy(reduction: str, n: int, classes: int, how: str) -> None:
    target = {"classes": index(classes, n), "probabilities": simplex(n, classes), "any": real(n, classes)}[how]
    for t in (target, target.constant()):
        agree(lambda lib, x, t: F.cross_entropy(x, t, reduction=reduction), real(n, classes), t, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("size", SIZES)
def test_losses_by_element(reduction: str, size: int) -> None:
    p, t = between(0.01, 0.99, size), between(0, 1, size)
    loose = {"rtol": 1e-5, "atol": 1e-5}
    agree(lambda lib, x, t: F.mse_loss(x, t, reduction=reduction), real(size), t, **loose)
    for target in (t, t.constant()):
        agree(lambda lib, x, t: F.binary_cross_entropy(x, t, reduction=reduction), p, target, **loose)
        agree(
            lambda lib, x, t: F.binary_cross_entropy_with_logits(x, t, reduction=reduction), real(size), target, **loose
        )


def test_sure_probabilities() -> None:
    x = np.resize(np.array([0.0, 1.0, 2e-38, 1 - 6e-8, 0.5], np.float32), 500)
    t = np.resize(np.array([0.0, 1.0, 1.0, 0.0, 0.5, 1.0, 0.0], np.float32), 500)

    def call(lib: Any, x: Any, t: Any) -> Any:
        return F.binary_cross_entropy(x, t, reduction="sum")

    fast = evaluate(minigrad, call, [x, t], [True, False])
    with kernels.disabled():
        assert_same(fast, evaluate(minigrad, call, [x, t], [True, False]), 1e-5, 1e-5)


def test_bad_probabilities_are_explained_the_same() -> None:
    for bad in (1.5, -0.1, math.nan):
        x = minigrad.full((500,), 0.5)
        x[137] = bad
        with pytest.raises(ValueError, match="binary_cross_entropy"):
            F.binary_cross_entropy(x, minigrad.ones(500))


@pytest.mark.parametrize("loss", [F.mse_loss, F.binary_cross_entropy_with_logits], ids=lambda f: f.__name__)
def test_a_loss_seen_by_a_weight(loss: Any) -> None:
    """The upstream gradient of a reduced loss is a number of its own, not always 1."""
    agree(lambda lib, x, t: loss(x, t) * -2.5, real(300), between(0, 1, 300).constant(), rtol=1e-5, atol=1e-6)


# --- which arrays take the fast way ----------------------------------------------------------------------------------


def fast_ops() -> Iterator[tuple[str, Any]]:
    x, t = minigrad.randn(64, 64, requires_grad=True), minigrad.rand(64, 64)
    yield from ((name, f(x)) for name, f in ACTIVATIONS.items())
    yield "add", x + minigrad.ones(64)
    yield "matmul", x @ minigrad.ones(64, 64)
    yield "linear", F.linear(x, minigrad.ones(64, 64))
    yield "softmax", F.softmax(x, 1)
    yield "log_softmax", F.log_softmax(x, -1)
    yield "cross_entropy", F.cross_entropy(x, minigrad.randint(0, 64, (64,)))
    yield "mse", F.mse_loss(x, t)
    yield "bce", F.binary_cross_entropy(minigrad.rand(300, requires_grad=True), minigrad.rand(300))
    yield "bce_with_logits", F.binary_cross_entropy_with_logits(x, t)


def test_kernels_run_where_they_should() -> None:
    """Without this, the tests above could compare the textbook with itself."""
    assert [name for name, y in fast_ops() if not used(y)] == []
    with kernels.disabled():
        assert [name for name, y in fast_ops() if used(y)] == []


def test_other_arrays_take_the_textbooks_way() -> None:
    x = minigrad.randn(64, 64, requires_grad=True)
    for y in (F.sigmoid(x.double()), F.sigmoid(x.T), F.sigmoid(x[:, ::2]), F.softmax(x, 0), F.softmax(x.half(), 1)):
        assert not used(y)
        assert np.isfinite(y.detach().numpy()).all()


@settings(max_examples=15)
@given(st.sampled_from(sorted(ACTIVATIONS)), st.integers(2, 40), st.integers(2, 40))
def test_upstream_gradients_of_any_layout(name: str, n: int, m: int) -> None:
    x = minigrad.randn(n, m, requires_grad=True)
    g = np.random.default_rng(0).standard_normal((m, n)).astype(np.float32)
    y = ACTIVATIONS[name](x)
    y.backward(minigrad.from_numpy(g.T), retain_graph=True)
    once = x.grad.numpy().copy()
    x.grad = None
    y.backward(minigrad.from_numpy(np.ascontiguousarray(g.T)))
    np.testing.assert_allclose(once, x.grad.numpy(), rtol=2e-6, atol=1e-6)
