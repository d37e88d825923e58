"""The monitor of gradients: norms and verdicts by layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from monitor_support import BATCHES, Witness, fit, norm

import minigrad
from minigrad import nn
from minigrad.training import Callback
from minigrad.training.callbacks import (
    GradientMonitor,
    Order,
)


def test_the_gradients_of_the_measured_batches_are_averaged():
    witness, monitor = Witness(), GradientMonitor(every=2)
    trainer = fit(witness, monitor)
    for epoch, (row, kept, gradients) in enumerate(
        zip(trainer.history, monitor.history, witness.gradients, strict=True), start=1
    ):
        assert len(gradients) == BATCHES
        measured = gradients[::2]  # batches 1, 3, 5
        assert row["grad_norm"] == pytest.approx(np.mean([norm(g.values()) for g in measured]), rel=1e-6)
        assert kept["epoch"] == epoch
        assert list(kept["layers"]) == list(gradients[0])
        for name, figures in kept["layers"].items():
            mean = np.mean([norm([g[name]]) for g in measured])
            rms = mean / math.sqrt(gradients[0][name].size)
            assert figures == pytest.approx({"norm": mean, "rms": rms}, rel=1e-6)
    assert monitor.verdicts == []


def test_verdicts_name_epoch_and_layer():
    minigrad.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(16, 8)]
    for _ in range(12):
        layers += [nn.Sigmoid(), nn.Linear(8, 8)]
    monitor = GradientMonitor()
    fit(monitor, model=nn.Sequential(*layers, nn.Linear(8, 3)))
    assert monitor.verdicts[0].startswith("epoch 1: 1.weight: gradient of ")
    assert monitor.verdicts[0].endswith("times smaller than that of 26.weight: vanishing")
    assert any(text.startswith("epoch 2: ") for text in monitor.verdicts)
    never = GradientMonitor(vanishing=0.0)
    fit(never, model=nn.Sequential(*layers, nn.Linear(8, 3)))
    assert never.verdicts == []


def test_gradients_are_seen_before_they_are_clipped():
    class Clip(Callback):
        order = Order.CONTROL

        def on_before_step(self, trainer):
            for p in trainer.model.parameters():
                p.grad.zero_()

    assert all(row["grad_norm"] > 0 for row in fit(Clip(), GradientMonitor()).history)
