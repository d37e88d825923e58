"""Normalization's kernels against the textbook: sizes on both sides of every threshold, thread counts, precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_suite import Case, assert_same, evaluate, real

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels
from minigrad.ops.fused import batch_norm_relu


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    threads = minigrad.get_num_threads()
    yield
    minigrad.set_num_threads(threads)


def batch_norm(lib: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    """In training, with the running statistics it leaves behind."""
    mean, var = mean.clone(), var.clone()
    return F.batch_norm(x, mean, var, w, b, True, 0.3), mean, var


def evaluated(lib: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    return F.batch_norm(x, mean, var * var + 0.1, w, b)


def with_relu(lib: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    return batch_norm_relu(x, None, None, w, b, True, 0.1, 1e-2), batch_norm_relu(
        x, mean, var**2 + 1, w, b, False, 0.0, 1e-5
    )


def agree(call: Callable[..., Any], shape: tuple[int, ...], constants: int, wanted: list[bool], seed: int = 0) -> Any:
    """Kernel and textbook give the same outputs and gradients. ``shape`` is x's, all other inputs are (C)."""
    inputs = [real(*shape), *[real(shape[1]) for _ in range(2 + constants)]]
    arrays = Case(f"{seed}", call, inputs).arrays("float32")
    grad = [*wanted, *[False] * constants]
    fast = evaluate(minigrad, call, arrays, grad)
    with kernels.disabled():
        textbook = evaluate(minigrad, call, arrays, grad)
    # Sums of n terms in another order: their rounding grows with √n
    far = 2e-6 * np.sqrt(np.prod(shape) / shape[1])
    assert_same(fast, textbook, 2e-5, max(2e-5, far))
    return fast


ALL = [True, True, True]
# (N, C) and (N, C, …), below and above the number of elements from which threads share the work
SHAPES = [
    (2, 1), (3, 5), (32, 128), (129, 17), (131, 500), (700, 100), (70_001, 1), (9, 9_000), (257, 256),
    (2, 1, 1), (1, 1, 3), (5, 4, 1), (3, 4, 7), (2, 3, 5, 7), (4, 6, 17, 19), (16, 3, 40, 40), (3, 300, 9, 10),
    (2, 5, 3, 2, 4), (1, 2, 200, 200), (300, 260, 1),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(shape: tuple[int, ...]) -> None:
    agree(batch_norm, shape, 2, ALL)
    agree(evaluated, shape, 2, ALL)
    agree(with_relu, shape, 2, ALL)


@pytest.mark.parametrize("shape", [(32, 20), (700, 100), (4, 6, 5), (16, 3, 40, 40)])
@pytest.mark.parametrize("call", [batch_norm, evaluated, with_relu])
def test_only_the_gradients_that_are_wanted(call: Any, shape: tuple[int, ...]) -> None:
    for wanted in ([True, False, False], [False, True, False], [False, False, True], [False, True, True]):
        agree(call, shape, 2, wanted)


@given(st.integers(1, 40), st.integers(1, 40), st.lists(st.integers(1, 9), max_size=3), st.booleans(), st.booleans())
def test_batch_norm_in_any_shape(n: int, c: int, places: list[int], with_weight: bool, with_bias: bool) -> None:
    if n * int(np.prod(places)) < 3:  # of two values x̂ is ±1, and its slope a difference of equal numbers
        return

    def call(lib: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
        mean, var = mean.clone(), var.clone()
        y = F.batch_norm(x, mean, var, w if with_weight else None, b if with_bias else None, True, eps=0.1)
        return y, mean, var

    agree(call, (n, c, *places), 2, ALL)


@pytest.mark.parametrize("shape", [(700, 100), (16, 3, 40, 40), (2, 7, 100, 100)])
def test_the_number_of_threads_changes_rounding_at_most(shape: tuple[int, ...]) -> None:
    runs = []
    for threads in (1, 2):
        minigrad.set_num_threads(threads)
        runs.append([agree(call, shape, 2, ALL) for call in (batch_norm, evaluated, with_relu, group_norm, layer_norm)])
        again = [agree(call, shape, 2, ALL) for call in (batch_norm, evaluated, with_relu, group_norm, layer_norm)]
        for first, second in zip(runs[-1], again, strict=True):
            assert_same(first, second, 0, 0)  # the same numbers from run to run
    for one, two in zip(*runs, strict=True):
        assert_same(one, two, 1e-5, 2e-5)


def layer_norm(lib: Any, x: Any, w: Any, b: Any, *unused: Any) -> Any:
    """Over the channels, moved to the end: w and b have one number each."""
    return F.layer_norm(x.movedim(1, -1).contiguous(), (x.shape[1],), w, b, 1e-2)


def rms_norm(lib: Any, x: Any, w: Any, *unused: Any) -> Any:
    return F.rms_norm(x.movedim(1, -1).contiguous(), (x.shape[1],), w, 1e-2)


def group_norm(lib: Any, x: Any, w: Any, b: Any, *unused: Any) -> Any:
    groups = next(g for g in (7, 5, 3, 2, 1) if x.shape[1] % g == 0)
    return F.group_norm(x, groups, w, b, 1e-2)


def instance_norm(lib: Any, x: Any, w: Any, b: Any, *unused: Any) -> Any:
    return F.instance_norm(x, None, None, w, b, eps=1e-2)


@pytest.mark.parametrize("shape", SHAPES)
def test_norms_of_a_sample(shape: tuple[int, ...]) -> None:
    for call in (layer_norm, rms_norm, group_norm, instance_norm):
        if call is instance_norm and np.prod(shape[2:]) == 1:
            continue
        agree(call, shape, 0, ALL)
        agree(call, shape, 0, [True, False, False])
        agree(call, shape, 0, [False, True, True])


@settings(max_examples=15)
@given(st.integers(1, 9), st.integers(1, 30), st.lists(st.integers(1, 9), min_size=1, max_size=2))
def test_norms_of_a_sample_in_any_shape(n: int, c: int, places: list[int]) -> None:
    if n * c * int(np.prod(places)) == 1:
        return
    for call in (layer_norm, rms_norm, group_norm):
        agree(call, (n, c, *places), 0, ALL)


def test_layer_norm_over_several_axes() -> None:
    def call(lib: Any, x: Any, w: Any, b: Any) -> Any:
        return F.layer_norm(x, (6, 7), w, b), F.rms_norm(x, (6, 7), w, 1e-3), F.layer_norm(x, (6, 7))

    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((5, 3, 6, 7), (6, 7), (6, 7))]
    fast = evaluate(minigrad, call, arrays, ALL)
    with kernels.disabled():
        assert_same(fast, evaluate(minigrad, call, arrays, ALL), 1e-5, 1e-5)


def test_numbers_that_are_not() -> None:
    """A NaN or an infinity spoils its own channel and no other, in the running statistics too."""
    for shape in ((64, 8), (4, 8, 20)):
        for bad in (np.nan, np.inf):
            x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
            x[1, 3] = bad
            mean, var = minigrad.zeros(8), minigrad.ones(8)
            y = F.batch_norm(minigrad.tensor(x), mean, var, training=True).numpy()
            spoilt = [c for c in range(8) if not np.isfinite(y[:, c]).all()]
            assert spoilt == [3]
            assert np.isfinite(mean.numpy()).tolist() == [c != 3 for c in range(8)]


def norms(x: Any) -> Iterator[tuple[str, Any]]:
    c = x.shape[1]
    w = minigrad.ones(c)
    yield "train", F.batch_norm(x, None, None, training=True)
    yield "eval", F.batch_norm(x, w, w, w, w)
    yield "train, relu", batch_norm_relu(x, None, None, None, None, True, 0.1, 1e-5)
    yield "eval, relu", batch_norm_relu(x, w, w, w, w, False, 0.1, 1e-5)
    yield "group", F.group_norm(x, c, w)
    yield "layer", F.layer_norm(x, x.shape[-1:])
    yield "rms", F.rms_norm(x, x.shape[-1:])


def test_kernels_run_where_they_should() -> None:
    """Without this, the tests above could compare the textbook with itself."""
    for shape in ((40, 10), (4, 10, 9), (4, 10, 3, 3)):
        x = minigrad.randn(*shape, requires_grad=True)
        assert [name for name, y in norms(x) if y.grad_fn.kernel is None] == []
        with kernels.disabled():
            assert [name for name, y in norms(x) if y.grad_fn.kernel is not None] == []


def test_other_arrays_take_the_textbooks_way() -> None:
    x = minigrad.randn(12, 12, requires_grad=True)
    for y in (F.batch_norm(x.T, None, None, training=True), F.batch_norm(x.double(), None, None, training=True)):
        assert y.grad_fn.kernel is None
        assert np.isfinite(y.detach().numpy()).all()
    half = minigrad.zeros(12, dtype=minigrad.float16)
    assert F.batch_norm(x, half, half + 1, training=True).grad_fn.kernel is None
    assert np.isfinite(half.numpy()).all()
    assert F.group_norm(x, 3, minigrad.ones(24)[::2]).grad_fn.kernel is None


def test_upstream_gradients_of_any_layout() -> None:
    x = minigrad.randn(20, 6, 8, requires_grad=True)
    g = np.random.default_rng(0).standard_normal((8, 6, 20)).astype(np.float32)
    for call in (lambda: F.batch_norm(x, None, None, training=True), lambda: F.group_norm(x, 2)):
        grads = []
        for upstream in (g.T, np.ascontiguousarray(g.T)):
            x.grad = None
            call().backward(minigrad.from_numpy(upstream))
            grads.append(x.grad.numpy().copy())
        np.testing.assert_array_equal(*grads)


def test_a_forward_with_the_kernel_and_a_backward_without() -> None:
    """The kernel saves what the textbook's rule needs."""
    for call in (lambda x: list(norms(x)),):
        x = minigrad.randn(9, 12, 5, requires_grad=True)
        for (_, y), g in zip(call(x), [minigrad.randn(9, 12, 5) for _ in range(7)], strict=True):
            x.grad = None
            y.backward(g, retain_graph=True)
            fast = x.grad.numpy().copy()
            x.grad = None
            with kernels.disabled():
                y.backward(g)
            np.testing.assert_allclose(fast, x.grad.numpy(), rtol=1e-4, atol=1e-5)
