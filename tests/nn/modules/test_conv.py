"""Convolution layers against PyTorch: the same settings and weights in, the same numbers and gradients out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.errors import ShapeError

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # PyTorch's remark

# A layer and the shape of what it is fed.
LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "Conv2d": (lambda nn: nn.Conv2d(3, 8, 3), (2, 3, 6, 7)),
    "Conv2d, stride": (lambda nn: nn.Conv2d(3, 8, 3, 2), (2, 3, 6, 7)),
    "Conv2d, strides": (lambda nn: nn.Conv2d(3, 8, (3, 2), stride=(1, 3)), (2, 3, 6, 7)),
    "Conv2d, padding": (lambda nn: nn.Conv2d(3, 8, 3, padding=1), (2, 3, 6, 7)),
    "Conv2d, paddings": (lambda nn: nn.Conv2d(3, 8, 5, padding=(0, 3)), (2, 3, 6, 7)),
    "Conv2d, same": (lambda nn: nn.Conv2d(3, 8, (3, 4), padding="same"), (2, 3, 6, 7)),
    "Conv2d, valid": (lambda nn: nn.Conv2d(3, 8, 3, padding="valid"), (2, 3, 6, 7)),
    "Conv2d, dilation": (lambda nn: nn.Conv2d(3, 8, 3, dilation=(2, 3)), (2, 3, 6, 7)),
    "Conv2d, groups": (lambda nn: nn.Conv2d(4, 6, 3, groups=2), (2, 4, 6, 7)),
    "Conv2d, depthwise": (lambda nn: nn.Conv2d(4, 8, 3, padding=1, groups=4), (2, 4, 6, 7)),
    "Conv2d, without bias": (lambda nn: nn.Conv2d(3, 8, 3, bias=False), (2, 3, 6, 7)),
    "Conv2d, reflect": (lambda nn: nn.Conv2d(3, 8, 3, padding=(1, 2), padding_mode="reflect"), (2, 3, 6, 7)),
    "Conv2d, replicate": (lambda nn: nn.Conv2d(3, 8, 3, padding=(1, 2), padding_mode="replicate"), (2, 3, 6, 7)),
    "Conv2d, circular": (lambda nn: nn.Conv2d(3, 8, 3, 2, (1, 2), padding_mode="circular"), (2, 3, 6, 7)),
    "Conv2d, same, reflect": (lambda nn: nn.Conv2d(3, 8, (2, 3), padding="same", padding_mode="reflect"), (2, 3, 6, 7)),
    "Conv2d, one sample": (lambda nn: nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular"), (3, 6, 7)),
    "Conv2d, all": (lambda nn: nn.Conv2d(4, 6, (3, 2), (2, 1), (2, 1), (1, 2), 2, False), (2, 4, 6, 7)),
    "Conv1d": (lambda nn: nn.Conv1d(3, 8, 3), (2, 3, 9)),
    "Conv1d, all": (lambda nn: nn.Conv1d(4, 6, 3, 2, 2, 2, 2, False), (2, 4, 9)),
    "Conv1d, same": (lambda nn: nn.Conv1d(3, 8, 4, padding="same"), (2, 3, 9)),
    "Conv1d, circular": (lambda nn: nn.Conv1d(3, 8, 3, padding=2, padding_mode="circular"), (2, 3, 9)),
    "Conv1d, one sample": (lambda nn: nn.Conv1d(3, 8, (3,), padding=(1,), padding_mode="reflect"), (3, 9)),
    "ConvTranspose2d": (lambda nn: nn.ConvTranspose2d(3, 8, 3), (2, 3, 4, 5)),
    "ConvTranspose2d, twice the size": (lambda nn: nn.ConvTranspose2d(3, 8, 4, 2, 1), (2, 3, 4, 5)),
    "ConvTranspose2d, all": (
        lambda nn: nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, False, (1, 2)),
        (2, 4, 4, 5),
    ),
    "ConvTranspose2d, one sample": (lambda nn: nn.ConvTranspose2d(3, 8, 2, 2), (3, 4, 5)),
    "ConvTranspose1d": (lambda nn: nn.ConvTranspose1d(3, 8, 3), (2, 3, 5)),
    "ConvTranspose1d, all": (lambda nn: nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, True, 2), (2, 4, 5)),
    "Unfold": (lambda nn: nn.Unfold((2, 3), 1, (1, 0), 2), (2, 3, 6, 7)),
    "Fold": (lambda nn: nn.Fold((4, 5), 2, padding=1), (2, 12, 30)),
}


def twins(make: Callable[[Any], Any], dtype: str = "float64") -> tuple[Any, Any]:
    """The same layer in both libraries, with the same weights."""
    ours, theirs = make(nn), make(torch.nn).to(getattr(torch, dtype))
    ours.to(getattr(minigrad, dtype)).load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", LAYERS)
def test_numbers_and_gradients(name: str, dtype: str) -> None:
    make, shape = LAYERS[name]
    ours, theirs = twins(make, dtype)
    tolerance = {"float64": 1e-10, "float32": 2e-5}[dtype]
    rng = np.random.default_rng(0)
    array = rng.standard_normal(shape).astype(dtype)
    results = []
    for lib, layer in ((minigrad, ours), (torch, theirs)):
        x = lib.tensor(array, requires_grad=True)
        y = layer(x)
        y.backward(lib.tensor(np.random.default_rng(1).standard_normal(tuple(y.shape)).astype(dtype)))
        grads = [p.grad for p in layer.parameters()]
        results.append([t.detach().numpy() for t in (y, x.grad, *grads)])
    for got, want in zip(*results, strict=True):
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", LAYERS)
def test_it_looks_like_pytorchs(name: str) -> None:
    ours, theirs = (LAYERS[name][0](lib) for lib in (nn, torch.nn))
    assert ours.extra_repr() == theirs.extra_repr()
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    for attribute in (
        *("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"),
        *("padding_mode", "output_padding", "transposed", "output_size"),
    ):
        if hasattr(theirs, attribute):
            assert getattr(ours, attribute) == getattr(theirs, attribute)


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [
        (lambda: nn.Conv2d(64, 32, 3), 64 * 9),
        (lambda: nn.Conv2d(64, 32, 3, groups=4), 16 * 9),
        (lambda: nn.Conv1d(64, 128, 5), 64 * 5),
        (lambda: nn.ConvTranspose2d(64, 32, 3), 32 * 9),
        (lambda: nn.ConvTranspose1d(64, 32, 5, groups=2), 16 * 5),
    ],
)
def test_it_starts_uniform_within_one_over_the_root_of_fan_in(make: Callable[[], Any], fan_in: int) -> None:
    minigrad.manual_seed(0)
    layer = make()
    bound = 1 / math.sqrt(fan_in)
    for values in (layer.weight.detach().numpy(), layer.bias.detach().numpy()):
        assert abs(values).max() <= bound
        assert abs(values).max() > 0.8 * bound
        np.testing.assert_allclose(values.std(), bound / math.sqrt(3), rtol=0.35 if values.ndim == 1 else 0.05)
    before = layer.weight.detach().numpy().copy()
    layer.reset_parameters()
    assert not np.array_equal(layer.weight.detach().numpy(), before)


@pytest.mark.parametrize("size", [(11, 13), (12, 14), [12, 13], (2, 8, 12, 13)])
def test_a_transpose_makes_the_size_that_is_asked_for(size: Any) -> None:
    ours, theirs = twins(lambda nn: nn.ConvTranspose2d(3, 8, 3, stride=2))
    x = np.random.default_rng(2).standard_normal((2, 3, 5, 6))
    got, want = ours(minigrad.tensor(x), output_size=size), theirs(torch.tensor(x), output_size=size)
    assert tuple(got.shape) == tuple(want.shape)
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), atol=1e-12)


def test_sizes_are_made_up_of_what_a_convolution_forgot() -> None:
    down, up = nn.Conv2d(3, 4, 3, 2, 1), nn.ConvTranspose2d(4, 3, 3, 2, 1)
    for size in ((7, 7), (8, 8), (7, 8)):
        x = minigrad.rand(1, 3, *size)
        assert up(down(x), output_size=x.shape).shape == x.shape
    one = nn.ConvTranspose1d(2, 2, 3, 3)
    assert one(minigrad.rand(1, 2, 4), output_size=(14,)).shape == (1, 2, 14)


def test_a_small_network_learns_as_pytorchs_does() -> None:
    """20 steps of SGD on the same numbers: a convolution, one with groups, a transpose, and padding that reflects."""

    def make(nn: Any) -> Any:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1, padding_mode="reflect"),
            nn.Tanh(),
            nn.Conv2d(4, 4, 3, padding="same", groups=2),
            nn.Tanh(),
            nn.ConvTranspose2d(4, 1, 4, 2, 1),
        )

    rng = np.random.default_rng(3)
    x = rng.standard_normal((4, 1, 8, 8))
    curves = []
    for lib, model in zip((minigrad, torch), twins(make), strict=True):
        data = lib.tensor(x)
        optimizer = lib.optim.SGD(model.parameters(), lr=0.5)
        curve = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = lib.nn.functional.mse_loss(model(data), data)
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        curves.append(curve)
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-9)
    assert curves[0][-1] < 0.9 * curves[0][0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, r"Conv2d: in_channels = 3 is not divisible by groups=2"),
        (lambda: nn.Conv2d(4, 5, 3, groups=2), ValueError, r"Conv2d: out_channels = 5 is not divisible by groups=2"),
        (lambda: nn.Conv2d(3, 4, 3, groups=0), ValueError, r"groups and out_channels must be positive, got 0"),
        (lambda: nn.Conv2d(3, 0, 3), ValueError, r"groups and out_channels must be positive, got 1 and 0"),
        (lambda: nn.Conv2d(-3, 4, 3), ValueError, r"in_channels must be a non-negative integer, got -3"),
        (lambda: nn.Conv2d(3.0, 4, 3), ValueError, r"in_channels must be a non-negative integer, got 3\.0"),
        (lambda: nn.Conv2d(3, 4, 0), ShapeError, r"Conv2d: kernel_size must be positive, got 0"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ShapeError, r"kernel_size must be an integer or 2 of them"),
        (lambda: nn.Conv2d(3, 4, 2.5), TypeError, r"kernel_size must be an integer or 2 of them, got 2\.5"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), ShapeError, r"Conv2d: stride must be positive, got 0"),
        (lambda: nn.Conv2d(3, 4, 3, dilation=-1), ShapeError, r"Conv2d: dilation must be positive, got -1"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), ShapeError, r"Conv2d: padding must not be negative, got -1"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), ValueError, r"'same', 'valid' or integers, got 'full'"),
        (lambda: nn.Conv2d(3, 4, 3, 2, "same"), ShapeError, r"padding='same' keeps the size, which stride \(2, 2\)"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), ValueError, r"zeros, reflect.*got 'mirror'"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="circular"), ValueError, r"must be one of zeros, got"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), TypeError, r"padding must be an integer or 2"),
        (lambda: nn.Fold(3, 2, stride=0), ShapeError, r"Fold: stride must be positive, got 0"),
        (lambda: nn.Fold(0, 2), ShapeError, r"Fold: output_size must be positive, got 0"),
        (lambda: nn.Unfold((2, 2, 2)), ShapeError, r"Unfold: kernel_size must be an integer or 2"),
    ],
)
def test_settings_that_do_not_fit(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: nn.Conv2d(4, 4, 3)(x), r"conv2d: input has 3 channels"),
        (lambda x: nn.Conv2d(3, 4, 9)(x), r"conv2d: an input of 6×7 with padding 0×0.*output size = ⌊"),
        (lambda x: nn.Conv1d(3, 4, 3)(x), r"conv1d: input must have axes"),
        (lambda x: nn.ConvTranspose2d(3, 4, 3, 2)(x, (12, 15)), r"output_size \(12, 15\).*\(13, 15\) to \(14, 16\)"),
        (lambda x: nn.ConvTranspose2d(3, 4, 3, 2)(x, (14, 17)), r"output_size \(14, 17\).*\(13, 15\) to \(14, 16\)"),
        (lambda x: nn.ConvTranspose2d(3, 4, 3, 2)(x, (13,)), r"output_size must give the last 2 axes or all 4"),
    ],
)
def test_inputs_that_do_not_fit(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        call(minigrad.rand(2, 3, 6, 7))


def test_a_layer_is_the_function() -> None:
    layer = nn.Conv2d(3, 4, 3, 2, 1)
    x = minigrad.rand(1, 3, 6, 6)
    np.testing.assert_array_equal(
        layer(x).detach().numpy(), F.conv2d(x, layer.weight, layer.bias, 2, 1).detach().numpy()
    )
