"""Layers of one's own, by the book and faster, against the library's."""

from __future__ import annotations

import numpy as np
import pytest
from lab7 import custom_layers, faster_rules

import minigrad
from minigrad import nn
from minigrad.errors import ShapeError


def gradients(layer, x, upstream):
    """(y, dx, gradients of the parameters)."""
    leaf = x.clone().requires_grad_()
    layer.zero_grad()
    y = layer(leaf)
    y.backward(upstream)
    return [y.detach(), leaf.grad, *(p.grad for p in layer.parameters())]


def agree(custom, twin, shape, tolerance=2e-5):
    """Outputs and gradients of both, for an input and an upstream gradient that do not lie in memory row by row."""
    if custom.state_dict():
        twin.load_state_dict(custom.state_dict())
    x = minigrad.randn(*shape).transpose(2, 3)
    with minigrad.no_grad():
        size = twin(x).shape
    upstream = minigrad.randn(*size[:2], size[3], size[2]).transpose(2, 3)
    for mine, theirs in zip(gradients(custom, x, upstream), gradients(twin, x, upstream), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=tolerance * theirs.abs().max().item())


@pytest.mark.parametrize("rule", [None, *(getattr(faster_rules, n) for n in ("Convolution", "KernelConvolution")),
                                  custom_layers.MatrixConvolution])  # fmt: skip
@pytest.mark.parametrize(
    ("inputs", "outputs", "k", "padding"), [(3, 8, 3, 1), (2, 5, 5, 2), (17, 18, 3, 0), (1, 1, 1, 0)]
)
def test_convolution_does_what_the_librarys_does(rule, inputs, outputs, k, padding):
    custom = custom_layers.CustomConv2d(inputs, outputs, k, padding, rule)
    agree(custom, nn.Conv2d(inputs, outputs, k, padding=padding), (2, inputs, 9, 6))


def test_new_convolutions_are_like_the_librarys():
    ours, theirs = custom_layers.CustomConv2d(4, 64, 5), nn.Conv2d(4, 64, 5)
    assert {n: p.shape for n, p in ours.state_dict().items()} == {n: p.shape for n, p in theirs.state_dict().items()}
    bound = (4 * 25) ** -0.5
    for parameter in ours.parameters():
        assert 0.9 * bound < parameter.abs().max().item() <= bound


@pytest.mark.parametrize("layer", [custom_layers.SpatialAttention, custom_layers.SpatialAttentionByHand])
def test_attention_does_what_the_librarys_does(layer):
    agree(layer(), nn.SpatialAttention(), (2, 5, 9, 6))


@pytest.mark.parametrize("rule", [None, custom_layers.ToOne])
def test_normalized_swish_does_what_the_librarys_does(rule):
    agree(custom_layers.NormalizedSwish(rule), nn.NormalizedSwish(), (2, 3, 5, 4))
    negative = minigrad.tensor([-1.0, -2.0], requires_grad=True)  # the maximum is that of the magnitudes
    assert custom_layers.NormalizedSwish(rule)(negative).min().item() == -1
    zeros = minigrad.zeros(3, requires_grad=True)
    custom_layers.NormalizedSwish(rule)(zeros).backward(minigrad.zeros(3))
    assert zeros.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("rule", [None, custom_layers.LpPool])
@pytest.mark.parametrize(("p", "k"), [(3, 2), (1, 2), (2, 3), (2.5, 2), (4, 1)])
def test_lp_pool_does_what_the_librarys_does(rule, p, k):
    agree(custom_layers.LPPooling2d(p, k, rule), nn.LPPool2d(p, k), (2, 3, 12, 6))


@pytest.mark.parametrize("rule", [custom_layers.LpPool, faster_rules.LpPoolLoops])
def test_a_window_of_zeros_has_no_gradient(rule):
    x = minigrad.tensor([[[[0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, -4.0]]]], requires_grad=True)
    y = custom_layers.LPPooling2d(2, 2, rule)(x)
    y.backward(minigrad.tensor([[[[7.0, 10.0]]]]))
    np.testing.assert_allclose(y.tolist(), [[[[0, 5]]]], rtol=1e-6)
    np.testing.assert_allclose(x.grad.tolist(), [[[[0, 0, 6, 0], [0, 0, 0, -8]]]], rtol=1e-6)


def test_images_that_are_not_to_change_get_no_gradient():
    for rule in (custom_layers.MatrixConvolution, faster_rules.Convolution, faster_rules.KernelConvolution):
        layer, x = custom_layers.CustomConv2d(2, 3, 3, 1, rule), minigrad.randn(2, 2, 5, 5)
        layer(x).backward(minigrad.randn(2, 3, 5, 5))
        assert x.grad is None
        assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (custom_layers.CustomConv2d(3, 8, 3, 1), (2, 4, 8, 8), r"has shape \(2, 4, 8, 8\), expected \(N, 3, H, W\)"),
        (custom_layers.CustomConv2d(3, 8, 3, 1), (3, 8, 8), r"shape \(3, 8, 8\)"),
        (custom_layers.CustomConv2d(3, 8, 5, 1), (1, 3, 9, 2), "at least 3"),
        (custom_layers.LPPooling2d(3, 2), (1, 1, 4, 5), r"shape \(1, 1, 4, 5\), expected .* divisible by 2"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer(minigrad.randn(*shape))
    with pytest.raises(ValueError, match=r"p is 0.5, expected at least 1"):
        custom_layers.LPPooling2d(0.5)
