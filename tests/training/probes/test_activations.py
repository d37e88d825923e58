"""Probes: what they say of hand-made networks, held against NumPy; and that they leave no trace."""

from __future__ import annotations

import cuda_double
import numpy as np
import pytest

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.training.probes import (
    ActivationProbe,
    GradientProbe,
    Histogram,
    WeightProbe,
)


class Net(nn.Module):
    """Every kind of thing a probe may meet: convolutions, norms, dropout, a layer used twice, a function."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.flat = nn.Flatten()
        self.body = nn.Sequential(nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 6), nn.Sigmoid())

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        x = self.body(self.flat(self.drop(x)))
        return F.tanh(self.relu(x - 0.5))


def net():
    minigrad.manual_seed(3)
    return Net()


def test_activations_have_the_numbers_of_a_pass_by_hand():
    model, x = net(), minigrad.randn(5, 1, 4, 4)
    seen = ActivationProbe(model, bins=7).measure(x)
    assert list(seen) == ["conv", "norm", "relu", "body.0", "body.1", "body.2", "body.3", "relu:2"]
    model.eval()
    with minigrad.no_grad():
        conv = model.conv(x)
        norm = model.norm(conv)
        relu = F.relu(norm)
        tanh = model.body[1](model.body[0](relu.flatten(1)))
    for name, by_hand in {"conv": conv, "norm": norm, "relu": relu, "body.1": tanh}.items():
        exact = by_hand.numpy().astype(np.float64)
        assert seen[name].mean == pytest.approx(exact.mean(), abs=1e-6)
        assert seen[name].std == pytest.approx(exact.std(), rel=1e-5)
        assert (seen[name].histogram.number, len(seen[name].histogram.counts)) == (exact.size, 7)
    assert (seen["conv"].kind, seen["conv"].saturated, seen["conv"].dead) == ("Conv2d", None, None)


def test_a_tanh_and_a_sigmoid_that_saturate_by_construction():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Sigmoid())
    for layer, bias in ((model[0], [50.0, -50.0, 0.0, 0.0]), (model[2], [50.0, -50.0, 3.4, 3.5])):
        layer.weight.data.zero_()
        layer.bias.data.copy_(minigrad.tensor(bias))
    seen = ActivationProbe(model).measure(minigrad.randn(6, 3))
    assert seen["1"].saturated == 0.5
    assert seen["3"].saturated == 0.75  # σ(3.4) = 0.968, σ(3.5) = 0.971
    assert ActivationProbe(model, saturation=0.96).measure(minigrad.randn(6, 3))["3"].saturated == 1.0
    model[0].bias.data.fill_(-9)
    assert ActivationProbe(model).measure(minigrad.randn(6, 3))["1"].saturated == 1.0
    with pytest.raises(ValueError, match=r"saturation = 0\.3"):
        ActivationProbe(model, saturation=0.3)


def test_a_dead_unit_is_a_channel_or_neuron_that_is_0_for_the_whole_batch():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8), nn.ReLU6())
    model[0].bias.data.copy_(minigrad.tensor([-1e6, 1.0, -1e6, 0.0]))
    model[3].bias.data.fill_(-1e6)
    seen = ActivationProbe(model).measure(minigrad.randn(5, 1, 4, 4))
    assert (seen["1"].dead, seen["4"].dead) == (0.5, 1.0)
    # One that answers to a single sample of the batch lives.
    model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.ReLU())
    model[0].weight.data.copy_(minigrad.tensor([[1.0, 0, 0], [-1.0, 0, 0]]))
    assert ActivationProbe(model).measure(minigrad.eye(3))["1"].dead == 0.5


def test_layers_may_be_chosen_and_a_batch_may_have_a_target():
    model = net()
    x = minigrad.randn(5, 1, 4, 4)
    probe = ActivationProbe(model, layers=["body", "drop"])
    assert list(probe.measure((x, minigrad.zeros(5)))) == ["drop", "body"]
    assert list(probe.measure([x])) == ["drop", "body"]
    assert list(ActivationProbe(nn.Linear(2, 2)).measure(minigrad.ones(1, 2))) == ["Linear"]
    with pytest.raises(ValueError, match=r"no layer 'fc'; it has conv, norm, .*body\.3"):
        ActivationProbe(model, ["fc"])


def test_functions_are_not_seen():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x):
            return F.tanh(self.fc(x))

    assert list(ActivationProbe(Functional()).measure(minigrad.ones(3, 2))) == ["fc"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_probe_leaves_the_model_as_it_was(fails):
    model = net()
    model.body.eval()
    model(minigrad.randn(5, 1, 4, 4)).sum().backward()
    x = minigrad.randn(1 if fails else 5, *((2,) if fails else (1, 4, 4)))
    state = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    gradients = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    flags = [m.training for m in model.modules()]
    random, given = minigrad.get_rng_state(), x.numpy().copy()
    if fails:
        with pytest.raises(ValueError):
            ActivationProbe(model).measure(x)
    else:
        ActivationProbe(model).measure(x)
        GradientProbe(model).verdict()
        GradientProbe(model).histograms()
        probe = WeightProbe(model)
        probe.mark()
        probe.changes()
        probe.histograms()
    assert [m.training for m in model.modules()] == flags
    assert all(m._hooks is None for m in model.modules())
    assert minigrad.get_rng_state() == random
    assert np.array_equal(x.numpy(), given)
    assert all(np.array_equal(t.numpy(), state[name]) for name, t in model.state_dict().items())
    assert all(np.array_equal(p.grad.numpy(), gradients[name]) for name, p in model.named_parameters())


def test_a_users_hooks_stay():
    model, calls = nn.Sequential(nn.Linear(2, 2), nn.Tanh()), []
    model[1].register_forward_hook(lambda *args: calls.append(1))
    ActivationProbe(model).measure(minigrad.ones(1, 2))
    model(minigrad.ones(1, 2))
    assert len(calls) == 2


def test_probes_want_a_module():
    for probe in (GradientProbe, WeightProbe, ActivationProbe):
        with pytest.raises(TypeError, match=rf"{probe.__name__}: model is a list, expected an nn\.Module"):
            probe([nn.Linear(1, 1)])


def test_probes_run_on_a_gpus_arrays(monkeypatch):
    model, x = net(), minigrad.randn(5, 1, 4, 4)

    def look():
        model.zero_grad()
        weights = WeightProbe(model)
        weights.mark()
        model.eval()
        model(x.to(next(model.parameters()).device)).sum().backward()
        with minigrad.no_grad():
            model.conv.weight += 1.0
        seen = ActivationProbe(model).measure(x)
        found = [GradientProbe(model).total, weights.change, weights.ratio]
        found += [number for a in seen.values() for number in (a.mean, a.std, a.saturated or 0.0, a.dead or 0.0)]
        with minigrad.no_grad():
            model.conv.weight -= 1.0
        return found, [a.histogram.counts.sum() for a in seen.values()]

    numbers, counts = look()
    try:
        with monkeypatch.context() as patch:
            cuda_double.install(patch)
            model.to("cuda")
            there, counted = look()
            with_nan = minigrad.tensor([1.0, float("nan"), 3.0], device="cuda")
            assert Histogram.of(with_nan, 2).counts.tolist() == [1, 1]
    finally:
        cuda_double.uninstall()
    np.testing.assert_allclose(there, numbers, rtol=1e-4, atol=1e-6)
    assert counted == counts
