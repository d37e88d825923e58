"""The monitor of weights: changes and ratios by layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from monitor_support import Witness, fit, norm

import minigrad
from minigrad.training import Callback
from minigrad.training.callbacks import (
    WeightMonitor,
)


def test_the_weights_move_as_sgd_moves_them():
    witness, monitor = Witness(), WeightMonitor(every=3)
    trainer = fit(witness, monitor, lr=0.5)
    for row, kept, gradients, weights in zip(
        trainer.history, monitor.history, witness.gradients, witness.weights, strict=True
    ):
        moved = {name: 0.5 * sum(g[name] for g in gradients) for name in gradients[0]}
        assert row["weight_change"] == pytest.approx(norm(moved.values()), rel=1e-4)
        for name, figures in kept["layers"].items():
            at_end = weights[0][name] - moved[name]
            assert figures["change"] == pytest.approx(norm([moved[name]]), rel=1e-4)
            assert figures["norm"] == pytest.approx(norm([at_end]), rel=1e-4)
            assert (figures["mean"], figures["std"]) == pytest.approx((at_end.mean(), at_end.std()), abs=1e-5)
        steps = [0, 3]  # batches 1 and 4
        ratios = [0.5 * norm(gradients[i].values()) / norm(weights[i].values()) for i in steps]
        assert row["update_ratio"] == pytest.approx(np.mean(ratios), rel=1e-4)


def test_a_batch_that_was_skipped_has_no_ratio():
    class Skip(Callback):
        def on_before_step(self, trainer):
            if trainer.batch_index == 1:
                raise minigrad.training.callbacks.CancelBatch

    witness, monitor = Witness(), WeightMonitor(every=4)
    trainer = fit(monitor, Skip(), witness, epochs=1)  # of the batches 1 and 5 the first is skipped
    weights, gradients = witness.weights[0][-1], witness.gradients[0][-1]
    expected = 0.1 * norm(gradients.values()) / norm(weights.values())
    assert trainer.history[0]["update_ratio"] == pytest.approx(expected, rel=1e-4)
    assert math.isnan(fit(WeightMonitor(every=9), Skip(), epochs=1).history[0]["update_ratio"])
