"""Normalization against PyTorch: values, gradients, running statistics, precision, refusals."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from op_suite import Case, OpSuite, agree, evaluate, real, torch

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels
from minigrad.errors import DtypeError, ShapeError
from minigrad.ops.fused import batch_norm_relu


def functional(name: str, *args: Any, **options: Any) -> Callable[..., Any]:
    return lambda lib, *xs: getattr(lib.nn.functional, name)(*xs, *args, **options)


def batch_norm(**options: Any) -> Callable[..., Any]:
    """In training, without running statistics; x, weight and bias as far as they are given."""
    return lambda lib, x, *p: lib.nn.functional.batch_norm(x, None, None, *p, training=True, **options)


def tracked(momentum: float) -> Callable[..., Any]:
    """In training, with the running statistics among the results: a step's y and both statistics after two steps."""

    def call(lib: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
        mean, var = mean.clone(), var.clone()
        for _ in range(2):
            y = lib.nn.functional.batch_norm(x, mean, var, w, b, True, momentum, 1e-3)
        return y, mean, var

    return call


def evaluated(lib: Any, x: Any, mean: Any, var: Any, *p: Any) -> Any:
    return lib.nn.functional.batch_norm(x, mean, var * var + 0.1, *p, eps=1e-3)


def instance_tracked(lib: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    mean, var = mean.clone(), var.clone()
    y = lib.nn.functional.instance_norm(x, mean, var, w, b, True, 0.3)
    return y, mean, var


def instance_evaluated(lib: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    return lib.nn.functional.instance_norm(x, mean, var * var + 0.1, w, b, False)


def over(name: str, shape: tuple[int, ...], **options: Any) -> Callable[..., Any]:
    """Over the last axes; sizes of zero reach the shape through x."""
    return lambda lib, x, *p: getattr(lib.nn.functional, name)(x, tuple(x.shape[-len(shape) :]), *p, **options)


def with_relu(lib: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    """In training, with the statistics it leaves behind, and in evaluation; each with its ReLU."""
    before, mean, var = mean, mean.clone(), var.clone()
    trained = batch_norm_relu(x, mean, var, w, b, True, 0.3, 1e-2)
    return trained, batch_norm_relu(x, before, before * before + 1.0, w, b, False, 0.0, 1e-2), mean, var


def then_relu(lib: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    before, mean, var, f = mean, mean.clone(), var.clone(), lib.nn.functional
    trained = f.relu(f.batch_norm(x, mean, var, w, b, True, 0.3, 1e-2))
    return trained, f.relu(f.batch_norm(x, before, before * before + 1.0, w, b, eps=1e-2)), mean, var


def per_channel(c: int, n: int = 2) -> list[Any]:
    return [real(c) for _ in range(n)]


def constants(c: int) -> list[Any]:
    return [real(c).constant(), real(c).constant()]


# fmt: off
class TestNormalization(OpSuite):
    cases: ClassVar = [
        Case("batch_norm 2d", batch_norm(), [real(7, 3), *per_channel(3)], large=[real(65, 33), *per_channel(33)], empty=False, rtol=1e-4, atol=2e-5),
        Case("batch_norm 3d", batch_norm(eps=0.1), [real(4, 3, 5), *per_channel(3)], large=[real(9, 5, 70), *per_channel(5)], empty=False, rtol=1e-4, atol=2e-5),
        Case("batch_norm 4d", batch_norm(), [real(2, 3, 4, 5), *per_channel(3)], large=[real(3, 5, 16, 17), *per_channel(5)], empty=False, rtol=1e-4, atol=2e-5),
        Case("batch_norm one sample", batch_norm(), [real(1, 3, 4), *per_channel(3)], empty=False, rtol=1e-4, atol=2e-5),
        Case("batch_norm without parameters", batch_norm(), [real(5, 2, 3)], large=[real(5, 20, 30)], empty=False, rtol=1e-4, atol=2e-5),
        Case("batch_norm weight alone", batch_norm(), [real(5, 2, 3), real(2)], large=[real(5, 20, 30), real(20)], empty=False, rtol=1e-4, atol=2e-5),
        Case("batch_norm bias alone", lambda lib, x, b: lib.nn.functional.batch_norm(x, None, None, None, b, True), [real(5, 2, 3), real(2)], large=[real(5, 20, 30), real(20)], empty=False, rtol=1e-4, atol=2e-5),
        Case("batch_norm constant x", batch_norm(), [real(7, 3).constant(), *per_channel(3)], large=[real(65, 33).constant(), *per_channel(33)], empty=False, rtol=1e-4, atol=2e-5),
        Case("batch_norm constant parameters", batch_norm(), [real(7, 3), *constants(3)], large=[real(65, 33), *constants(33)], empty=False, rtol=1e-4, atol=2e-5),
        Case("batch_norm tracked", tracked(0.1), [real(7, 3), *per_channel(3), *constants(3)], large=[real(65, 33), *per_channel(33), *constants(33)], rtol=1e-4, atol=2e-5, empty=False),
        Case("batch_norm tracked 4d", tracked(0.37), [real(2, 3, 4, 5), *per_channel(3), *constants(3)], large=[real(3, 5, 16, 17), *per_channel(5), *constants(5)], rtol=1e-4, atol=2e-5, empty=False),
        Case("batch_norm momentum 1", tracked(1.0), [real(7, 3), *per_channel(3), *constants(3)], large=[real(65, 33), *per_channel(33), *constants(33)], rtol=1e-4, atol=2e-5, empty=False),
        Case("batch_norm eval 2d", evaluated, [real(7, 3), *constants(3), *per_channel(3)], large=[real(65, 33), *constants(33), *per_channel(33)], empty=False, rtol=1e-4, atol=2e-5),
        Case("batch_norm eval 4d", evaluated, [real(2, 3, 4, 5), *constants(3), *per_channel(3)], large=[real(3, 5, 16, 17), *constants(5), *per_channel(5)], empty=False, rtol=1e-4, atol=5e-5),
        Case("batch_norm eval without parameters", evaluated, [real(7, 3), *constants(3)], large=[real(65, 33), *constants(33)], empty=False, rtol=1e-4, atol=2e-5),
        Case("batch_norm with relu 2d", with_relu, [real(7, 3), *per_channel(3), *constants(3)], large=[real(65, 33), *per_channel(33), *constants(33)], rtol=1e-4, atol=2e-5, empty=False, reference=then_relu),
        Case("batch_norm with relu 4d", with_relu, [real(2, 3, 4, 5), *per_channel(3), *constants(3)], large=[real(3, 5, 16, 17), *per_channel(5), *constants(5)], rtol=1e-4, atol=5e-5, empty=False, reference=then_relu),
        Case("layer_norm", over("layer_norm", (4,)), [real(3, 4), real(4), real(4)], large=[real(40, 37), *per_channel(37)], rtol=1e-4, atol=2e-5),
        Case("layer_norm two axes", over("layer_norm", (4, 5), eps=0.1), [real(2, 3, 4, 5), real(4, 5), real(4, 5)], large=[real(6, 4, 12, 20), real(12, 20), real(12, 20)], rtol=1e-4, atol=2e-5),
        Case("layer_norm every axis", over("layer_norm", (3, 4)), [real(3, 4), real(3, 4), real(3, 4)], large=[real(30, 40), real(30, 40), real(30, 40)], rtol=1e-4, atol=2e-5),
        Case("layer_norm without parameters", over("layer_norm", (4,)), [real(2, 3, 4)], large=[real(20, 3, 40)], rtol=1e-4, atol=2e-5),
        Case("layer_norm weight alone", over("layer_norm", (4,)), [real(2, 3, 4), real(4)], large=[real(20, 3, 40), real(40)], rtol=1e-4, atol=2e-5),
        Case("layer_norm bias alone", lambda lib, x, b: lib.nn.functional.layer_norm(x, tuple(x.shape[-1:]), bias=b), [real(2, 3, 4), real(4)], large=[real(20, 3, 40), real(40)], rtol=1e-4, atol=2e-5),
        Case("layer_norm constant x", over("layer_norm", (4,)), [real(3, 4).constant(), real(4), real(4)], large=[real(40, 37).constant(), *per_channel(37)], rtol=1e-4, atol=2e-5),
        Case("rms_norm", over("rms_norm", (4,), eps=1e-3), [real(3, 4), real(4)], large=[real(40, 37), real(37)], rtol=1e-4, atol=2e-5),
        Case("rms_norm two axes", over("rms_norm", (4, 5), eps=0.1), [real(2, 3, 4, 5), real(4, 5)], large=[real(2, 3, 14, 15), real(14, 15)], rtol=1e-4, atol=2e-5),
        Case("rms_norm without eps or weight", over("rms_norm", (4,)), [real(2, 3, 4)], large=[real(20, 3, 40)], rtol=1e-4, atol=2e-5),
        Case("group_norm", lambda lib, x, *p: lib.nn.functional.group_norm(x, 2, *p), [real(3, 4, 5), *per_channel(4)], large=[real(3, 8, 7, 9), *per_channel(8)], empty=False, rtol=1e-4, atol=2e-5),
        Case("group_norm 2d", lambda lib, x, *p: lib.nn.functional.group_norm(x, 2, *p, eps=0.1), [real(3, 6), *per_channel(6)], large=[real(30, 16), *per_channel(16)], empty=False, rtol=1e-4, atol=2e-5),
        Case("group_norm one group", lambda lib, x, *p: lib.nn.functional.group_norm(x, 1, *p), [real(2, 3, 4, 5), *per_channel(3)], large=[real(3, 8, 7, 9), *per_channel(8)], empty=False, rtol=1e-4, atol=2e-5),
        Case("group_norm without parameters", lambda lib, x: lib.nn.functional.group_norm(x, 2), [real(2, 4, 3)], large=[real(4, 8, 33)], empty=False, rtol=1e-4, atol=2e-5),
        Case("group_norm bias alone", lambda lib, x, b: lib.nn.functional.group_norm(x, 2, None, b), [real(2, 4, 3), real(4)], large=[real(4, 8, 33), real(8)], empty=False, rtol=1e-4, atol=2e-5,
             reference=lambda lib, x, b: lib.nn.functional.group_norm(x, 2, lib.ones_like(b), b)),  # PyTorch's backward fails without a weight
        Case("group_norm constant x", lambda lib, x, *p: lib.nn.functional.group_norm(x, 2, *p), [real(3, 4, 5).constant(), *per_channel(4)], large=[real(3, 8, 7, 9).constant(), *per_channel(8)], empty=False, rtol=1e-4, atol=2e-5),
        Case("instance_norm", lambda lib, x, *p: lib.nn.functional.instance_norm(x, None, None, *p), [real(2, 3, 4, 5), *per_channel(3)], large=[real(3, 8, 7, 9), *per_channel(8)], empty=False, rtol=1e-4, atol=2e-5),
        Case("instance_norm without parameters", functional("instance_norm"), [real(2, 3, 5)], large=[real(2, 8, 33)], empty=False, rtol=1e-4, atol=2e-5),
        Case("instance_norm tracked", instance_tracked, [real(2, 3, 5), *per_channel(3), *constants(3)], large=[real(3, 8, 33), *per_channel(8), *constants(8)], rtol=1e-4, atol=2e-5, empty=False),
        Case("instance_norm eval", instance_evaluated, [real(2, 3, 5), *per_channel(3), *constants(3)], large=[real(3, 8, 33), *per_channel(8), *constants(8)], rtol=1e-4, atol=2e-5, empty=False),
        Case("local_response_norm", functional("local_response_norm", 3, alpha=0.7, beta=0.6, k=1.5), [real(2, 5, 3, 4)], rtol=1e-4, atol=1e-5),
        Case("local_response_norm even", functional("local_response_norm", 4, alpha=0.7), [real(2, 5, 3)], rtol=1e-4, atol=1e-5, empty=False),
        Case("local_response_norm wide", functional("local_response_norm", 9, 0.3), [real(2, 3, 2, 1, 2)], rtol=1e-4, atol=1e-5),
    ]
# fmt: on


@drawn(st.integers(1, 6), st.integers(1, 5), st.lists(st.integers(1, 4), max_size=3), st.integers(0, 9))
def test_batch_norm_in_any_shape(n: int, c: int, places: list[int], seed: int) -> None:
    if n * int(np.prod(places)) == 1:
        return
    agree(batch_norm(eps=1e-2), real(n, c, *places), real(c), real(c), seed=seed)


# Far from zero float32 numbers are themselves coarse (0.0005 apart at 10,000, 0.06 at a million), and so is a mean of that
# dtype. The kernels keep the mean in two numbers, the textbook in float64, and both lose nothing.
OFFSETS = [(0.0, True), (1e4, True), (1e6, True), (0.0, False), (1e4, False), (1e6, False)]


def far_from_zero(call: Callable[..., Any], arrays: list[Any], grad: list[bool], textbook: bool) -> None:
    with kernels.disabled():
        exact = evaluate(minigrad, call, [a.astype(np.float64) for a in arrays], grad)
    with kernels.disabled() if textbook else contextlib.nullcontext():
        got = evaluate(minigrad, call, arrays, grad)
    np.testing.assert_allclose(got.values[0], exact.values[0], rtol=1e-5, atol=1e-5)
    for a, e in zip(got.values[1:], exact.values[1:], strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-7)
    for a, e, wanted in zip(got.grads, exact.grads, grad, strict=True):
        if wanted:
            assert a is not None
            assert e is not None
            np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-5 * (1 + np.abs(e).max()))


@pytest.mark.parametrize(("offset", "textbook"), OFFSETS)
@pytest.mark.parametrize("shape", [(300, 40), (20_000, 2), (16, 6, 20, 20), (40, 24, 5, 5)])
def test_batch_norm_far_from_zero(offset: float, textbook: bool, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    c = shape[1]
    channels = (1, c) + (1,) * (len(shape) - 2)
    x = (rng.standard_normal(shape) + offset * rng.uniform(-1, 1, channels)).astype(np.float32)
    w, b = rng.standard_normal((2, c)).astype(np.float32)
    arrays = [x, w, b, np.zeros(c, np.float32), np.zeros(c, np.float32)]
    far_from_zero(tracked(1.0), arrays, [True, True, True, False, False], textbook)


@pytest.mark.parametrize("name", ["layer_norm", "group_norm", "instance_norm"])
@pytest.mark.parametrize(("offset", "textbook"), OFFSETS)
def test_the_others_far_from_zero(name: str, offset: float, textbook: bool) -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((5, 6, 30, 31)) + offset * rng.uniform(-1, 1, (5, 1, 1, 1))).astype(np.float32)
    w, b = rng.standard_normal((2, 31 if name == "layer_norm" else 6)).astype(np.float32)

    def call(lib: Any, x: Any, w: Any, b: Any) -> Any:
        if name == "layer_norm":
            return F.layer_norm(x, (31,), w, b)
        return F.group_norm(x, 2, w, b) if name == "group_norm" else F.instance_norm(x, None, None, w, b)

    far_from_zero(call, [x, w, b], [True, True, True], textbook)


def test_half_precision_is_worked_out_in_single() -> None:
    x = (np.random.default_rng(0).standard_normal((400, 3, 4)) * 300).astype(np.float16)
    w = np.array([1.0, 2.0, -1.0])
    for call in (
        lambda lib, x, w: lib.nn.functional.batch_norm(x, None, None, w, training=True),
        lambda lib, x, w: lib.nn.functional.layer_norm(x, (4,)),
        lambda lib, x, w: lib.nn.functional.group_norm(x, 3, w),
        lambda lib, x, w: lib.nn.functional.instance_norm(x, None, None, w),
        lambda lib, x, w: lib.nn.functional.rms_norm(x, (4,), eps=1e-3),
        lambda lib, x, w: lib.nn.functional.local_response_norm(x, 2),
    ):
        half = evaluate(minigrad, call, [x, w.astype(np.float16)], [True, True])
        exact = evaluate(minigrad, call, [x.astype(np.float64), w], [True, True])
        assert half.dtypes == ["float16"]
        np.testing.assert_allclose(half.values[0], exact.values[0], rtol=2e-3, atol=2e-3)
        assert half.grads[0] is not None
        assert exact.grads[0] is not None
        np.testing.assert_allclose(half.grads[0], exact.grads[0], rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf])
def test_a_loud_channel_reaches_its_neighbours_only(size: int, fill: float) -> None:
    x = np.random.default_rng(0).standard_normal((2, 9, 3))
    x[0, 4, 1] = fill
    results = []
    for lib in (minigrad, torch):
        t = lib.tensor(x, requires_grad=True)
        with np.errstate(all="ignore"):
            y = lib.nn.functional.local_response_norm(t, size, 0.5)
            y.backward(lib.tensor(np.random.default_rng(1).standard_normal(x.shape)))
        results.append([y.detach().numpy(), t.grad.numpy()])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9)
        assert np.isfinite(got).any()


def test_second_derivatives_are_pytorchs() -> None:
    """With the rule's own gradients as inputs: d/d(dy), d/dx and d/dγ of dx, dγ and dβ."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((4, 3, 5), (3,), (3,), (4, 3, 5))]
    weights = [rng.standard_normal(s) for s in ((4, 3, 5), (3,), (3,))]
    results = []
    for lib in (minigrad, torch):
        x, w, b, dy = (lib.tensor(a, requires_grad=True) for a in arrays)
        y = lib.nn.functional.batch_norm(x, None, None, w, b, True)
        first = lib.autograd.grad(y, [x, w, b], dy, create_graph=True)
        total = sum((g * lib.tensor(v)).sum() for g, v in zip(first, weights, strict=True))
        results.append([g.numpy() for g in lib.autograd.grad(total, [x, w, dy])])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-10)


def test_the_gradient_knows_nothing_of_constants_and_of_the_scale() -> None:
    """x + c and c x give the same x̂, so dx has no part along 1 and none along x̂."""
    x = minigrad.randn(50, 4, dtype=minigrad.float64, requires_grad=True)
    F.batch_norm(x, None, None, training=True, eps=1e-300).backward(minigrad.randn(50, 4, dtype=minigrad.float64))
    dx = x.grad.numpy()
    centred = x.detach().numpy() - x.detach().numpy().mean(axis=0)
    np.testing.assert_allclose(dx.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose((dx * centred).sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("textbook", [True, False])
def test_running_statistics_are_no_part_of_the_graph(textbook: bool) -> None:
    """They may change between an evaluation and its backward: the rule goes by those that made y."""
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 50, 4)).astype(np.float32)
    grads = []
    for changes in (True, False):
        mean, var, w = minigrad.full((4,), 0.3), minigrad.ones(4), minigrad.ones(4, requires_grad=True)
        t = minigrad.tensor(x, requires_grad=True)
        with kernels.disabled() if textbook else contextlib.nullcontext():
            y = F.batch_norm(t, mean, var, w)
            if changes:
                F.batch_norm(t * 7.0, mean, var, training=True)
            y.backward(minigrad.tensor(g))
        assert not mean.requires_grad
        grads.append([w.grad.numpy(), t.grad.numpy()])
    for a, b in zip(*grads, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_refused_call_changes_no_statistics() -> None:
    for x, w in ((minigrad.ones(1, 3), None), (minigrad.randn(4, 3), minigrad.ones(2)), (minigrad.randn(4, 2), None)):
        mean, var = minigrad.zeros(3), minigrad.ones(3)
        with pytest.raises(ValueError):
            F.batch_norm(x, mean, var, w, training=True)
        assert (mean.tolist(), var.tolist()) == ([0, 0, 0], [1, 1, 1])


NOTHING = [(0, 3), (5, 0), (0, 3, 4), (5, 0, 4), (5, 3, 0), (0, 3, 2, 2), (2, 3, 0, 4)]


@pytest.mark.parametrize("shape", NOTHING)
@pytest.mark.parametrize("name", ["batch_norm", "batch_norm eval", "group_norm", "instance_norm"])
def test_sizes_of_zero(name: str, shape: tuple[int, ...]) -> None:
    """Nothing in, nothing out, gradients of 0 and statistics as they were (PyTorch fails on some of these)."""
    c = shape[1]
    x, w, b = (minigrad.ones(*s, requires_grad=True) for s in (shape, (c,), (c,)))
    mean, var = minigrad.zeros(c), minigrad.ones(c)
    if name == "group_norm":
        y = F.group_norm(x, 1, w, b)
    elif name == "instance_norm":
        if len(shape) == 2:
            return
        y = F.instance_norm(x, mean, var, w, b)
    else:
        y = F.batch_norm(x, mean, var, w, b, training=name == "batch_norm")
    y.backward(minigrad.ones(*shape))
    assert (y.shape, x.grad.shape) == (shape, shape)
    assert (w.grad.tolist(), b.grad.tolist()) == ([0.0] * c, [0.0] * c)
    assert (mean.tolist(), var.tolist()) == ([0.0] * c, [1.0] * c)


ones = minigrad.ones
REFUSED: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    (
        "channels",
        lambda: F.batch_norm(ones(2, 4), ones(3), ones(3)),
        ShapeError,
        r"batch_norm: input has 4 channels \(axis 1 of shape \(2, 4\)\), running_mean expects 3 \(shape \(3,\)\)",
    ),
    (
        "variances",
        lambda: F.batch_norm(ones(2, 3), ones(3), ones(2), training=True),
        ShapeError,
        r"running_var expects 2",
    ),
    ("weight", lambda: F.batch_norm(ones(2, 3), None, None, ones(4), training=True), ShapeError, r"weight expects 4"),
    (
        "weight's rank",
        lambda: F.batch_norm(ones(2, 3), None, None, ones(1, 3), training=True),
        ShapeError,
        r"weight expects another number \(shape \(1, 3\)\)",
    ),
    (
        "rank",
        lambda: F.batch_norm(ones(3), ones(3), ones(3)),
        ShapeError,
        r"at least 2 axes \(N, C, …\), got shape \(3,\)",
    ),
    (
        "one value",
        lambda: F.batch_norm(ones(1, 3, 1), None, None, training=True),
        ValueError,
        r"shape \(1, 3, 1\) has 1 value per channel",
    ),
    (
        "eps",
        lambda: F.batch_norm(ones(2, 3), None, None, training=True, eps=0),
        ValueError,
        r"eps must be positive in training, got 0",
    ),
    (
        "one statistic",
        lambda: F.batch_norm(ones(2, 3), ones(3), None, training=True),
        ValueError,
        r"both or not at all",
    ),
    ("no statistics", lambda: F.batch_norm(ones(2, 3), None, None), ValueError, r"training=False needs running_mean"),
    (
        "dtype",
        lambda: F.batch_norm(ones(2, 3).double(), None, None, ones(3), training=True),
        DtypeError,
        r"input has dtype float64, weight float32",
    ),
    (
        "integers",
        lambda: F.batch_norm(ones(2, 3).long(), None, None, training=True),
        DtypeError,
        r"batch_norm: input has dtype minigrad.int64",
    ),
    (
        "array",
        lambda: F.batch_norm(np.ones((2, 3)), None, None, training=True),
        TypeError,
        r"batch_norm: input must be a Tensor, got ndarray",
    ),
    (
        "array weight",
        lambda: F.batch_norm(ones(2, 3), None, None, np.ones(3), training=True),
        TypeError,
        r"batch_norm: weight must be a Tensor, got ndarray",
    ),
    (
        "normalized_shape",
        lambda: F.layer_norm(ones(2, 4), (3,)),
        ShapeError,
        r"normalized_shape \(3,\) must be the sizes of the input's last axes, got an input of shape \(2, 4\)",
    ),
    ("too many axes", lambda: F.layer_norm(ones(4), (4, 4)), ShapeError, r"normalized_shape \(4, 4\)"),
    ("no axes", lambda: F.layer_norm(ones(2, 4), ()), ShapeError, r"at least one axis"),
    (
        "words",
        lambda: F.layer_norm(ones(2, 4), "4"),
        TypeError,
        r"normalized_shape must be an integer or a tuple of integers, got '4'",
    ),
    (
        "layer weight",
        lambda: F.layer_norm(ones(2, 4), (4,), ones(3)),
        ShapeError,
        r"layer_norm: weight has shape \(3,\), expected normalized_shape, \(4,\)",
    ),
    (
        "layer dtype",
        lambda: F.layer_norm(ones(2, 4).double(), (4,), ones(4)),
        DtypeError,
        r"input has dtype float64, weight float32",
    ),
    ("rms weight", lambda: F.rms_norm(ones(2, 4), (4,), ones(3)), ShapeError, r"rms_norm: weight has shape \(3,\)"),
    ("rms shape", lambda: F.rms_norm(ones(2, 4), (3,)), ShapeError, r"rms_norm: normalized_shape \(3,\)"),
    (
        "groups",
        lambda: F.group_norm(ones(2, 5, 3), 2),
        ValueError,
        r"num_channels \(5\) must be divisible by num_groups \(2\)",
    ),
    ("no groups", lambda: F.group_norm(ones(2, 5, 3), 0), ValueError, r"num_groups must be a positive integer, got 0"),
    ("one per group", lambda: F.group_norm(ones(1, 2), 2), ValueError, r"1 value per group"),
    (
        "group weight",
        lambda: F.group_norm(ones(2, 6, 3), 2, ones(4)),
        ShapeError,
        r"group_norm: input has 6 channels.*weight expects 4",
    ),
    ("group rank", lambda: F.group_norm(ones(4), 2), ShapeError, r"group_norm: input must have at least 2 axes"),
    ("one place", lambda: F.instance_norm(ones(2, 3, 1)), ValueError, r"1 value per channel of a sample"),
    (
        "instance statistics",
        lambda: F.instance_norm(ones(2, 3, 2), use_input_stats=False),
        ValueError,
        r"use_input_stats=False needs",
    ),
    ("one instance statistic", lambda: F.instance_norm(ones(2, 3, 2), ones(3)), ValueError, r"both or not at all"),
    (
        "instance channels",
        lambda: F.instance_norm(ones(2, 3, 2), ones(4), ones(4)),
        ShapeError,
        r"instance_norm: input has 3 channels.*running_mean expects 4",
    ),
    ("response rank", lambda: F.local_response_norm(ones(2, 3), 2), ShapeError, r"at least 3 axes.*got shape \(2, 3\)"),
    (
        "response size",
        lambda: F.local_response_norm(ones(2, 3, 4), 0),
        ValueError,
        r"size must be a positive integer, got 0",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


NORMS: dict[str, Callable[..., Any]] = {
    "batch_norm of rows": lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
    "batch_norm": lambda x, w, b: F.batch_norm(x.reshape(10, 4, 5, 2), None, None, w, b, training=True),
    "batch_norm and ReLU": lambda x, w, b: batch_norm_relu(x, None, None, w, b, True, 0.1, 1e-5),
    "layer_norm": lambda x, w, b: F.layer_norm(x, (4,), w, b),
    "group_norm": lambda x, w, b: F.group_norm(x.reshape(10, 4, 10), 2, w, b),
    "instance_norm": lambda x, w, b: F.instance_norm(x.reshape(10, 4, 10), None, None, w, b),
    "rms_norm": lambda x, w, b: F.rms_norm(x, (4,), w, 1e-20) + b,
}


@pytest.mark.parametrize("way", [contextlib.nullcontext, kernels.disabled], ids=["kernels", "textbook"])
@pytest.mark.parametrize("size", [1e20, 1e30, 1e36, 1e-12])
@pytest.mark.parametrize("name", NORMS)
def test_numbers_whose_squares_do_not_fit_float32(name: str, size: float, way: Any) -> None:
    kernels.load()
    rng = np.random.default_rng(0)
    arrays = [a.astype(np.float32) for a in (rng.standard_normal((100, 4)) * size, *rng.standard_normal((2, 4)))]
    upstream = rng.standard_normal(400)
    found = []
    for dtype in (np.float64, np.float32):
        tensors = [minigrad.from_numpy(a.astype(dtype)).requires_grad_() for a in arrays]
        with kernels.disabled() if dtype is np.float64 else way():
            y = NORMS[name](*tensors)
            y.backward(minigrad.from_numpy(upstream.astype(dtype)).reshape(*y.shape))
        found.append([y.detach().numpy(), *[t.grad.numpy() for t in tensors]])
    for exact, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, exact, rtol=2e-5, atol=2e-6 * abs(exact).max())


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize("way", [contextlib.nullcontext, kernels.disabled], ids=["kernels", "textbook"])
def test_running_statistics_beside_a_large_mean(name: str, way: Any) -> None:
    kernels.load()
    x = (1e6 + np.random.default_rng(0).choice([-1.0, 1.0], (50, 3, 40))).astype(np.float32)
    mean, var = minigrad.zeros(3), minigrad.zeros(3)
    with way():
        if name == "batch_norm":
            F.batch_norm(minigrad.from_numpy(x), mean, var, training=True, momentum=1.0)
        else:
            F.instance_norm(minigrad.from_numpy(x), mean, var, momentum=1.0)
    wide = x.astype(np.float64)
    exact = wide.var(axis=(0, 2), ddof=1) if name == "batch_norm" else wide.var(axis=2, ddof=1).mean(axis=0)
    np.testing.assert_allclose(mean.numpy(), wide.mean(axis=(0, 2)), rtol=1e-7)
    np.testing.assert_allclose(var.numpy(), exact, rtol=1e-6)
