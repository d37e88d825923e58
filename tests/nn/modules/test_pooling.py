"""Pooling layers against PyTorch's: outputs, gradients, how they print, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn

torch = pytest.importorskip("torch")

rng = np.random.default_rng(0)
LAYERS_2D: dict[str, Any] = {
    "MaxPool2d": lambda nn: nn.MaxPool2d(2),
    "MaxPool2d with all settings": lambda nn: nn.MaxPool2d((3, 2), (2, 1), (1, 0), 2, True, True),
    "MaxPool2d by name": lambda nn: nn.MaxPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=True),
    "AvgPool2d": lambda nn: nn.AvgPool2d(3),
    "AvgPool2d with all settings": lambda nn: nn.AvgPool2d((3, 2), 2, (1, 0), True, False, 4),
    "AvgPool2d without padding in the mean": lambda nn: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "LPPool2d": lambda nn: nn.LPPool2d(2, 3, 2),
    "LPPool2d with ceil_mode": lambda nn: nn.LPPool2d(4, (3, 2), ceil_mode=True),
    "LPPool2d inf": lambda nn: nn.LPPool2d(math.inf, 2),
    "AdaptiveAvgPool2d": lambda nn: nn.AdaptiveAvgPool2d(1),
    "AdaptiveAvgPool2d pair": lambda nn: nn.AdaptiveAvgPool2d((None, 4)),
    "AdaptiveMaxPool2d": lambda nn: nn.AdaptiveMaxPool2d(3),
    "AdaptiveMaxPool2d pair": lambda nn: nn.AdaptiveMaxPool2d((5, None), return_indices=True),
}
LAYERS_1D: dict[str, Any] = {
    "MaxPool1d": lambda nn: nn.MaxPool1d(2),
    "MaxPool1d with all settings": lambda nn: nn.MaxPool1d(3, 2, 1, 2, True, True),
    "AvgPool1d": lambda nn: nn.AvgPool1d(3),
    "AvgPool1d with all settings": lambda nn: nn.AvgPool1d(3, 2, 1, True, False),
    "LPPool1d": lambda nn: nn.LPPool1d(2, 3, 2, True),
    "AdaptiveAvgPool1d": lambda nn: nn.AdaptiveAvgPool1d(4),
    "AdaptiveMaxPool1d": lambda nn: nn.AdaptiveMaxPool1d(4, True),
}
DTYPES = pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 5e-6)])


def compare(make: Any, shape: tuple[int, ...], dtype: str, tolerance: float) -> None:
    ours, theirs = make(nn), make(torch.nn)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == []
    x = rng.standard_normal(shape).astype(dtype)
    a, b = minigrad.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = ours(a), theirs(b)
    assert isinstance(y, tuple) == isinstance(z, tuple)
    if isinstance(y, tuple):
        np.testing.assert_array_equal(y[1].numpy(), z[1].numpy())
        assert y[1].dtype == minigrad.int64
        y, z = y[0], z[0]
    upstream = rng.standard_normal(z.shape).astype(dtype)
    y.backward(minigrad.tensor(upstream))
    z.backward(torch.tensor(upstream))
    for mine, other in ((y, z), (a.grad, b.grad)):
        assert str(mine.dtype) == f"minigrad.{dtype}"
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=tolerance, atol=tolerance)


@DTYPES
@pytest.mark.parametrize("shape", [(2, 3, 9, 14), (3, 9, 14), (0, 3, 9, 14)], ids=str)
@pytest.mark.parametrize("name", LAYERS_2D)
def test_same_as_pytorch(name: str, shape: tuple[int, ...], dtype: str, tolerance: float) -> None:
    compare(LAYERS_2D[name], shape, dtype, tolerance)


@DTYPES
@pytest.mark.parametrize("shape", [(2, 3, 14), (3, 14)], ids=str)
@pytest.mark.parametrize("name", LAYERS_1D)
def test_same_as_pytorch_in_one_dimension(name: str, shape: tuple[int, ...], dtype: str, tolerance: float) -> None:
    compare(LAYERS_1D[name], shape, dtype, tolerance)


@DTYPES
@pytest.mark.parametrize("size", [None, (9, 13), [2, 3, 8, 12]], ids=str)
def test_unpooling(size: Any, dtype: str, tolerance: float) -> None:
    x = rng.standard_normal((2, 3, 9 if size == (9, 13) else 8, 13 if size == (9, 13) else 12)).astype(dtype)
    results = []
    for lib in (minigrad, torch):
        pool, unpool = lib.nn.MaxPool2d(2, return_indices=True), lib.nn.MaxUnpool2d(2)
        t = lib.tensor(x, requires_grad=True)
        y, indices = pool(t)
        z = unpool(y, indices) if size is None else unpool(y, indices, output_size=size)
        z.backward(lib.tensor(np.random.default_rng(1).standard_normal(tuple(z.shape)).astype(dtype)))
        results.append((repr(unpool), z.detach().numpy(), t.grad.numpy()))
    (text, z, dx), (text_, z_, dx_) = results
    assert text == text_
    np.testing.assert_allclose(z, z_, rtol=tolerance)
    np.testing.assert_allclose(dx, dx_, rtol=tolerance)


def test_unpooling_in_one_dimension() -> None:
    x = minigrad.tensor([[[1.0, 2.0, 4.0, 3.0]]])
    y, indices = nn.MaxPool1d(2, return_indices=True)(x)
    assert indices.tolist() == [[[1, 2]]]
    assert nn.MaxUnpool1d(2)(y, indices).tolist() == [[[0.0, 2.0, 4.0, 0.0]]]
    assert repr(nn.MaxUnpool1d(2, padding=1)) == repr(torch.nn.MaxUnpool1d(2, padding=1))


def test_in_a_network() -> None:
    """Pools between other layers, and the whole tree printed."""
    model = nn.Sequential(nn.MaxPool2d(2), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    x = minigrad.randn(4, 3, 16, 16, requires_grad=True)
    y = model(x)
    assert tuple(y.shape) == (4, 2)
    y.backward(minigrad.randn(4, 2))
    assert np.isfinite(x.grad.numpy()).all()
    assert "(0): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)" in repr(model)


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "kernel": (lambda: nn.MaxPool2d(0), ValueError, "MaxPool2d: kernel_size must be at least 1, got 0"),
    "stride": (lambda: nn.AvgPool2d(2, -1), ValueError, "AvgPool2d: stride must be at least 1, got -1"),
    "padding": (lambda: nn.MaxPool1d(2, padding=-1), ValueError, "MaxPool1d: padding must be at least 0"),
    "float": (lambda: nn.LPPool2d(2, 1.5), TypeError, "LPPool2d: kernel_size must be an integer or .*, got 1.5"),
    "three": (lambda: nn.MaxUnpool2d((2, 2, 2)), ValueError, "MaxUnpool2d: kernel_size must be .* tuple of 2"),
    "p": (lambda: nn.LPPool1d(0.9, 2), ValueError, "LPPool1d: norm_type must be at least 1"),
    "no kernel": (lambda: nn.AvgPool1d(None), TypeError, "AvgPool1d: kernel_size must be an integer"),
    "three axes": (lambda: nn.MaxPool3d(2), AttributeError, "MaxPool3d"),
    "input": (lambda: nn.MaxPool2d(2)(minigrad.zeros(4, 4)), ValueError, r"input must have shape \(N, C, H, W\)"),
    "too small": (lambda: nn.AvgPool2d(5)(minigrad.zeros(1, 1, 4, 9)), ValueError, r"shape \(1, 1, 4, 9\).*height 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name: str) -> None:
    mistake, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        mistake()
