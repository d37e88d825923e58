"""The receptive field by gradients: boxes known by arithmetic, gradients known by hand, and no trace left behind."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ShapeError
from minigrad.training.probes import ReceptiveField, ReceptiveFieldProbe


def images(*shape):
    return minigrad.from_numpy(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def conv(kernel, **options):
    """A convolution that sees every pixel of its window, whatever numbers are drawn."""
    layer = nn.Conv2d(1, 1, kernel, **options)
    with minigrad.no_grad():
        layer.weight.fill_(1.0)
    return layer


@pytest.mark.parametrize(
    ("layers", "box"),  # the middle of the output is its element n // 2 along each axis
    [
        ([conv(3, padding=1)], (9, 9, 3, 3)),
        ([conv((3, 5), padding=(1, 2)), conv(3, padding=1)], (8, 7, 5, 7)),
        ([conv(3, stride=2, padding=1), conv(3, padding=1)], (7, 7, 7, 7)),  # 3 + 2·2
        ([conv(3, dilation=3, padding=3), conv(3, padding=1)], (6, 6, 9, 9)),  # 7 + 2
        ([conv(3, padding=1), nn.AvgPool2d(2), conv(3, padding=1)], (7, 7, 8, 8)),  # 3 + 1 + 2·2
        ([nn.Identity()], (10, 10, 1, 1)),
        ([conv(41, padding=20)], (0, 0, 20, 20)),  # more than there is
    ],
)
def test_the_box_is_what_the_layers_see(layers, box):
    seen = ReceptiveFieldProbe(nn.Sequential(*layers)).measure(images(4, 1, 20, 20))
    assert seen.box == box
    assert seen.gradients.shape == (20, 20)


def test_gradients_are_means_of_absolute_values():
    layer = nn.Conv2d(2, 1, 3, padding=1, bias=False)
    seen = ReceptiveFieldProbe(layer).measure(images(5, 2, 9, 9)).gradients[3:6, 3:6]
    weight = layer.weight.abs().mean((0, 1)).numpy(force=True)  # of a linear layer ∂y/∂x is the weight
    sent = np.random.default_rng(0).uniform(0.5, 1.5, (5, 1)).mean()
    np.testing.assert_allclose(seen, weight * sent, rtol=1e-5)


def test_relu_leaves_no_gaps_and_winograd_no_roundings():
    minigrad.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
    seen = ReceptiveFieldProbe(nn.Sequential(*layers)).measure(images(16, 3, 24, 24))
    assert seen.box == (8, 8, 9, 9)
    assert (seen.gradients[8:17, 8:17] > 0).all()
    assert np.count_nonzero(seen.gradients) == 81


def test_the_effective_size():
    gradients = np.zeros((10, 10))
    gradients[2:5, 3:6] = 1.0
    gradients[2, 6:8] = 0.046
    gradients[3, 6:9] = 0.045  # less than 4.55 %
    seen = ReceptiveField(gradients)
    assert seen.effective_size == pytest.approx(11**0.5)
    assert seen.box == (2, 3, 3, 6)


def test_nothing_comes_through():
    layer = conv(3, padding=1)
    with minigrad.no_grad():
        layer.weight.fill_(0.0)
    seen = ReceptiveFieldProbe(layer).measure(images(2, 1, 6, 6))
    assert seen.box == (0, 0, 0, 0)
    assert seen.effective_size == 0


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.ReLU())
    model(images(4, 1, 8, 8)).sum().backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters()}
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    state = minigrad.get_rng_state()
    x = images(4, 1, 8, 8)
    with minigrad.no_grad():
        seen = ReceptiveFieldProbe(model).measure(x)
    assert seen.box == (3, 3, 3, 3)  # in evaluation mode: statistics of the batch would reach every pixel
    assert model.training
    assert all((p.grad == before[name]).all() for name, p in model.named_parameters())
    assert all((b == buffers[name]).all() for name, b in model.named_buffers())
    assert minigrad.get_rng_state() == state
    assert not x.requires_grad


def test_bad_input():
    with pytest.raises(TypeError, match="features is a function"):
        ReceptiveFieldProbe(lambda x: x)
    probe = ReceptiveFieldProbe(nn.Conv2d(1, 1, 3))
    for bad, what in ((images(1, 8, 8), r"of shape \(1, 8, 8\)"), (images(0, 1, 8, 8), r"of shape"), ("x", "a str")):
        with pytest.raises(ShapeError, match=f"images is {what}.*expected a tensor"):
            probe.measure(bad)
    flat = ReceptiveFieldProbe(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten()))
    with pytest.raises(ShapeError, match=r"the output is of shape \(2, 36\), expected feature maps"):
        flat.measure(images(2, 1, 8, 8))
