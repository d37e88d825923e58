"""The probe of weights: how far they move."""

from __future__ import annotations

import numpy as np
import pytest
from probe_support import mlp, with_gradients

import minigrad
from minigrad import nn, optim
from minigrad.training.probes import (
    WeightProbe,
)


def test_weight_changes_are_those_of_sgd():
    model = mlp(4, 8, 3)
    probe = WeightProbe(model)
    before = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    probe.mark()
    assert (probe.change, probe.ratio) == (0, 0)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    with_gradients(model)
    gradients = {name: p.grad.numpy().astype(np.float64) for name, p in model.named_parameters()}
    optimizer.step()
    moved = {name: 0.5 * np.linalg.norm(g) for name, g in gradients.items()}
    assert probe.changes() == pytest.approx(moved, rel=1e-5)
    assert probe.ratios() == pytest.approx({n: moved[n] / np.linalg.norm(before[n]) for n in moved}, rel=1e-5)
    all_before = np.sqrt(sum((b.astype(np.float64) ** 2).sum() for b in before.values()))
    total = np.sqrt(sum(m**2 for m in moved.values()))
    assert probe.change == pytest.approx(total, rel=1e-5)
    assert probe.ratio == pytest.approx(total / all_before, rel=1e-5)
    assert {name: t.numpy().tolist() for name, t in probe.marked.items()} == {n: b.tolist() for n, b in before.items()}
    h = probe.histograms()["0.weight"]
    w = model[0].weight.detach().numpy().astype(np.float64)
    assert (h.mean, h.std, h.norm) == pytest.approx((w.mean(), w.std(), np.linalg.norm(w)), rel=1e-9)


def test_a_weight_probe_says_what_it_cannot_compare():
    model = mlp(2, 2)
    probe = WeightProbe(model)
    with pytest.raises(RuntimeError, match=r"call mark\(\)"):
        _ = probe.change
    model[0].bias.data.zero_()
    probe.mark()
    assert np.isnan(probe.ratios()["0.bias"])
    model[0].weight = nn.Parameter(minigrad.zeros(2, 3))
    with pytest.raises(ValueError, match=r"0\.weight has shape \(2, 3\), when marked it had shape \(2, 2\)"):
        probe.changes()
    model.append(nn.Linear(2, 1))
    model[0].weight = nn.Parameter(minigrad.zeros(2, 2))
    with pytest.raises(ValueError, match=r"1\.weight has shape \(1, 2\), when marked it was not there"):
        probe.changes()
