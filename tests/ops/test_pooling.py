"""Pooling: every option against PyTorch, with ties, NaN and infinities, and what it refuses."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from op_suite import Case, Input, OpSuite, agree, away, distinct, evaluate, real, torch

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels
from minigrad.autograd import gradcheck, gradgradcheck
from minigrad.errors import DtypeError, ShapeError


def functional(name: str, *args: Any, **kwargs: Any) -> Any:
    return lambda lib, x: getattr(lib.nn.functional, name)(x, *args, **kwargs)


def there_and_back(pool: dict[str, Any], size: Any = None, ndim: int = 2) -> Any:
    """A max pool and its unpooling."""

    def call(lib: Any, x: Any) -> Any:
        f = lib.nn.functional
        y, indices = getattr(f, f"max_pool{ndim}d")(x, return_indices=True, **pool)
        return getattr(f, f"max_unpool{ndim}d")(y, indices, output_size=size, **pool)

    return call


MAX = [
    {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 3, "stride": 1},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)}, {"kernel_size": 2, "dilation": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": (2, 3)},
    {"kernel_size": 2, "stride": 3},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True}, {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 3, "return_indices": True}, {"kernel_size": [2], "stride": []}, {"kernel_size": (5, 7)},
]  # fmt: skip
AVG = [
    {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True}, {"kernel_size": 3, "stride": (3, 2), "divisor_override": 5},
    {"kernel_size": (2, 3), "stride": 2, "padding": (1, 1), "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    {"kernel_size": 2, "stride": 3}, {"kernel_size": 2, "padding": 1, "divisor_override": -3}, {"kernel_size": (5, 7)},
]  # fmt: skip
LP = [
    {"kernel_size": 2}, {"kernel_size": 3, "stride": 2}, {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": (3, 2), "stride": (1, 3)},
]  # fmt: skip
positive = Input((2, 3, 5, 7), lambda rng, s: rng.uniform(0.2, 2.0, s))
LARGE = [real(6, 3, 21, 40)]
LARGE_DISTINCT = [distinct(6, 3, 21, 40)]


class TestPooling(OpSuite):
    cases = [
        Case(f"max_pool2d {o}", functional("max_pool2d", **o), [distinct(2, 3, 5, 7)], large=LARGE_DISTINCT)
        for o in MAX
    ] + [
        Case(f"avg_pool2d {o}", functional("avg_pool2d", **o), [real(2, 3, 5, 7)], large=LARGE) for o in AVG
    ] + [
        Case(f"lp_pool2d {p} {o}", functional("lp_pool2d", p, **o), [away(2, 3, 5, 7)], large=LARGE)
        for p in (2, 4.0) for o in LP
    ] + [
        Case(f"lp_pool2d of positive numbers {p}", functional("lp_pool2d", p, **LP[1]), [positive], atol=5e-6)
        for p in (1, 1.5, 3)
    ] + [
        Case("lp_pool2d inf", functional("lp_pool2d", math.inf, 2), [distinct(2, 3, 5, 7)]),
        Case("max_pool2d unbatched", functional("max_pool2d", 2), [distinct(3, 5, 7)], empty=False),
        Case("avg_pool2d unbatched", functional("avg_pool2d", 2), [real(3, 5, 7)]),
        Case("lp_pool2d unbatched", functional("lp_pool2d", 2, 2), [away(3, 5, 7)]),
        Case("max_pool1d", functional("max_pool1d", 3, 2, 1), [distinct(2, 3, 9)]),
        Case("max_pool1d unbatched", functional("max_pool1d", 2, dilation=2, ceil_mode=True), [distinct(3, 8)]),
        Case("max_pool1d indices", functional("max_pool1d", 3, 2, return_indices=True), [distinct(2, 3, 9)]),
        Case("avg_pool1d", functional("avg_pool1d", 3, 2, 1, True, False), [real(2, 3, 9)]),
        Case("avg_pool1d unbatched", functional("avg_pool1d", (2,)), [real(3, 9)]),
        Case("lp_pool1d", functional("lp_pool1d", 2, 3, 2, True), [away(2, 3, 8)]),
        Case("torch.max_pool2d", lambda lib, x: lib.max_pool2d(x, 2, 1), [distinct(2, 3, 5, 7)]),
        Case("torch.max_pool1d", lambda lib, x: lib.max_pool1d(x, 2, 1), [distinct(2, 3, 9)]),
        Case("torch.avg_pool1d", lambda lib, x: lib.avg_pool1d(x, 2, 1), [real(2, 3, 9)]),
        Case("torch.max_pool1d_with_indices", lambda lib, x: lib.max_pool1d_with_indices(x, 2), [distinct(2, 3, 9)]),
        Case("max_pool2d_with_indices", functional("max_pool2d_with_indices", 2), [distinct(2, 3, 5, 7)]),
        Case("torch.adaptive_avg_pool1d", lambda lib, x: lib.adaptive_avg_pool1d(x, 4), [real(2, 3, 9)]),
        Case("adaptive_avg_pool1d", functional("adaptive_avg_pool1d", 5), [real(2, 3, 8)]),
        Case("adaptive_avg_pool1d unbatched", functional("adaptive_avg_pool1d", 4), [real(3, 8)], empty=False),
        Case("adaptive_max_pool1d", functional("adaptive_max_pool1d", 5, True), [distinct(2, 3, 8)]),
    ] + [
        Case(f"adaptive_avg_pool2d {o}", functional("adaptive_avg_pool2d", o), [real(2, 3, 5, 7)], large=LARGE, empty=False)
        for o in (1, 3, (None, 2), (5, 7), (7, 9), [2, None])
    ] + [
        Case(f"adaptive_max_pool2d {o}", functional("adaptive_max_pool2d", o, i), [distinct(2, 3, 5, 7)], large=LARGE_DISTINCT)
        for o, i in ((1, False), (3, True), ((None, 2), False), ((7, 9), True))
    ] + [
        Case("adaptive_avg_pool2d unbatched", functional("adaptive_avg_pool2d", 2), [real(3, 5, 7)], empty=False),
        Case("max_unpool2d", there_and_back({"kernel_size": 2}), [distinct(2, 3, 6, 4)], empty=False),
        Case("max_unpool2d with size", there_and_back({"kernel_size": 3, "stride": 3}, (7, 11)), [distinct(2, 3, 7, 11)], empty=False),
        Case("max_unpool2d with the whole size", there_and_back({"kernel_size": 2}, (2, 3, 5, 7)), [distinct(2, 3, 5, 7)], empty=False),
        Case("max_unpool2d unbatched", there_and_back({"kernel_size": (2, 1), "stride": 2, "padding": (1, 0)}), [distinct(3, 6, 7)], empty=False),
        Case("max_unpool1d", there_and_back({"kernel_size": 2}, (9,), 1), [distinct(2, 3, 9)], empty=False),
    ]  # fmt: skip


@st.composite
def pools(draw: Any) -> tuple[tuple[int, ...], dict[str, Any]]:
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 20)), draw(st.integers(1, 40)))
    pair = lambda low, high: st.tuples(st.integers(low, high), st.integers(low, high))  # noqa: E731
    kernel, stride, dilation = draw(pair(1, 5)), draw(pair(1, 4)), draw(pair(1, 3))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}
    return shape, {**options, "dilation": dilation}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(pools(), st.booleans())
def test_max_pools_of_any_shape(dtype: str, pool: Any, ties: bool) -> None:
    shape, options = pool
    try:
        y = torch.nn.functional.max_pool2d(torch.zeros(shape), **options, return_indices=True)[1]
    except RuntimeError:
        with pytest.raises(RuntimeError):
            F.max_pool2d(minigrad.zeros(*shape), **options)
        return
    assume(not y.numel() or int(y.max()) < shape[2] * shape[3])  # PyTorch's windows without a place
    x = Input(shape, lambda rng, s: rng.integers(0, 3, s) * 1.0) if ties else real(*shape)
    agree(functional("max_pool2d", return_indices=True, **options), x, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(pools(), st.booleans(), st.sampled_from([None, None, 3]))
def test_avg_pools_of_any_shape(dtype: str, pool: Any, include: bool, divisor: int | None) -> None:
    shape, options = pool
    del options["dilation"]
    options |= {"count_include_pad": include, "divisor_override": divisor}
    try:
        torch.nn.functional.avg_pool2d(torch.zeros(shape), **options)
    except RuntimeError:
        with pytest.raises(RuntimeError):
            F.avg_pool2d(minigrad.zeros(*shape), **options)
        return
    tolerance = 1e-10 if dtype == "float64" else 2e-6
    agree(functional("avg_pool2d", **options), real(*shape), dtype=dtype, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["adaptive_avg_pool2d", "adaptive_max_pool2d"])
@given(
    st.tuples(*[st.integers(1, 12)] * 2), st.tuples(*[st.integers(1, 14)] * 2), st.sampled_from(["float64", "float32"])
)
def test_adaptive_pools_of_any_shape(name: str, plane: Any, out: Any, dtype: str) -> None:
    tolerance = 1e-10 if dtype == "float64" else 2e-6
    agree(functional(name, out), real(2, 3, *plane), dtype=dtype, rtol=tolerance, atol=tolerance)


# --- choices where the mathematics leaves one ------------------------------------------------------------------------

INF, NAN = math.inf, math.nan
SPECIAL = {
    "all equal": np.ones((4, 6)),
    "zeros of both signs": np.array([[0.0, -0.0, 0.0, -0.0]] * 4),
    "-inf": np.full((4, 6), -INF),
    "-inf rows": np.array([[-INF] * 6, [1.0] * 6, [-INF] * 6, [-INF] * 6]),
    "inf": np.array([[INF, 1.0, -INF, INF]] * 4),
    "NaN": np.array([[1.0, NAN, 2.0, 3.0], [NAN, 0.0, 5.0, 4.0], [1.0, 2.0, 3.0, NAN], [INF, NAN, NAN, 0.0]]),
}


@pytest.mark.parametrize("pool", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 1, "padding": 1}], ids=["2", "3"])
@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ties_and_special_numbers_are_pytorchs(name: str, pool: Any, dtype: str) -> None:
    x = np.tile(SPECIAL[name], (2, 3, 2, 6)).astype(dtype)
    for call in (functional("max_pool2d", return_indices=True, **pool), functional("adaptive_max_pool2d", 3, True)):
        got, want = evaluate(minigrad, call, [x], [True]), evaluate(torch, call, [x], [True])
        for a, b in zip([*got.values, *got.grads], [*want.values, *want.grads], strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_first_of_equals_gets_all_of_the_gradient() -> None:
    x = minigrad.ones(1, 1, 2, 4, requires_grad=True)
    F.max_pool2d(x, 2).backward(minigrad.tensor([[[[2.0, 3.0]]]]))
    assert x.grad.tolist() == [[[[2.0, 0.0, 3.0, 0.0], [0.0] * 4]]]


def test_overlapping_windows_add_up() -> None:
    x = minigrad.tensor([[[0.0, 5.0, 1.0, 2.0]]], requires_grad=True)
    F.max_pool1d(x, 2, 1).backward(minigrad.tensor([[[1.0, 10.0, 100.0]]]))
    assert x.grad.tolist() == [[[0.0, 11.0, 0.0, 100.0]]]
    y = minigrad.zeros(1, 1, 3, requires_grad=True)
    F.avg_pool1d(y, 2, 1).backward(minigrad.tensor([[[2.0, 20.0]]]))
    assert y.grad.tolist() == [[[1.0, 11.0, 10.0]]]


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_window_of_zeros_has_no_slope(p: float, dtype: str) -> None:
    values = np.zeros((1, 1, 8, 16), dtype)
    values[..., 3, 5] = 2.0
    x = minigrad.tensor(values, requires_grad=True)
    y = F.lp_pool2d(x, p, 2)
    y.backward(minigrad.full(tuple(y.shape), 3.0, dtype=x.dtype))
    np.testing.assert_allclose(x.grad.numpy(), np.where(values > 0, 3.0, 0.0), rtol=1e-6)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
def test_a_window_of_zeros_has_no_second_derivative(p: float) -> None:
    x = minigrad.zeros(1, 1, 4, 4, dtype=minigrad.float64, requires_grad=True)
    y = F.lp_pool2d(x, p, 2, 1)
    (g,) = minigrad.autograd.grad(y, x, minigrad.ones_like(y) * 3.0, create_graph=True)
    (h,) = minigrad.autograd.grad(g, x, minigrad.ones_like(g) * 2.0)
    assert not g.detach().numpy().any()
    assert not h.numpy().any()


def test_norms_are_of_absolute_values_where_pytorchs_are_not() -> None:
    values = np.array([[[-1.0, 2.0, -3.0, -4.0]]])
    x, t = minigrad.tensor(values), torch.tensor(values)
    assert F.lp_pool1d(x, 1, 2).tolist() == [[[3.0, 7.0]]]  # Σ |x|
    assert torch.nn.functional.lp_pool1d(t, 1, 2).tolist() == [[[1.0, -7.0]]]  # Σ x
    np.testing.assert_allclose(F.lp_pool1d(x, 3, 2).numpy(), [[[9 ** (1 / 3), 91 ** (1 / 3)]]])
    assert math.isnan(torch.nn.functional.lp_pool1d(t, 3, 2)[0, 0, 1].item())
    assert torch.nn.functional.lp_pool1d(t, 1.5, 2).isnan().all()


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_norms_of_numbers_of_both_signs(p: float) -> None:
    """Against the same in PyTorch with the absolute value written out."""

    def call(lib: Any, x: Any) -> Any:
        return lib.nn.functional.lp_pool2d(x if lib is minigrad else x.abs(), p, 3, 2)

    agree(call, away(2, 3, 9, 11))
    x = minigrad.tensor(np.asarray(away(1, 2, 4, 5).draw(np.random.default_rng(0), (1, 2, 4, 5))), requires_grad=True)
    assert gradcheck(lambda t: F.lp_pool2d(t, p, 2, 1), x)
    assert gradgradcheck(lambda t: F.lp_pool2d(t, p, 2, 1), x)


SECOND = {
    "max": lambda f, x: f.max_pool2d(x, 3, 2, 1), "avg": lambda f, x: f.avg_pool2d(x, 3, 2, 1),
    "lp": lambda f, x: f.lp_pool2d(x, 2, 3, 2), "parts": lambda f, x: f.adaptive_avg_pool2d(x, 3),
    "1d": lambda f, x: f.max_pool1d(x[0], 2),
}  # fmt: skip


@pytest.mark.parametrize("name", SECOND)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_second_derivatives_are_pytorchs(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    values, results = rng.standard_normal((2, 3, 8, 9)).astype(dtype), []
    weights: list[Any] = []
    for lib in (torch, minigrad):
        x = lib.tensor(values, requires_grad=True)
        y = SECOND[name](lib.nn.functional, x * x)
        weights = weights or [rng.standard_normal(tuple(y.shape)).astype(dtype), rng.standard_normal(values.shape)]
        u, v = lib.tensor(weights[0], requires_grad=True), lib.tensor(weights[1].astype(dtype))
        (g,) = lib.autograd.grad(y, x, u, create_graph=True)
        results.append([h.numpy() for h in lib.autograd.grad(g, [x, u], v)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10 if dtype == "float64" else 1e-4, atol=1e-5 * (dtype == "float32"))


def test_indices_may_not_change_before_the_walk_back() -> None:
    x = minigrad.randn(2, 3, 4, 4, dtype=minigrad.float64, requires_grad=True)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    z = F.max_unpool2d(y, indices, 2)
    indices.zero_()  # both ops hold places of their own
    z.backward(minigrad.ones_like(z))
    assert x.grad.sum().item() == y.numel()
    assert indices.dtype == minigrad.int64
    assert not indices.requires_grad


# --- refusals ---------------------------------------------------------------------------------------------------------

ZEROS = minigrad.zeros(2, 3, 6, 8)
REFUSED: dict[str, Any] = {
    "padding": (lambda: F.max_pool2d(ZEROS, 2, padding=2), ShapeError, r"max_pool2d: padding 2 is more than half of the kernel's height, 2: .*Use padding <= 1"),
    "padding of columns": (lambda: F.avg_pool2d(ZEROS, 3, padding=(1, 2)), ShapeError, r"kernel's width, 3"),
    "kernel": (lambda: F.avg_pool2d(ZEROS, 7), ShapeError, r"shape \(2, 3, 6, 8\) gives an output of height 0: ⌊\(6 \+ 2·0 − 1·\(7 − 1\) − 1\) / 7⌋ \+ 1, .*must fit"),
    "columns": (lambda: F.max_pool2d(ZEROS, (1, 9), 1), ShapeError, r"output of width 0: ⌊\(8 \+ 2·0"),
    "1d": (lambda: F.max_pool1d(ZEROS[0], 9, 1, ceil_mode=True), ShapeError, r"max_pool1d: input of shape \(3, 6, 8\) gives an output of length 0: ⌈.*⌉"),
    "stride": (lambda: F.lp_pool2d(ZEROS, 2, 2, 0), ShapeError, r"lp_pool2d: stride must be at least 1, got 0"),
    "negative kernel": (lambda: F.max_pool2d(ZEROS, -2), ShapeError, r"kernel_size must be at least 1, got -2"),
    "negative padding": (lambda: F.avg_pool2d(ZEROS, 2, padding=(0, -1)), ShapeError, r"padding must be at least 0, got \(0, -1\)"),
    "dilation": (lambda: F.max_pool2d(ZEROS, 2, dilation=0), ShapeError, r"dilation must be at least 1"),
    "float kernel": (lambda: F.max_pool2d(ZEROS, 2.0), TypeError, r"kernel_size must be an integer or a tuple of 2, got 2\.0"),
    "three sizes": (lambda: F.max_pool2d(ZEROS, (2, 2, 2)), ShapeError, r"kernel_size must be an integer or a tuple of 2"),
    "rank": (lambda: F.max_pool2d(ZEROS[0, 0], 2), ShapeError, r"input must have shape \(N, C, H, W\) or \(C, H, W\), got \(6, 8\)"),
    "rank of 1d": (lambda: F.avg_pool1d(ZEROS, 2), ShapeError, r"avg_pool1d: input must have shape \(N, C, L\) or \(C, L\)"),
    "empty plane": (lambda: F.max_pool2d(ZEROS[:, :, :0], 2), ShapeError, r"only the batch .* may be empty, got shape \(2, 3, 0, 8\)"),
    "padding alone": (lambda: F.max_pool2d(ZEROS[:, :, :2], (2, 1), 1, (1, 0), (3, 1)), ShapeError, r"lies in the padding alone"),
    "p": (lambda: F.lp_pool2d(ZEROS, 0.5, 2), ValueError, r"norm_type must be at least 1.*got 0\.5"),
    "NaN p": (lambda: F.lp_pool1d(ZEROS[0], NAN, 2), ValueError, r"lp_pool1d: norm_type must be at least 1"),
    "word p": (lambda: F.lp_pool2d(ZEROS, "2", 2), TypeError, r"norm_type must be a number, got '2'"),
    "divisor": (lambda: F.avg_pool2d(ZEROS, 2, divisor_override=0), ValueError, r"divisor_override must not be 0"),
    "float divisor": (lambda: F.avg_pool2d(ZEROS, 2, divisor_override=1.5), TypeError, r"divisor_override must be an integer"),
    "output size": (lambda: F.adaptive_avg_pool2d(ZEROS, 0), ShapeError, r"output_size must be at least 1 .*got 0"),
    "negative output": (lambda: F.adaptive_max_pool2d(ZEROS, (2, -1)), ShapeError, r"output_size must be at least 1 .*got \(2, -1\)"),
    "output type": (lambda: F.adaptive_avg_pool1d(ZEROS[0], 2.5), TypeError, r"output_size must be an integer or a tuple of 1"),
    "integers": (lambda: F.max_pool2d(ZEROS.long(), 2), DtypeError, r"max_pool2d: input has dtype minigrad.int64, expected a floating one"),
    "integer mean": (lambda: F.adaptive_avg_pool2d(ZEROS.int(), 2), DtypeError, r"adaptive_avg_pool2d: input has dtype"),
    "list": (lambda: F.max_pool2d([[1.0]], 2), TypeError, r"max_pool2d: input must be a Tensor, got list"),
    "unpool index": (lambda: F.max_unpool2d(ZEROS, ZEROS.long() + 192, 2), IndexError, r"index 192 is outside the output of 12 × 16 places \(0 to 191\)"),
    "negative index": (lambda: F.max_unpool2d(ZEROS, ZEROS.long() - 1, 2), IndexError, r"max_unpool2d: index -1 is outside"),
    "unpool dtype": (lambda: F.max_unpool2d(ZEROS, ZEROS, 2), DtypeError, r"indices must be int64, got minigrad.float32"),
    "unpool shape": (lambda: F.max_unpool2d(ZEROS, ZEROS[:1].long(), 2), ShapeError, r"indices have shape \(1, 3, 6, 8\), input \(2, 3, 6, 8\)"),
    "unpool size": (lambda: F.max_unpool2d(ZEROS, ZEROS.long(), 2, output_size=(14, 16)), ShapeError, r"output_size \(14, 16\) does not fit .*stride \(2, 2\) away from \(12, 16\)"),
    "unpool nothing": (lambda: F.max_unpool1d(ZEROS[0, :, :, :1], ZEROS[0, :, :, :1].long(), 2, 1, 1), ShapeError, r"make an output of \(0,\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    mistake, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        mistake()


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("avg_pool2d", (2,)),
        ("avg_pool2d", (3, 1, 1)),
        ("adaptive_avg_pool2d", (1,)),
        ("adaptive_avg_pool2d", (3,)),
        ("lp_pool2d", (2, 2)),
        ("lp_pool2d", (3, 2)),
    ],
)
def test_half_precision_is_summed_in_single(name: str, args: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).uniform(200, 60000 if "avg" in name else 20000, (2, 2, 4, 4)).astype(np.float16)
    results = []
    for dtype in (np.float16, np.float64):
        t = minigrad.tensor(x.astype(dtype), requires_grad=True)
        y = getattr(F, name)(t, *args)
        y.backward(minigrad.tensor(np.random.default_rng(1).standard_normal(y.shape).astype(dtype)))
        assert y.dtype == t.grad.dtype == t.dtype
        results.append((y.detach().numpy(), t.grad.numpy()))
    for half, exact in zip(*results, strict=True):
        np.testing.assert_allclose(half, exact, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("where", ["kernels", "textbook"])
def test_the_mean_of_a_large_plane_keeps_its_digits(where: str) -> None:
    x = minigrad.full((1, 2, 1000, 1024), 0.1)
    with kernels.disabled() if where == "textbook" else contextlib.nullcontext():
        for y in (F.adaptive_avg_pool2d(x, 1), F.avg_pool2d(x, (1000, 1024))):
            np.testing.assert_allclose(y.numpy(), np.float32(0.1), rtol=2e-5)
