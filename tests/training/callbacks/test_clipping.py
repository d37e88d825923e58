"""Clipping of gradients."""

from __future__ import annotations

import numpy as np
import pytest
from small_training import NAN, loader, make

from minigrad.training import Callback
from minigrad.training.callbacks import (
    GradientClipping,
)


def test_gradients_are_clipped_after_the_monitors_saw_them():
    norms = []

    class Norms(Callback):
        def on_before_step(self, trainer):
            gradients = [p.grad.numpy().ravel() for p in trainer.model.parameters()]
            norms.append(float(np.linalg.norm(np.concatenate(gradients))))

    class After(Norms):
        order = 15

    clipping = GradientClipping(max_norm=0.1)
    make([clipping, After(), Norms()]).fit(loader(), epochs=2)
    before, after = norms[::2], norms[1::2]
    assert min(before) > 0.1
    assert after == pytest.approx([0.1] * 4, rel=1e-3)
    assert clipping.clipped == 4

    norms.clear()
    clipping = GradientClipping(max_norm=1e6)
    make([clipping, After(), Norms()]).fit(loader())
    assert norms[::2] == norms[1::2]
    assert clipping.clipped == 0


def test_gradients_are_clipped_by_value():
    largest = []

    class Largest(Callback):
        order = 15

        def on_before_step(self, trainer):
            largest.append(max(float(abs(p.grad.numpy()).max()) for p in trainer.model.parameters()))

    make([GradientClipping(max_value=0.01), Largest()]).fit(loader())
    assert largest == pytest.approx([0.01] * 2)


def test_clipping_needs_one_limit_above_zero():
    for arguments in ({}, {"max_norm": 1, "max_value": 1}):
        with pytest.raises(ValueError, match="give either max_norm or max_value"):
            GradientClipping(**arguments)
    for limit in (0, -1, NAN):
        with pytest.raises(ValueError, match="the limit must be above 0"):
            GradientClipping(limit)
