"""Layers and activations against PyTorch: the same weights in, the same outputs and gradients out."""

from __future__ import annotations

import numpy as np
import pytest
from layer_support import DTYPES, compare, rng, torch, twins

import minigrad
from minigrad import nn

PYTORCHS_SIXTH = 1e-7  # its gradient of Hardsigmoid is 1/6 as a float32, in float64 too


ACTIVATIONS = {
    "ReLU": lambda nn: nn.ReLU(),
    "ReLU6": lambda nn: nn.ReLU6(),
    "LeakyReLU": lambda nn: nn.LeakyReLU(0.2),
    "PReLU": lambda nn: nn.PReLU(),
    "PReLU per channel": lambda nn: nn.PReLU(5, init=0.4),
    "ELU": lambda nn: nn.ELU(1.3),
    "Sigmoid": lambda nn: nn.Sigmoid(),
    "Tanh": lambda nn: nn.Tanh(),
    "SiLU": lambda nn: nn.SiLU(),
    "GELU": lambda nn: nn.GELU(),
    "GELU tanh": lambda nn: nn.GELU(approximate="tanh"),
    "Softplus": lambda nn: nn.Softplus(2.0, 3.0),
    "Hardtanh": lambda nn: nn.Hardtanh(-0.7, 1.2),
    "Hardsigmoid": lambda nn: nn.Hardsigmoid(),
    "Hardswish": lambda nn: nn.Hardswish(),
    "Softmax": lambda nn: nn.Softmax(dim=1),
    "LogSoftmax": lambda nn: nn.LogSoftmax(dim=-1),
    "Identity": lambda nn: nn.Identity(3, whatever=4),
    "Dropout in evaluation": lambda nn: nn.Dropout(0.7).eval(),
    "Flatten": lambda nn: nn.Flatten(),
    "Flatten some": lambda nn: nn.Flatten(0, -2),
    "Unflatten": lambda nn: nn.Unflatten(2, (2, 2)),
    "Unflatten with -1": lambda nn: nn.Unflatten(-1, (-1, 4)),
    "in a row": lambda nn: nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 2, bias=False)),
}


@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_same_as_pytorch(name, dtype, tolerance):
    ours, theirs = twins(ACTIVATIONS[name], dtype)
    x = (3 * rng.standard_normal((3, 5, 4))).astype(dtype)
    if name == "Hardsigmoid":
        tolerance = max(tolerance, PYTORCHS_SIXTH)
    compare(ours, theirs, x, dtype, tolerance)
    assert repr(ours).split("  # ")[0] == repr(theirs).split("\n")[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.ReLU(inplace=True),
        lambda nn: nn.ReLU6(inplace=True),
        lambda nn: nn.LeakyReLU(0.1, inplace=True),
        lambda nn: nn.ELU(inplace=True),
        lambda nn: nn.SiLU(inplace=True),
        lambda nn: nn.Hardtanh(inplace=True),
        lambda nn: nn.Hardswish(inplace=True),
        lambda nn: nn.Hardsigmoid(inplace=True),
    ],
)
def test_in_place_writes_over_the_input(make):
    ours, theirs = twins(make, "float64")
    x = 3 * rng.standard_normal((3, 5))
    # A leaf may not be overwritten; what is computed from it may.
    tolerance = PYTORCHS_SIXTH if isinstance(ours, nn.Hardsigmoid) else 1e-10
    compare(lambda a: ours(a * 2), lambda b: theirs(b * 2), x, "float64", tolerance)
    a = minigrad.tensor(x)
    assert ours(a)._array is a._array
    np.testing.assert_allclose(a.numpy(), theirs(torch.tensor(x)).numpy(), rtol=1e-10)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.7])
def test_swish(beta):
    x = rng.standard_normal((4, 3))
    upstream = rng.standard_normal((4, 3))
    t = torch.tensor(x, requires_grad=True)
    b = torch.tensor(beta, dtype=torch.float64, requires_grad=True)
    y = t * torch.sigmoid(b * t)
    y.backward(torch.tensor(upstream))
    fixed, trained = nn.Swish(beta), nn.Swish(beta, trainable=True, dtype=minigrad.float64)
    for layer in (fixed, trained):
        a = minigrad.tensor(x, requires_grad=True)
        out = layer(a)
        out.backward(minigrad.tensor(upstream))
        np.testing.assert_allclose(out.detach().numpy(), y.detach().numpy(), rtol=1e-10)
        np.testing.assert_allclose(a.grad.numpy(), t.grad.numpy(), rtol=1e-10)
    np.testing.assert_allclose(trained.beta.grad.numpy(), b.grad.numpy(), rtol=1e-10)
    assert list(fixed.parameters()) == []
    assert repr(trained) == f"Swish(beta={beta:g}, trainable=True)  # 1 parameter"


def test_bad_settings_of_activations():
    with pytest.raises(ValueError, match="approximate must be 'none' or 'tanh', got 'fast'"):
        nn.GELU("fast")
    with pytest.raises(ValueError, match="min_val must lie below max_val"):
        nn.Hardtanh(1, 1)
    with pytest.raises(ValueError, match="num_parameters"):
        nn.PReLU(0.25)
    with pytest.raises(TypeError, match="minigrad has no named axes"):
        nn.Unflatten("C", (2, 2))
    with pytest.raises(TypeError, match="tuple of integers, got 4"):
        nn.Unflatten(1, 4)
