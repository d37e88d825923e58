"""Dropout in training and evaluation."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import nn


def test_dropout_trains_and_evaluates():
    layer = nn.Dropout(0.25)
    x = minigrad.ones(4000, requires_grad=True)
    minigrad.manual_seed(1)
    y = layer(x)
    minigrad.manual_seed(1)
    assert minigrad.equal(layer(x), y)
    kept = (y != 0).numpy()
    assert 0.7 < kept.mean() < 0.8
    np.testing.assert_allclose(y.detach().numpy()[kept], 1 / 0.75, rtol=1e-6)
    upstream = minigrad.randn(4000)
    y.backward(upstream)
    np.testing.assert_allclose(x.grad.numpy(), np.where(kept, upstream.numpy() / 0.75, 0), rtol=1e-6)
    assert minigrad.equal(layer.eval()(x), x)
    assert (nn.Dropout(1.0)(x) == 0).all()
    for p in (-0.1, 1.5):
        with pytest.raises(ValueError, match="p must be a probability between 0 and 1, got"):
            nn.Dropout(p)
