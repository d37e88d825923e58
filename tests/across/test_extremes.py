"""Functions of each element over the whole range of their dtype: ±0, subnormal, tiny, huge, ±∞, NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_suite import Array, torch

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels
from minigrad.kernels.machine.large import LARGE

inf, nan = math.inf, math.nan
DTYPES = ["float16", "float32", "float64"]
EDGES = {
    "float16": [6e-8, 6e-5, 1e-3, 11.05, 11.1, 17.4, 255, 256, 257, 300, 1000, 60000, 65504],
    "float32": [1e-45, 1.2e-38, 1e-30, 9.1, 13.1, 14.4, 16.7, 87.3, 88.7, 88.8, 100, 103.9, 104.1, 1e19, 2e19, 3e38],
    "float64": [5e-324, 2.3e-308, 1e-160, 19.1, 37.5, 39, 709.7, 709.8, 745.1, 746, 1e154, 2e154, 1.7e308],
}


def extremes(dtype: str) -> Array:
    usual = [0.0, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 5, 6, 8, 20, 21, inf, nan]
    x = np.array(usual + EDGES[dtype])
    return np.concatenate([x, -x]).astype(dtype)


def walked(lib: Any, call: Callable[..., Any], x: Array) -> tuple[Array, Array]:
    """(y, dx); the upstream gradient depends on the place alone."""
    t = lib.from_numpy(x.copy()).requires_grad_()
    y = call(lib, t)
    (dx,) = lib.autograd.grad(y, [t], lib.from_numpy(upstream(x)))
    return y.detach().numpy(), dx.numpy()


def upstream(x: Array) -> Array:
    return np.resize(np.random.default_rng(0).uniform(1, 2, 61).astype(np.float16), x.shape).astype(x.dtype)


# --- kernels ----------------------------------------------------------------------------------------------------------

KERNELS: dict[str, Callable[..., Any]] = {
    "relu": lambda lib, x: lib.relu(x),
    "sigmoid": lambda lib, x: lib.sigmoid(x),
    "tanh": lambda lib, x: lib.tanh(x),
    "silu": lambda lib, x: F.silu(x),
    "gelu": lambda lib, x: F.gelu(x),
    "exp": lambda lib, x: lib.exp(x),
    "log": lambda lib, x: lib.log(x),
    "sqrt": lambda lib, x: lib.sqrt(x),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_computes_what_the_textbook_computes(name: str) -> None:
    rng = np.random.default_rng(0)
    anything = rng.integers(0, 2**32, LARGE, dtype=np.uint32).view(np.float32)
    around = (rng.standard_normal(10_000) * 40).astype(np.float32)
    x = np.concatenate([extremes("float32"), anything, around])
    with np.errstate(all="ignore"):
        fast = walked(minigrad, KERNELS[name], x)
        with kernels.disabled():
            slow = walked(minigrad, KERNELS[name], x)
            exact = walked(minigrad, KERNELS[name], x.astype(np.float64))
    for got, textbook, truth in zip(fast, slow, exact, strict=True):
        np.testing.assert_allclose(got, textbook, rtol=2e-5, atol=1e-6 if got is fast[1] else 2e-43)
        with np.errstate(all="ignore"):
            truth = truth.astype(np.float32)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(truth))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(truth))
    zero = x == 0
    np.testing.assert_array_equal(np.signbit(fast[0][zero]), np.signbit(slow[0][zero]))


@pytest.mark.parametrize("size", [200, LARGE])
def test_sigmoid_of_minus_infinity(size: int) -> None:
    for x, want in ((-inf, 0.0), (-1e30, 0.0), (-104.0, 0.0), (inf, 1.0), (200.0, 1.0)):
        t = minigrad.full((size,), x, requires_grad=True)
        y = minigrad.sigmoid(t)
        y.backward(minigrad.full((size,), -3.0))
        assert (y.detach().numpy() == want).all()
        assert (t.grad.numpy() == 0).all()


# --- against PyTorch, in float64 rounded to the dtype -----------------------------------------------------------------


def functional(name: str, *args: Any, **options: Any) -> Callable[..., Any]:
    return lambda lib, x: getattr(lib.nn.functional, name)(x, *args, **options)


OPS: dict[str, Callable[..., Any]] = {
    name: lambda lib, x, name=name: getattr(lib, name)(x)
    for name in (
        "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "square", "tanh", "sigmoid",
        "erf", "abs", "sign", "floor", "ceil", "trunc", "round", "relu",
    )
} | {
    name: functional(name)
    for name in ("relu6", "leaky_relu", "elu", "silu", "gelu", "softplus", "hardswish", "hardsigmoid", "hardtanh",
                 "logsigmoid")
} | {
    "gelu, tanh": functional("gelu", approximate="tanh"),
    "steep softplus": functional("softplus", 3.0, 10.0),
    "half elu": functional("elu", 0.5),
    "clamp": lambda lib, x: x.clamp(-1, 2),
    "clamp to infinity": lambda lib, x: x.clamp(-inf, inf),
    "pow 0": lambda lib, x: x**0,
    "pow 3": lambda lib, x: x**3,
    "pow -1": lambda lib, x: x**-1,
    "pow 1.5": lambda lib, x: x**1.5,
    "0 pow": lambda lib, x: 0.0**x,
    "2 pow": lambda lib, x: 2.0**x,
    "number by": lambda lib, x: 3.0 / x,
    "where": lambda lib, x: lib.where(x > 0, x, 1.0),
}  # fmt: skip

# Where PyTorch multiplies ∞ by 0, the limits: {name: (y at −∞, dy/dx at −∞, dy/dx at ∞)}
LIMITS = {"silu": (0, 0, 1), "gelu": (0, 0, 1), "gelu, tanh": (0, 0, 1), "hardswish": (0, 0, 1)}
# PyTorch forms 1 + erf and 1 + tanh, of which no digit is left far below 0, and e^−x, which overflows there.
EXACT: dict[str, Callable[..., Any]] = {
    "sigmoid": lambda lib, x: lib.nn.functional.logsigmoid(x).exp(),
    "silu": lambda lib, x: x * lib.nn.functional.logsigmoid(x).exp(),
    "gelu": lambda lib, x: x * 0.5 * lib.special.erfc(x * -(0.5**0.5)),
    "gelu, tanh": lambda lib, x: x * lib.sigmoid((8 / math.pi) ** 0.5 * (x + 0.044715 * x**3)),
}
# Where products with the upstream gradient, the cube or 6 x overflow in PyTorch
TOO_FAR = {"gelu, tanh": 1e100, "hardswish": 1e307, "silu": 1e307}
RTOL = {"float16": 4e-3, "float32": 3e-5, "float64": 1e-7}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPS)
def test_numbers_are_pytorchs_to_the_ends_of_the_range(name: str, dtype: str) -> None:
    x = extremes(dtype)
    x = x[(abs(x.astype(np.float64)) < TOO_FAR.get(name, inf)) | ~np.isfinite(x)]
    with np.errstate(all="ignore"):
        y, dx = walked(minigrad, OPS[name], x)
        want_y, want_dx = walked(torch, EXACT.get(name, OPS[name]), x.astype(np.float64))
        want_y, want_dx = want_y.astype(dtype), want_dx.astype(dtype)
    if name in LIMITS:
        want_y[x == -inf], low, high = LIMITS[name]
        want_dx = np.where(x == -inf, low, np.where(x == inf, high * upstream(x), want_dx))
    if name in ("relu6", "hardtanh"):  # PyTorch passes a NaN in short arrays alone
        want_dx = np.where(np.isnan(x), upstream(x), want_dx)
    assert y.dtype == dx.dtype == np.dtype(dtype)
    np.testing.assert_allclose(y, want_y, rtol=RTOL[dtype], atol=60 * float(np.finfo(dtype).smallest_subnormal))
    np.testing.assert_allclose(dx, want_dx, rtol=RTOL[dtype], atol=4 * float(np.finfo(dtype).eps))
