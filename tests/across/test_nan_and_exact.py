"""NaN through values and gradients, and numbers that must be exact, against PyTorch."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad import kernels
from minigrad.errors import DtypeError


def upstream_and_down(lib: Any, call: Any, *arrays: Any) -> list[Any]:
    """y and the gradients of all arguments, for an upstream gradient of random numbers and one that is 1."""
    leaves = [lib.tensor(a, requires_grad=True) for a in arrays]
    y = call(lib, *leaves)
    dy = np.random.default_rng(0).uniform(0.5, 2, tuple(y.shape))
    grads = lib.autograd.grad(y, leaves, lib.tensor(dy.astype(arrays[0].dtype)))
    return [y.detach().numpy(), *[g.numpy() for g in grads]]


NAN = np.array([[1.0, math.nan, -2.0, math.nan], [0.0, 3.0, 3.0, -1.0]])
THROUGH: dict[str, Any] = {
    "relu": lambda lib, x: lib.relu(x),
    "maximum": lambda lib, x: lib.maximum(x, x.detach() * 0.0),
    "minimum": lambda lib, x: lib.minimum(x.flip(1).detach(), x),
    "max of two": lambda lib, x: lib.max(x, x.detach().flip(0)),
    "max": lambda lib, x: lib.max(x),
    "min": lambda lib, x: lib.min(x),
    "max along": lambda lib, x: lib.max(x, 1).values,
    "min along": lambda lib, x: lib.min(x, 0).values,
    "median": lambda lib, x: lib.median(x),
    "median along": lambda lib, x: lib.median(x, 1).values,
    "sort": lambda lib, x: lib.sort(x, dim=1, descending=True, stable=True).values,
    "topk": lambda lib, x: lib.topk(x, 2, 0).values,
    "clamp": lambda lib, x: x.clamp(-1, 2),
    "abs": lambda lib, x: abs(x),
    "sign": lambda lib, x: lib.sign(x) * x,
    "where": lambda lib, x: lib.where(x > 0, x, 2 * x),
    "max_pool1d": lambda lib, x: lib.nn.functional.max_pool1d(x, 2),
    "adaptive_max_pool1d": lambda lib, x: lib.nn.functional.adaptive_max_pool1d(x, 3),
    "avg_pool1d": lambda lib, x: lib.nn.functional.avg_pool1d(x, 2),
    "lp_pool1d": lambda lib, x: lib.nn.functional.lp_pool1d(x, 2, 2),
} | {
    name: lambda lib, x, name=name: getattr(lib.nn.functional, name)(x)
    for name in ("leaky_relu", "sigmoid", "silu", "gelu", "softplus", "hardsigmoid", "logsigmoid", "tanh")
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", THROUGH)
def test_nan_passes_as_in_pytorch(name: str, dtype: str) -> None:
    with np.errstate(all="ignore"):
        got, want = (upstream_and_down(lib, THROUGH[name], NAN.astype(dtype)) for lib in (minigrad, torch))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6 if dtype == "float32" else 1e-7)


@pytest.mark.parametrize("name", ["relu", "relu6", "hardtanh"])
def test_a_piecewise_activation_passes_what_comes_to_a_nan(name: str) -> None:
    """PyTorch does so too, though for the last two in short arrays alone."""
    y, dx = upstream_and_down(minigrad, lambda lib, x: getattr(lib.nn.functional, name)(x), np.full(40, math.nan))
    np.testing.assert_array_equal(y, math.nan)
    np.testing.assert_array_equal(dx, np.random.default_rng(0).uniform(0.5, 2, 40))


def test_nan_passes_through_both_sides_of_a_maximum() -> None:
    a, b = np.array([1.0, math.nan, 2.0, math.nan]), np.array([math.nan, 1.0, 2.0, math.nan])
    for name in ("maximum", "minimum"):
        got, want = (
            upstream_and_down(lib, lambda lib, a, b, n=name: getattr(lib, n)(a, b), a, b) for lib in (minigrad, torch)
        )
        for x, y in zip(got, want, strict=True):
            np.testing.assert_array_equal(x, y)


def test_the_gradient_of_amax_goes_to_the_nans() -> None:
    """PyTorch shares it by 0/0: NaN for all."""
    x = minigrad.tensor(NAN, requires_grad=True)
    x.amax(1).backward(minigrad.tensor([3.0, 5.0], dtype=minigrad.float64))
    assert x.grad.tolist() == [[0.0, 1.5, 0.0, 1.5], [0.0, 2.5, 2.5, 0.0]]


@pytest.mark.parametrize("where", ["kernels", "textbook"])
@pytest.mark.parametrize("size", [5, 2000])
def test_relu_of_nan_by_every_path(size: int, where: str) -> None:
    with kernels.disabled() if where == "textbook" else contextlib.nullcontext():
        x = minigrad.full((size,), math.nan, requires_grad=True)
        y = minigrad.relu(x)
        y.backward(minigrad.full((size,), 2.5))
        assert bool(y.isnan().all())
        assert (x.grad.numpy() == 2.5).all()
        layer = minigrad.nn.Sequential(minigrad.nn.Linear(3, 50), minigrad.nn.ReLU())
        assert bool(layer(minigrad.full((40, 3), math.nan)).isnan().all())
        layer = minigrad.nn.Sequential(minigrad.nn.Conv2d(2, 4, 3), minigrad.nn.ReLU())
        assert bool(layer(minigrad.full((2, 2, 9, 9), math.nan)).isnan().all())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logarithms_of_exact_powers_are_exact(dtype: str) -> None:
    kind = getattr(minigrad, dtype)
    tens, twos = list(range(11)), np.arange(-120, 121)
    assert minigrad.log10(minigrad.tensor([10.0**n for n in tens], dtype=kind)).tolist() == tens
    assert minigrad.log2(minigrad.tensor(2.0**twos, dtype=kind)).tolist() == twos.tolist()
    assert minigrad.floor(minigrad.log10(minigrad.tensor(1000.0, dtype=kind))).item() == 3.0
    assert minigrad.tensor([8, 1000]).log2()[0].item() == 3.0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_reciprocal_root_of_signed_zeros_and_infinities(dtype: str) -> None:
    x = np.array([0.0, -0.0, math.inf, -math.inf, -1.0, math.nan, 4.0], dtype)
    with np.errstate(all="ignore"):
        got, want = (upstream_and_down(lib, lambda lib, x: lib.rsqrt(x), x) for lib in (minigrad, torch))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)
    assert got[0].tolist()[:3] == [math.inf, -math.inf, 0.0]
    assert np.isnan(got[0][3])


def test_hardtanh_of_integers() -> None:
    for dtype, low, high in (("int64", -1, 1), ("int32", -1.5, 2.7), ("uint8", 0, 6)):
        got, want = (
            lib.nn.functional.hardtanh(lib.tensor([0, 1, 5], dtype=getattr(lib, dtype)), low, high)
            for lib in (minigrad, torch)
        )
        assert (got.tolist(), str(got.dtype).split(".")[1]) == (want.tolist(), dtype)
    assert minigrad.nn.functional.relu6(minigrad.tensor([-3, 50])).tolist() == [0, 6]
    for bad in (minigrad.tensor([1], dtype=minigrad.uint8), minigrad.tensor([True])):
        with pytest.raises(DtypeError, match="hardtanh"):
            minigrad.nn.functional.hardtanh(bad)
    with pytest.raises(ValueError, match=r"min_val 0\.5 must not be greater than max_val -0\.5"):
        minigrad.nn.functional.hardtanh(minigrad.ones(1), 0.5, -0.5)
