"""Probes: what they say of hand-made networks, held against NumPy; and that they leave no trace."""

from __future__ import annotations

import itertools
import mmap
import re
import subprocess
import sys

import cuda_double
import numpy as np
import pytest
from events import values

import minigrad
import minigrad.nn.functional as F
from minigrad import cuda, nn, optim
from minigrad.training.probes import (
    ActivationProbe,
    GradientProbe,
    Histogram,
    WeightProbe,
    gpu_memory,
    peak_memory,
    resident_memory,
)
from minigrad.utils.tensorboard import SummaryWriter


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# ------------------------------------------------------------------------------------------------------- histograms


@pytest.mark.parametrize("shape", [(7,), (300, 500), (2, 3, 4, 5)])
def test_a_histogram_counts_like_numpy_and_knows_the_sums(shape):
    x = normal(*shape).T  # not contiguous
    h = Histogram.of(x, bins=13)
    counts, edges = np.histogram(x.astype(np.float64), 13)
    assert h.counts.tolist() == counts.tolist()
    np.testing.assert_allclose(h.edges, edges, rtol=1e-12)
    exact = x.astype(np.float64)
    assert (h.min, h.max, h.number, h.nonfinite) == (x.min(), x.max(), x.size, 0)
    np.testing.assert_allclose(
        [h.total, h.squares, h.mean, h.std, h.norm],
        [exact.sum(), (exact**2).sum(), exact.mean(), exact.std(), np.linalg.norm(exact)],
        rtol=1e-10,
    )


def test_a_value_on_an_edge_belongs_to_the_bin_above_and_the_maximum_to_the_last():
    assert Histogram.of([0, 1, 2, 3, 4], bins=4).counts.tolist() == [1, 1, 1, 2]


def test_a_small_spread_around_a_large_mean_is_not_lost():
    x = 1000 + 0.01 * normal(5000).astype(np.float64)
    assert Histogram.of(x).std == pytest.approx(x.std(), rel=1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_that_are_not_finite_are_counted_apart(dtype):
    h = Histogram.of(np.array([1, np.nan, 3, np.inf, -np.inf, 2, np.nan], dtype), bins=2)
    assert (h.counts.tolist(), h.number, h.nonfinite, h.min, h.max, h.total) == ([1, 2], 3, 4, 1, 3, 6)
    nothing = Histogram.of(np.array([np.nan, np.inf], dtype))
    assert (nothing.number, nothing.nonfinite, nothing.counts.sum()) == (0, 2, 0)


def test_nothing_constants_and_extreme_values():
    nothing = Histogram.of(np.zeros((0, 3), np.float32))
    assert (nothing.number, nothing.counts.sum(), nothing.total, nothing.norm) == (0, 0, 0, 0)
    assert np.isnan([nothing.min, nothing.max, nothing.mean, nothing.std]).all()
    for constant in (0.0, 5.0, -1e20, 1e-30):
        h = Histogram.of(np.full(6, constant, np.float32), bins=3)
        assert h.counts.tolist() == [0, 6, 0]
        assert (np.diff(h.edges) > 0).all()
        assert (h.std, h.min, h.max) == (0, np.float32(constant), np.float32(constant))
    tiny = Histogram.of(np.array([0, 1e-44, 2e-44], np.float32), bins=2)
    assert tiny.counts.tolist() == [1, 2]
    for extreme in ([-3e38, 3e38], [1e200, 1.0], [0, 1e-305], [1.0, 1 + 2e-16]):
        assert Histogram.of(np.array(extreme), bins=2).counts.sum() >= 1


def test_tensors_booleans_and_lists_have_histograms():
    t = minigrad.tensor([1.0, 2.0], requires_grad=True)
    assert Histogram.of(t, 2).counts.tolist() == [1, 1]
    assert Histogram.of(minigrad.tensor([True, False, True]), 2).counts.tolist() == [1, 2]
    assert Histogram.of([[1, 2], [3, 3]], 2).counts.tolist() == [1, 3]
    with pytest.raises(ValueError, match="bins = 0"):
        Histogram.of(t, 0)


def test_tensorboard_gets_the_histogram(tmp_path):
    x = normal(500)
    h = Histogram.of(x, bins=10)
    with SummaryWriter(tmp_path) as writer:
        h.add_to(writer, "weights/fc", 4)
        Histogram.of(np.full(3, 2.0)).add_to(writer, "constant")
        Histogram.of([]).add_to(writer, "empty")
    found = {tag: (step, value.histo) for tag, step, value in values(tmp_path)}
    assert set(found) == {"weights/fc", "constant"}
    step, read = found["weights/fc"]
    assert (step, read.num, read.min, read.max) == (4, 500, x.min(), x.max())
    assert (read.sum, read.sum_squares) == (h.total, h.squares)
    assert list(read.bucket) == h.counts.tolist()
    np.testing.assert_allclose(read.bucket_limit, h.edges[1:])


# -------------------------------------------------------------------------------------------------------- gradients


def mlp(*sizes, activation=nn.Tanh):
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def with_gradients(model, inputs=4):
    minigrad.manual_seed(1)
    output = model(minigrad.randn(16, inputs))
    (output * minigrad.randn(*output.shape)).sum().backward()
    return model


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


# ---------------------------------------------------------------------------------------------------------- weights


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


# ------------------------------------------------------------------------------------------------------ activations


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


# ----------------------------------------------------------------------------------------------------------- memory


def test_memory_that_is_taken_is_seen_and_stays_in_the_peak():
    before = resident_memory()
    with mmap.mmap(-1, 64 << 20) as block:  # from the system: an array might get what the process has kept
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
        taken = resident_memory()
    assert taken - before > 60
    assert peak_memory() >= taken - 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' figures include the parent's")
def test_the_peak_is_not_that_of_the_parent():
    ballast = np.ones(256 << 17)  # 256 MiB
    code = "from minigrad.training.probes import peak_memory; print(peak_memory())"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert 5 < float(out) < ballast.nbytes / 2**20 < peak_memory()


def test_gpu_memory_asks_only_where_cupy_is_in_use(monkeypatch):
    monkeypatch.setattr(cuda, "memory_allocated", lambda: 3 << 20)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert gpu_memory() == 0
    monkeypatch.setitem(sys.modules, "cupy", object())
    assert gpu_memory() == 3
