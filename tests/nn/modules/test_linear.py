"""The linear layer."""

from __future__ import annotations

import pytest
from layer_support import DTYPES, compare, rng, twins

import minigrad
from minigrad import nn


@DTYPES
@pytest.mark.parametrize("shape", [(4,), (6, 4), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape, bias, dtype, tolerance):
    ours, theirs = twins(lambda nn: nn.Linear(4, 3, bias=bias), dtype)
    compare(ours, theirs, rng.standard_normal(shape).astype(dtype), dtype, tolerance)


def test_linear_arguments():
    layer = nn.Linear(3, 2, dtype=minigrad.float64, device="cpu")
    assert layer.weight.dtype == layer.bias.dtype == minigrad.float64
    assert nn.Linear(3, 2, bias=False).bias is None
    nn.Linear(0, 2)
    for arguments in ((3.5, 2), (3, -1), (True, 2), ("3", 2)):
        with pytest.raises(ValueError, match=r"Linear: (in|out)_features must be a non-negative integer, got"):
            nn.Linear(*arguments)
    with pytest.raises(RuntimeError, match=r"784.*\(64, 784\).*512"):
        nn.Linear(512, 256)(minigrad.zeros(64, 784))
