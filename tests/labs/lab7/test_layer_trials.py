"""Gradients and times of layers of one's own, and the verdict on them."""

from __future__ import annotations

import numpy as np
import pytest
from lab7 import custom_layers, layer_report, layer_trials
from lab7.layer_trials import TRIALS, Times, Trial

import minigrad
from minigrad import nn


def test_trials_have_the_reports_parameters():
    counted = {name: sum(p.numel() for p in trial.make(3).parameters()) for name, trial in TRIALS.items()}
    assert counted == {name: trial.parameters for name, trial in TRIALS.items()}
    main = {name: counted[name] for name, trial in TRIALS.items() if trial.times}
    assert main == {"CustomConv2d": 224, "SpatialAttention": 99, "NormalizedSwish": 0, "LPPooling2d": 0}


@pytest.mark.parametrize("name", TRIALS)
def test_gradcheck_refuses_normalized_swish_alone(name):
    report = layer_trials.checked(TRIALS[name].make(3))
    assert ("is wrong in" in report) == ("NormalizedSwish" in name)
    output, gradient = layer_trials.apart(TRIALS[name])
    assert output < 1e-5
    assert gradient < 1e-3


def test_second_derivatives_are_right_or_refused():
    reports = {name: layer_trials.checked(trial.make(3), again=True) for name, trial in TRIALS.items()}
    right = {name for name, report in reports.items() if not report and "Swish" not in name}
    assert right == {"CustomConv2d", "CustomConv2d, by nn.grad", "SpatialAttention",
                     "LPPooling2d, by the book"}  # fmt: skip
    refused = {name for name, report in reports.items() if "once_differentiable" in report}
    assert refused == reports.keys() - right - {"nn.NormalizedSwish"}


def test_gradcheck_looks_at_the_parameters_too():
    class Forgetful(custom_layers.CustomConv2d):
        def forward(self, x):
            return custom_layers.MatrixConvolution.apply(x, self.weight.detach(), self.bias, self.padding)

    assert "changes with input 1" in layer_trials.checked(Forgetful(3, 2, 3))


def test_the_rule_of_normalized_swish_is_no_gradient():
    x, upstream = (minigrad.randn(7, dtype=minigrad.float64) for _ in range(2))
    of = layer_trials.gradients(custom_layers.NormalizedSwish(), layer_report.swish_to_one, x, upstream)
    np.testing.assert_allclose(of.differences, of.exact, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(of.doubled, of.rule, rtol=1e-12)
    assert max(abs(g) for g in of.rule) == pytest.approx(1)
    assert not np.allclose(of.rule, of.exact, rtol=0.05)
    silu = x.clone().requires_grad_()
    nn.functional.silu(silu).backward(upstream)
    expected = silu.grad / silu.grad.abs().max()
    np.testing.assert_allclose(of.rule, expected.tolist(), rtol=1e-9)


def test_both_layers_are_timed_in_turn():
    calls = []

    def named(name):
        class Layer(nn.Module):
            def forward(self, x):
                calls.append((name, x.requires_grad and minigrad.is_grad_enabled()))
                return 2 * x

        return lambda channels: Layer()

    times = layer_trials.timed(Trial(named("custom"), named("twin")), (2, 3, 4, 4), rounds=4, warm_up=2)
    counted = [name for name, recorded in calls if recorded]
    assert counted == ["twin", "custom", "custom", "twin"] * 3
    assert [len(seconds) for pair in (times.forward, times.both) for seconds in pair] == [4, 4, 4, 4]
    assert all((f < b).all() for f, b in zip(times.forward, times.both, strict=True))


def made_up(custom, twin):
    """Times whose fastest calls are these."""
    both = (np.array([5.0, custom, 9.0]), np.array([twin, 7.0, 8.0]))
    return Times((both[0] / 2, both[1]), both)


def test_the_verdict_follows_the_fastest_calls():
    fast, slow = made_up(1.25, 1.0), made_up(1.5, 1.0)
    assert fast.ratio() == 1.25
    assert fast.ratio("forward") == 0.625
    times = {"CustomConv2d": slow, "CustomConv2d, by the book": made_up(4.0, 1.0), "LPPooling2d": fast,
             "NormalizedSwish": slow}  # fmt: skip
    assert layer_trials.slower(times) == ["CustomConv2d"]  # what does more work than its twin may be slower
    text = layer_report.verdict({(4, 3, 32, 32): times})
    assert (
        "Input 4×3×32×32: more than 1.3 times the standard layer's time for the same work: CustomConv2d (1.50)." in text
    )
    assert "CustomConv2d by the book takes 4.00 times that time, by its faster rule 1.50." in text
    assert "for the same work: no layer." in layer_report.verdict({(4, 3, 32, 32): {"LPPooling2d": fast}})


def test_the_share_of_windows_that_are_no_number_in_pytorch():
    x = minigrad.tensor([[[[-1.0, -1.0, 1.0, 1.0], [0.5, 1.0, -1.0, 0.5]]]])
    assert "in 50% of the windows of an input 1×1×2×4" in layer_report.negative(x)
