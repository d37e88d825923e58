"""Reductions against PyTorch: sums, products, moments, extrema, norms, running sums."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from op_suite import Case, OpSuite, agree, away, distinct, given, real, torch

import minigrad
from minigrad.errors import DtypeError, ShapeError

# How the axes are named; every reduction goes through all of them on a (2, 3, 4) tensor.
AXES: dict[str, dict[str, Any]] = {
    "all": {},
    "dim=1": {"dim": 1},
    "dim=-1, keepdim": {"dim": -1, "keepdim": True},
    "dim=(0, 2)": {"dim": (0, 2)},
    "dim=(-1, 0), keepdim": {"dim": (-1, 0), "keepdim": True},
}
ONE_AXIS = {"dim=0": {"dim": 0}, "dim=-2, keepdim": {"dim": -2, "keepdim": True}}

SEVERAL = {
    "sum": real,
    "mean": real,
    "var": real,
    "std": real,
    "amax": distinct,
    "amin": distinct,
    "norm": away,
    "logsumexp": real,
}


def apply(name: str, options: dict[str, Any]) -> Any:
    if name == "logsumexp" and not options:
        options = {"dim": (0, 1, 2)}  # PyTorch insists on naming the axes
    return lambda lib, x: getattr(x, name)(**options)


# fmt: off
class TestReductions(OpSuite):
    cases = [
        Case(f"{name}, {axes}", apply(name, options), [make(2, 3, 4)], large=[make(7, 31, 29)], rtol=2e-5, atol=2e-5)
        for name, make in SEVERAL.items()
        for axes, options in AXES.items()
    ] + [
        Case(f"{name}, {axes}", apply(name, options), [make(2, 3, 4)])
        for name, make in {"prod": away, "max": distinct, "min": distinct, "median": distinct, "argmax": distinct, "argmin": distinct}.items()
        for axes, options in ONE_AXIS.items()
    ] + [
        Case(f"{name} of all", lambda lib, x, name=name: getattr(lib, name)(x), [make(2, 3)], empty=name != "median")
        for name, make in {"prod": away, "max": distinct, "min": distinct, "median": distinct, "argmax": distinct, "argmin": distinct, "norm": away}.items()
    ] + [
        Case(f"{name} of no axes", lambda lib, x, name=name: getattr(x, name)(dim=0), [make()])
        for name, make in {**SEVERAL, "prod": away, "max": distinct, "min": distinct, "argmax": distinct, "cumsum": real}.items()
        if name not in ("var", "std")
    ] + [
        Case(f"norm p={p}, {axes}", lambda lib, x, p=p, o=options: x.norm(p, **o) if o else x.norm(p), [away(2, 3, 4)], rtol=2e-5)
        for p in (0, 1, 1.5, 2, 3, 4, math.inf, -math.inf, "fro")
        for axes, options in (("all", {}), ("dim=1", {"dim": 1}), ("dim=(0, 2), keepdim", {"dim": (0, 2), "keepdim": True}))
        if not (p == "fro" and axes == "dim=1")
    ] + [
        Case("var, correction 0", lambda lib, x: x.var(dim=1, correction=0), [real(3, 5)]),
        Case("var, correction 2, keepdim", lambda lib, x: x.var(dim=(0, 1), correction=2, keepdim=True), [real(3, 5)]),
        Case("var, biased", lambda lib, x: x.var(unbiased=False), [real(3, 5)]),
        Case("var(False)", lambda lib, x: x.var(False), [real(3, 5)]),
        Case("var(0, False)", lambda lib, x: x.var(0, False), [real(3, 5)]),
        Case("std, correction 0", lambda lib, x: lib.std(x, dim=0, correction=0), [real(3, 5)]),
        Case("std, biased, keepdim", lambda lib, x: x.std(1, unbiased=False, keepdim=True), [real(3, 5)]),
        Case("var_mean", lambda lib, x: lib.var_mean(x, dim=1, keepdim=True), [real(3, 5)]),
        Case("prod, one zero", lambda lib, x: x.prod(dim=1), [given([[1.0, 0.0, 3.0], [2.0, 4.0, 5.0]])]),
        Case("prod, two zeros", lambda lib, x: x.prod(), [given([[1.0, 0.0, 3.0], [2.0, 0.0, 5.0]])]),
        Case("prod, zeros along the middle", lambda lib, x: x.prod(1, keepdim=True), [given(np.arange(12.0).reshape(2, 3, 2) - 4)]),
        Case("amax, ties", lambda lib, x: x.amax(dim=1), [given([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]])], smooth=False),
        Case("amin, ties", lambda lib, x: x.amin(), [given([[1.0, 2.0, 1.0], [3.0, 1.0, 3.0]])], smooth=False),
        Case("max of all, ties", lambda lib, x: x.max(), [given([[1.0, 3.0, 2.0], [3.0, 1.0, 3.0]])], smooth=False),
        Case("max along an axis, ties", lambda lib, x: x.max(dim=1), [given([[1.0, 3.0, 3.0], [2.0, 2.0, 1.0]])], smooth=False),
        Case("min along an axis, ties", lambda lib, x: x.min(0), [given([[1.0, 3.0], [1.0, 2.0], [1.0, 2.0]])], smooth=False),
        Case("inf-norm, ties", lambda lib, x: x.norm(math.inf), [given([-3.0, 1.0, 3.0])], smooth=False),
        Case("2-norm of zeros", lambda lib, x: x.norm(dim=1), [given([[0.0, 0.0], [3.0, 4.0]])], smooth=False),
        Case("1-norm with zeros", lambda lib, x: x.norm(1), [given([0.0, -2.0, 3.0])], smooth=False),
        Case("0.5-norm with zeros", lambda lib, x: x.norm(0.5, dim=1), [given([[0.0, -2.0], [3.0, 4.0]])], smooth=False),
        Case("3-norm with zeros", lambda lib, x: x.norm(3, dim=1), [given([[0.0, -2.0], [0.0, 0.0]])], smooth=False),
        Case("std of equal numbers", lambda lib, x: x.std(dim=1), [given([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]])], smooth=False),
        Case("logsumexp with infinities", lambda lib, x: x.logsumexp(1), [given([[-math.inf, 1.0], [1e4, 1e4]])], smooth=False),
        Case("cumsum", lambda lib, x: x.cumsum(1), [real(3, 5)], large=[real(31, 50)], rtol=2e-5),
        Case("cumsum, dim=-2", lambda lib, x: lib.cumsum(x, dim=-2), [real(2, 3, 4)]),
        Case("sum, dtype", lambda lib, x: x.sum(dim=1, dtype=lib.float64), [real(3, 4)]),
        Case("mean, dtype", lambda lib, x: x.mean(dtype=lib.float64), [real(3, 4)]),
        Case("sum over ()", lambda lib, x: x.sum(dim=()), [real(3, 4)]),
        Case("normalize", lambda lib, x: lib.nn.functional.normalize(x), [away(3, 4)]),
        Case("normalize p=1, dim=0", lambda lib, x: lib.nn.functional.normalize(x, p=1.0, dim=0), [away(3, 4)]),
        Case("normalize a zero row", lambda lib, x: lib.nn.functional.normalize(x), [given([[0.0, 0.0], [3.0, 4.0]])], smooth=False),
    ]
# fmt: on


@st.composite
def shape_and_axes(draw: Any) -> Any:
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=len(shape), unique=True))
    signed = tuple(a - len(shape) if draw(st.booleans()) else a for a in axes)
    return shape, signed, draw(st.booleans())


@pytest.mark.parametrize("name", ["sum", "mean"])
@examples(shape_and_axes())
def test_any_axes_of_any_shape(name: str, drawn: Any) -> None:
    shape, axes, keepdim = drawn
    agree(lambda lib, x: getattr(x, name)(dim=axes, keepdim=keepdim), real(*shape))


@examples(shape_and_axes(), st.integers(0, 2))
def test_prod_with_any_zeros(drawn: Any, zeros: int) -> None:
    shape, axes, keepdim = drawn
    n = int(np.prod(shape))
    values = np.linspace(-2.0, 2.3, n) if n else np.zeros(0)
    values[np.random.default_rng(n).permutation(n)[:zeros]] = 0.0
    agree(lambda lib, x: x.prod(dim=axes[0], keepdim=keepdim), given(values.reshape(shape)))


def test_numpy_spellings() -> None:
    x = minigrad.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert x.sum(axis=0).tolist() == [4.0, 7.0]
    assert x.mean(axis=1, keepdims=True).tolist() == [[1.5], [4.0]]
    assert x.var(axis=0, ddof=0).tolist() == [1.0, 2.25]
    assert x.std(axis=1, ddof=0).tolist() == [0.5, 1.0]
    assert x.max(axis=1).values.tolist() == [2.0, 5.0]
    assert x.argmax(axis=0, keepdims=True).tolist() == [[1, 1]]
    assert x.cumsum(axis=1).tolist() == [[1.0, 3.0], [3.0, 8.0]]
    assert x.prod(axis=0).tolist() == [3.0, 10.0]
    assert minigrad.logsumexp(x, axis=1, keepdims=True).shape == (2, 1)
    assert x.norm(axis=1).tolist() == pytest.approx([5**0.5, 34**0.5])


def test_max_and_min_name_their_parts() -> None:
    found = minigrad.tensor([[1.0, 3.0, 3.0]]).max(dim=1)
    assert found.values.tolist() == [3.0]
    assert found.indices.tolist() == [1]
    assert found.indices.dtype == minigrad.int64
    values, indices = minigrad.min(minigrad.tensor([2.0, 1.0, 1.0]), 0)
    assert (values.item(), indices.item()) == (1.0, 1)


@pytest.mark.parametrize(
    "name", ["sum", "prod", "cumsum", "mean", "std", "amax", "argmax", "all", "any", "count_nonzero"]
)
@pytest.mark.parametrize("kind", ["uint8", "int32", "int64", "bool", "float16"])
def test_dtypes_of_reductions(name: str, kind: str) -> None:
    results = []
    for lib in (minigrad, torch):
        x = lib.tensor([[1, 0, 1], [1, 1, 0]], dtype=getattr(lib, kind))
        try:
            y = getattr(lib, name)(x, dim=1)
        except (RuntimeError, TypeError) as error:
            results.append(type(error).__name__ != "AttributeError")
        else:
            results.append((str(y.dtype).split(".")[-1], [round(float(v), 2) for v in y.flatten()]))
    if (name, kind) == ("argmax", "bool"):
        return  # PyTorch refuses
    assert results[0] == results[1]


def test_all_and_any() -> None:
    x = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    for options in ({}, {"dim": 0}, {"dim": -1, "keepdim": True}):
        for name in ("all", "any"):
            got, want = (getattr(lib.tensor(x), name)(**options) for lib in (minigrad, torch))
            assert got.tolist() == want.tolist()
    assert minigrad.zeros(0).all().item() is True
    assert minigrad.zeros(0).any().item() is False
    assert minigrad.count_nonzero(minigrad.tensor(x)).item() == 5


def test_sums_of_many_float32_keep_their_digits() -> None:
    x = minigrad.full((1 << 20,), 0.1)
    assert x.sum().item() == pytest.approx(104857.6, rel=1e-6)
    assert x.mean().item() == pytest.approx(0.1, rel=1e-6)
    assert (x + 1000).var().item() < 1e-6


def test_logsumexp_of_nothing_but_minus_infinity() -> None:
    x = minigrad.full((2, 3), -math.inf, requires_grad=True)
    y = x.logsumexp(1)
    y.backward(minigrad.tensor([1.0, 2.0]))
    assert y.tolist() == [-math.inf, -math.inf]
    assert x.grad.tolist() == [[0.0] * 3] * 2  # where PyTorch has NaN


def test_nan_is_not_hidden() -> None:
    x = minigrad.tensor([1.0, math.nan, 3.0])
    for y in (
        x.max(),
        x.min(),
        x.amax(),
        x.sum(),
        x.mean(),
        x.max(0).values,
        x.norm(),
        x.logsumexp(0),
        x.std(),
    ):
        assert math.isnan(y.item())
    assert x.argmax().item() == 1


def test_median_of_equal_elements_and_of_nan() -> None:
    torch = pytest.importorskip("torch")
    nan = float("nan")
    rows = [[1.0, nan, 2.0, nan], [3.0, 1.0, 2.0, 2.0], [4.0, 4.0, 4.0, 1.0]]
    for data in (rows[0], rows[1], rows[2], rows[1:], [[2.0, 3.0], [2.0, 2.0]]):
        results = []
        for lib in (minigrad, torch):
            x = lib.tensor(data, dtype=lib.float64, requires_grad=True)
            y = lib.median(x)
            (y * -1.5).backward()
            results.append((y.detach().numpy(), x.grad.numpy()))
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    ours = minigrad.tensor(rows).median(1)
    np.testing.assert_array_equal(ours.values.numpy(), [nan, 2, 4])
    assert ours.indices[0].item() == 1
    assert minigrad.tensor([5, 1, 3, 3]).median().item() == 3


def test_refusals() -> None:
    x = minigrad.ones(2, 3)
    with pytest.raises(IndexError, match="sum: dim 2 is out of range"):
        x.sum(2)
    with pytest.raises(ShapeError, match="twice"):
        x.sum((0, -2))
    with pytest.raises(DtypeError, match=r"mean.*int64"):
        minigrad.ones(2, dtype=minigrad.int64).mean()
    for name in ("max", "min", "amax", "argmax", "median"):
        with pytest.raises((ShapeError, IndexError), match="no element"):
            getattr(minigrad.zeros(0), name)()
    with pytest.raises(TypeError, match="dim is missing"):
        x.cumsum()
    with pytest.raises(ValueError, match="norm: p"):
        x.norm("nuclear")
    with pytest.raises(TypeError, match="dim must be an integer"):
        x.sum("rows")


# --- the ends of the range --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("correction", [2, 3, 4, 5.5])
def test_no_more_numbers_than_the_correction(name: str, correction: float) -> None:
    for values in ([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]):
        found = []
        for lib in (minigrad, torch):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append(getattr(lib.tensor(values), name)(correction=correction).item())
        assert found[0] == pytest.approx(found[1], nan_ok=True)


@pytest.mark.parametrize("mean", [0.0, 1e6, -1e6])
@pytest.mark.parametrize("dim", [None, 0, 1])
def test_variance_beside_a_large_mean(mean: float, dim: int | None) -> None:
    x = np.float32(mean) + np.random.default_rng(0).choice([-1.0, 1.0], (700, 300)).astype(np.float32)
    t = minigrad.tensor(x, requires_grad=True)
    y = t.var(dim)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(y.detach().numpy(), wide.var(axis=dim, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(t.std(dim).detach().numpy(), wide.std(axis=dim, ddof=1), rtol=1e-6)
    up = np.random.default_rng(1).random(y.shape, np.float32)
    y.backward(minigrad.from_numpy(np.asarray(up)))
    n = x.size if dim is None else x.shape[dim]
    up = up if dim is None else np.expand_dims(up, dim)
    slope = 2 * (wide - wide.mean(axis=dim, keepdims=True)) / (n - 1)
    np.testing.assert_allclose(t.grad.numpy(), up * slope, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize(
    ("dtype", "huge"), [("float16", 3e4), ("float32", 1e20), ("float32", 1e-30), ("float64", 1e200)]
)
@pytest.mark.parametrize("p", [1, 2, 3, 0.5, 7])
def test_norms_whose_powers_do_not_fit(dtype: str, huge: float, p: float) -> None:
    x = minigrad.tensor(np.array([huge, -huge / 2, 0.0]), dtype=getattr(minigrad, dtype), requires_grad=True)
    unit = np.array([1.0, 0.5, 0.0])
    y = x.norm(p=p)
    length = (unit**p).sum() ** (1 / p)
    if huge * length > float(np.finfo(dtype).max):
        return
    y.backward(minigrad.tensor(2.0, dtype=getattr(minigrad, dtype)))
    rtol = 2e-3 if dtype == "float16" else 1e-6
    np.testing.assert_allclose(y.item(), huge * length, rtol=rtol)
    slope = 2 * np.where(unit > 0, np.where(unit > 0, unit / length, 1) ** (p - 1), 0) * [1, -1, 1]
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=rtol)


def test_std_fits_where_the_variance_does_not() -> None:
    x = minigrad.tensor([1e20, -1e20], requires_grad=True)
    y = x.std(correction=0)
    y.backward(minigrad.tensor(3.0))
    assert y.item() == pytest.approx(1e20)
    np.testing.assert_allclose(x.grad.numpy(), [1.5, -1.5], rtol=1e-6)


def test_nan_goes_through_logsumexp_and_back() -> None:
    for values in ([math.nan, 1.0], [-math.inf, 1.0], [-math.inf, math.nan], [math.inf, 0.0], [-math.inf, -math.inf]):
        found = []
        for lib in (minigrad, torch):
            x = lib.tensor(values, requires_grad=True)
            with np.errstate(all="ignore"):
                y = lib.logsumexp(x, 0)
                y.backward(lib.tensor(2.5))
            # PyTorch has NaN for the gradient of −∞ beside nothing else; here what adds nothing has none.
            want = [0.0 if v == -math.inf else g for v, g in zip(values, x.grad.tolist(), strict=True)]
            found.append([y.item(), *(want if lib is torch else x.grad.tolist())])
        np.testing.assert_equal(found[0], found[1])


def test_the_number_of_numbers_that_are_not_0_is_constant() -> None:
    x = minigrad.tensor([0.0, 2.0, -3.0], requires_grad=True)
    y = x.norm(p=0) + x.sum()
    y.backward(minigrad.tensor(2.0))
    assert (x.norm(p=0).item(), x.grad.tolist()) == (2.0, [2.0, 2.0, 2.0])


def test_a_mean_of_integers_is_refused() -> None:
    with pytest.raises(DtypeError, match=r"mean: input has dtype minigrad\.int64"):
        minigrad.ones(3).mean(dtype=minigrad.int64)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize(("power", "second"), [(1, 0.0), (2, 2.0), (3, 0.0), (4, 0.0)])
def test_the_second_derivative_of_a_norm_at_0(power: int, second: float, rows: bool) -> None:
    x = minigrad.tensor([[0.0, 0.0], [3.0, 4.0]] if rows else [[0.0, 0.0]], dtype=minigrad.float64, requires_grad=True)
    y = (x.norm(dim=1) ** power).sum()
    (dx,) = minigrad.autograd.grad(y, x, create_graph=True)
    v = np.random.default_rng(0).standard_normal(x.shape)
    (found,) = minigrad.autograd.grad(dx, x, minigrad.from_numpy(v))
    assert dx.tolist()[0] == [0.0, 0.0]
    np.testing.assert_allclose(found.numpy()[0], second * v[0])
    if rows and power == 2:
        np.testing.assert_allclose(found.numpy()[1], 2 * v[1])
