"""The probe of gradients: norms, histograms, verdicts."""

from __future__ import annotations

import re

import numpy as np
import pytest
from probe_support import mlp, with_gradients

import minigrad
from minigrad import nn
from minigrad.training.probes import (
    GradientProbe,
)


def test_gradient_norms_and_histograms_are_numpys():
    model = with_gradients(mlp(4, 8, 3))
    gradients = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    probe = GradientProbe(model)
    assert list(probe.norms()) == list(gradients)
    for name, norm in probe.norms().items():
        assert norm == pytest.approx(np.linalg.norm(gradients[name].astype(np.float64)), rel=1e-12)
    everything = np.concatenate([g.ravel() for g in gradients.values()]).astype(np.float64)
    assert probe.total == pytest.approx(np.linalg.norm(everything), rel=1e-12)
    counts, _ = np.histogram(gradients["0.weight"].astype(np.float64), 5)
    assert probe.histograms(bins=5)["0.weight"].counts.tolist() == counts.tolist()
    for name, p in model.named_parameters():
        assert np.array_equal(p.grad.numpy(), gradients[name])


def test_norms_of_tiny_gradients_and_of_none():
    model = mlp(4, 3)
    probe = GradientProbe(model)
    assert (probe.norms(), probe.total, probe.histograms()) == ({}, 0, {})
    model[0].weight.grad = minigrad.full((3, 4), 1e-30)
    assert probe.norms() == {"0.weight": pytest.approx(1e-30 * np.sqrt(12), rel=1e-6)}


def test_a_deep_chain_of_sigmoids_vanishes_layer_by_layer():
    minigrad.manual_seed(0)
    model = with_gradients(mlp(*[8] * 13, activation=nn.Sigmoid), 8)
    told = GradientProbe(model).verdict()
    names = [text.partition(":")[0] for text in told]
    assert names[0] == "0.weight"
    assert "22.weight" not in names  # next to the loss
    assert names == [f"{2 * i}.weight" for i in range(len(names))]  # the far ones, in order of depth
    for text, name in zip(told, names, strict=True):
        found = re.fullmatch(
            rf"{name}: gradient of (\S+) per element \(rms\), (\S+) times smaller than that of 22.weight: vanishing",
            text,
        )
        g = model.get_parameter(name).grad.numpy().astype(np.float64)
        last = model[22].weight.grad.numpy().astype(np.float64)
        rms = np.sqrt((g**2).mean())
        assert float(found[1]) == pytest.approx(rms, rel=0.06)
        assert float(found[2]) == pytest.approx(np.sqrt((last**2).mean()) / rms, rel=0.06)
        assert rms < 1e-4 * np.sqrt((last**2).mean())
    assert GradientProbe(model).verdict(vanishing=0) == []
    assert len(GradientProbe(model).verdict(vanishing=0.5)) > len(told)


def test_a_chain_of_large_weights_explodes():
    model = mlp(*[6] * 9, activation=nn.Identity)
    for layer in model:
        if isinstance(layer, nn.Linear):
            layer.weight.data.normal_(0, 10)
    told = GradientProbe(with_gradients(model, 6)).verdict(limit=1e30)
    assert told == []  # the last layer sees the largest inputs: all gradients are large alike
    told = GradientProbe(model).verdict()
    assert len(told) == 8
    assert re.fullmatch(r"0\.weight: gradient of \S+ per element \(rms\), above 1e\+06: exploding", told[0])
    model[0].weight.grad *= 1e9
    assert "times larger than that of 14.weight: exploding" in GradientProbe(model).verdict(limit=1e30)[0]


def test_a_healthy_network_has_no_verdict_and_sick_ones_each_their_own():
    model = with_gradients(mlp(4, 8, 8, 3))
    probe = GradientProbe(model)
    assert probe.verdict() == []
    model[0].weight.grad.zero_()
    assert probe.verdict() == ["0.weight: gradient of exactly 0, nothing comes back to it: vanishing"]
    model[0].weight.grad[0, 0] = float("nan")
    assert probe.verdict() == ["0.weight: gradient of nan per element (rms): exploding"]
    model[0].weight.grad = None
    assert probe.verdict() == ["0.weight: no gradient at all: the loss does not depend on it"]
    model[0].weight.requires_grad_(False)
    assert probe.verdict() == []  # it is not to be trained
    assert probe.verdict(norms={"2.weight": 1.0, "4.weight": 1e7})[0].startswith("2.weight: gradient of 0.12 per")
