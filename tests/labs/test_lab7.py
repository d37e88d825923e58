"""Lab 7: layers of one's own against the library's, residual blocks, what is said of their figures."""

from __future__ import annotations

import json
import shutil

import lab7_custom_layers as lab
import numpy as np
import pytest
from kit.beside_torch import compare_torch
from lab7 import block_comparison, custom_layers, faster_rules, layer_report, layer_trials
from lab7.block_comparison import Block
from lab7.layer_trials import TRIALS, Times, Trial
from lab_run import runner

import minigrad
from minigrad import nn
from minigrad.errors import ShapeError
from minigrad.training import Run
from minigrad.training.runs import RunRecord

run = runner(lab)


# --------------------------------------------------------------------------------------------------------- the layers


def gradients(layer, x, upstream):
    """(y, dx, gradients of the parameters)."""
    leaf = x.clone().requires_grad_()
    layer.zero_grad()
    y = layer(leaf)
    y.backward(upstream)
    return [y.detach(), leaf.grad, *(p.grad for p in layer.parameters())]


def agree(custom, twin, shape, tolerance=2e-5):
    """Outputs and gradients of both, for an input and an upstream gradient that do not lie in memory row by row."""
    if custom.state_dict():
        twin.load_state_dict(custom.state_dict())
    x = minigrad.randn(*shape).transpose(2, 3)
    with minigrad.no_grad():
        size = twin(x).shape
    upstream = minigrad.randn(*size[:2], size[3], size[2]).transpose(2, 3)
    for mine, theirs in zip(gradients(custom, x, upstream), gradients(twin, x, upstream), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=tolerance * theirs.abs().max().item())


@pytest.mark.parametrize("rule", [None, *(getattr(faster_rules, n) for n in ("Convolution", "KernelConvolution")),
                                  custom_layers.MatrixConvolution])  # fmt: skip
@pytest.mark.parametrize(
    ("inputs", "outputs", "k", "padding"), [(3, 8, 3, 1), (2, 5, 5, 2), (17, 18, 3, 0), (1, 1, 1, 0)]
)
def test_convolution_does_what_the_librarys_does(rule, inputs, outputs, k, padding):
    custom = custom_layers.CustomConv2d(inputs, outputs, k, padding, rule)
    agree(custom, nn.Conv2d(inputs, outputs, k, padding=padding), (2, inputs, 9, 6))


def test_new_convolutions_are_like_the_librarys():
    ours, theirs = custom_layers.CustomConv2d(4, 64, 5), nn.Conv2d(4, 64, 5)
    assert {n: p.shape for n, p in ours.state_dict().items()} == {n: p.shape for n, p in theirs.state_dict().items()}
    bound = (4 * 25) ** -0.5
    for parameter in ours.parameters():
        assert 0.9 * bound < parameter.abs().max().item() <= bound


@pytest.mark.parametrize("layer", [custom_layers.SpatialAttention, custom_layers.SpatialAttentionByHand])
def test_attention_does_what_the_librarys_does(layer):
    agree(layer(), nn.SpatialAttention(), (2, 5, 9, 6))


@pytest.mark.parametrize("rule", [None, custom_layers.ToOne])
def test_normalized_swish_does_what_the_librarys_does(rule):
    agree(custom_layers.NormalizedSwish(rule), nn.NormalizedSwish(), (2, 3, 5, 4))
    negative = minigrad.tensor([-1.0, -2.0], requires_grad=True)  # the maximum is that of the magnitudes
    assert custom_layers.NormalizedSwish(rule)(negative).min().item() == -1
    zeros = minigrad.zeros(3, requires_grad=True)
    custom_layers.NormalizedSwish(rule)(zeros).backward(minigrad.zeros(3))
    assert zeros.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("rule", [None, custom_layers.LpPool])
@pytest.mark.parametrize(("p", "k"), [(3, 2), (1, 2), (2, 3), (2.5, 2), (4, 1)])
def test_lp_pool_does_what_the_librarys_does(rule, p, k):
    agree(custom_layers.LPPooling2d(p, k, rule), nn.LPPool2d(p, k), (2, 3, 12, 6))


@pytest.mark.parametrize("rule", [custom_layers.LpPool, faster_rules.LpPoolLoops])
def test_a_window_of_zeros_has_no_gradient(rule):
    x = minigrad.tensor([[[[0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, -4.0]]]], requires_grad=True)
    y = custom_layers.LPPooling2d(2, 2, rule)(x)
    y.backward(minigrad.tensor([[[[7.0, 10.0]]]]))
    np.testing.assert_allclose(y.tolist(), [[[[0, 5]]]], rtol=1e-6)
    np.testing.assert_allclose(x.grad.tolist(), [[[[0, 0, 6, 0], [0, 0, 0, -8]]]], rtol=1e-6)


def test_images_that_are_not_to_change_get_no_gradient():
    for rule in (custom_layers.MatrixConvolution, faster_rules.Convolution, faster_rules.KernelConvolution):
        layer, x = custom_layers.CustomConv2d(2, 3, 3, 1, rule), minigrad.randn(2, 2, 5, 5)
        layer(x).backward(minigrad.randn(2, 3, 5, 5))
        assert x.grad is None
        assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (custom_layers.CustomConv2d(3, 8, 3, 1), (2, 4, 8, 8), r"has shape \(2, 4, 8, 8\), expected \(N, 3, H, W\)"),
        (custom_layers.CustomConv2d(3, 8, 3, 1), (3, 8, 8), r"shape \(3, 8, 8\)"),
        (custom_layers.CustomConv2d(3, 8, 5, 1), (1, 3, 9, 2), "at least 3"),
        (custom_layers.LPPooling2d(3, 2), (1, 1, 4, 5), r"shape \(1, 1, 4, 5\), expected .* divisible by 2"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer(minigrad.randn(*shape))
    with pytest.raises(ValueError, match=r"p is 0.5, expected at least 1"):
        custom_layers.LPPooling2d(0.5)


# --------------------------------------------------------------------------------------------------------- the trials


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


def test_quick_run_of_the_layers(tmp_path):
    folder, summary = run(tmp_path, "--quick", "--experiment", "layers")
    assert summary["reference"] == {}
    assert all(of["gradcheck"] != ("Swish" in name) for name, of in summary["results"]["layers"].items())
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") == 3
    assert "analytic (the backward rule)" in page
    assert "its figures mean nothing" in page
    assert not list(folder.glob("*-seed-*"))


# --------------------------------------------------------------------------------------------------------- the blocks


@pytest.mark.parametrize(("name", "parameters"), [("basic", 4704), ("bottleneck", 2960), ("wide", 812)])
def test_blocks_have_the_reports_parameters(name, parameters):
    model = lab.NETWORKS[name].make(minigrad)
    assert sum(p.numel() for p in model.block.parameters()) == parameters
    assert block_comparison.REFERENCE[name].parameters == parameters
    assert model(minigrad.randn(2, 1, 28, 28)).shape == (2, 10)


def test_quick_run_of_everything_reports_nothing_as_the_labs(tmp_path, no_pictures, capsys):
    folder, summary = run(tmp_path, "--quick")
    names = [f"{name}-seed-{seed}" for seed in (42, 43) for name in ("basic", "bottleneck", "wide")]
    assert list(summary["results"]) == ["layers", *names]
    assert summary["reference"] == {}
    assert "look_alike_quick_best_test_accuracy" in summary["results"]["wide-seed-43"]
    assert summary["results"]["wide-seed-43"]["block_parameters"] == 812
    assert any("made-up images" in notice for notice in summary["notices"])
    page = (folder / "report.html").read_text()
    for i, name in enumerate(names, 1):
        assert f'href="{i:03d}-{name}/report.html"' in page
    assert "nothing is said about the report" in page
    assert {"basic_accuracy", "wide_accuracy", "accuracy", "time_small", "time_large"} <= no_pictures.keys()
    curves = [(folder / f"{i:03d}-{names[i - 1]}" / "history.csv").read_text() for i in (1, 4)]
    assert curves[0] != curves[1]  # seeds differ


def test_a_group_goes_on_where_it_ended(tmp_path, no_pictures):
    folder, first = run(tmp_path, "--quick", "--experiment", "blocks", "--seeds", "5")
    names = ["basic-seed-5", "bottleneck-seed-5", "wide-seed-5"]
    kept = (folder / f"001-{names[0]}" / "summary.json").read_bytes()
    shutil.rmtree(folder / f"003-{names[2]}")
    (folder / "summary.json").write_text(json.dumps({**first, "status": "interrupted"}))
    assert lab.main(["--resume", str(folder), "--out", str(tmp_path / "out")]) == 0
    again = json.loads((folder / "summary.json").read_text())
    assert again["status"] == "finished"
    assert list(again["results"]) == names
    assert (folder / f"001-{names[0]}" / "summary.json").read_bytes() == kept
    accuracies = [s["results"][names[2]]["look_alike_quick_best_test_accuracy"] for s in (first, again)]
    assert accuracies[0] == accuracies[1]
    template = json.loads((folder / f"003-{names[2]}" / "experiment_template.json").read_text())
    assert (template["experiment"], template["seed"], template["seeds"]) == ("wide", 5, None)


def test_comparison_with_torch_gets_the_three_networks(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(compare_torch, "_library", lambda name: name)  # whether PyTorch is there is not the question

    def compare(run, twins, train, test, args, *, batch_size):
        seen.update(twins=twins, shapes=[t.shape for t in (*train, *test)], batch_size=batch_size)

    monkeypatch.setattr(compare_torch, "compare", compare)
    run(tmp_path, "--compare", "torch", "--experiment", "blocks", "--quick", "--lr", "0.01")
    assert list(seen["twins"]) == ["basic", "bottleneck", "wide"]
    assert seen["twins"]["wide"].network.make(minigrad).block.shortcut.out_channels == 4
    assert seen["twins"]["wide"].optimizer.arguments == {"lr": 0.01}
    assert seen["shapes"] == [(256, 1, 28, 28), (256,), (128, 1, 28, 28), (128,)]
    assert seen["batch_size"] == 64


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--experiment", "block"], "there is no experiment 'block'; did you mean blocks"),
        (["--epochs", "0"], "'0' is not a whole number above 0"),
        (["--lr", "-1"], "'-1' is not a number above 0"),
        (["--seeds", "1", "1"], r"--seeds: expected different numbers, got [1, 1]"),
        (["--experiment", "layers", "--epochs", "3"], "--epochs: layers trains no network"),
        (["--experiment", "layers", "--batch-size", "3"], "--batch-size: layers trains no network"),
    ],
)
def test_bad_options(tmp_path, capsys, argv, message):
    with pytest.raises(SystemExit) as error:
        lab.main([*argv, "--quick", "--out", str(tmp_path / "out")])
    assert error.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_batch_larger_than_the_data_leaves_nothing_behind(tmp_path):
    with pytest.raises(SystemExit, match="--batch-size 257: there are only 256 images"):
        lab.main(["--experiment", "basic", "--batch-size", "257", "--quick", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------------------------- the conclusions


PARAMETERS = {"basic": 4704, "bottleneck": 2960, "wide": 812}


def block(name, *curves):
    """The runs of a block with these test accuracies, one curve for each seed."""
    records = []
    for seed, curve in enumerate(curves):
        results = {
            "best_test_accuracy": max(curve),
            "scatter_over_epochs": float(np.std(curve)),
            "block_parameters": PARAMETERS[name],
        }
        history = [{"epoch": i, "val_accuracy": value} for i, value in enumerate(curve, 1)]
        records.append(RunRecord(f"{name}-{seed}", f"{name}-{seed}", "finished", {}, results, {}, 1.0, history, []))
    return Block(name, records)


def answers(*blocks):
    found = block_comparison.conclusions({b.name: b for b in blocks})
    return [f.agrees for f in found], found


def test_runs_like_the_reports_bear_it_out():
    agrees, _ = answers(
        block("basic", [0.3, 0.6, 0.885], [0.35, 0.7, 0.90], [0.2, 0.6, 0.87]),
        block("bottleneck", [0.3, 0.6, 0.84], [0.35, 0.7, 0.85], [0.2, 0.6, 0.845]),
        block("wide", [0.3, 0.40, 0.475], [0.3, 0.41, 0.476], [0.3, 0.4, 0.474]),
    )
    assert agrees == ["yes", "yes", "yes"]


def test_stability_is_judged_over_seeds_and_not_by_the_climb():
    agrees, found = answers(
        block("basic", [0.3, 0.6, 0.900], [0.35, 0.7, 0.902], [0.2, 0.6, 0.901]),
        block("bottleneck", [0.3, 0.6, 0.93], [0.35, 0.7, 0.95], [0.2, 0.6, 0.94]),
        block("wide", [0.3, 0.40, 0.475], [0.2, 0.31, 0.376], [0.4, 0.5, 0.574]),
    )
    assert agrees == ["in part, 1 of 2", "yes", "in part, 1 of 2"]
    assert "least for wide. That depends on" in found[2].found
    assert "Over the seeds basic 0.0010, bottleneck 0.0100, wide 0.0990: least for basic." in found[2].found


def test_differences_below_the_noise_are_not_clear():
    agrees, _ = answers(
        block("basic", [0.3, 0.90], [0.3, 0.82], [0.3, 0.86]),  # 0.02 apart, more than images alone would scatter
        block("bottleneck", [0.3, 0.83], [0.3, 0.85], [0.3, 0.84]),
        block("wide", [0.7, 0.805], [0.7, 0.835], [0.7, 0.82]),
    )
    assert agrees == ["not clear", "not clear", "not clear"]
    assert answers(block("basic", [0.3, 0.9]))[0] == []


def test_one_seed_says_nothing_of_the_spread():
    agrees, found = answers(block("basic", [0.3, 0.9]), block("bottleneck", [0.3, 0.8]), block("wide", [0.3, 0.5]))
    assert agrees == ["yes", "in part, 2 of 3", "not clear"]
    assert "not known from one" in found[2].found


def test_the_largest_fall_of_a_curve():
    assert block_comparison.largest_fall([0.1, 0.5, 0.4, 0.7, 0.45]) == pytest.approx(0.25)
    assert block_comparison.largest_fall([0.1, 0.5]) == 0
    assert block_comparison.largest_fall([0.1]) == 0


def test_the_report_is_named_only_beside_all_images_and_its_settings(tmp_path, no_pictures):
    members = [(name, block(name, [0.3, 0.9]).records[0]) for name in PARAMETERS]
    for record in (record for _, record in members):
        object.__setattr__(record, "folder", tmp_path / record.name)
        record.results["train_seconds"] = 3.0
    for real, differing, named in ((True, [], True), (False, [], False), (True, ["epochs 3 instead of 10"], False)):
        with Run(tmp_path, "blocks", {}) as parent:
            block_comparison.of_runs(parent, members, real, differing)
        summary = json.loads((parent.folder / "summary.json").read_text())
        assert bool(summary["reference"]) == named
        assert ("conclusions" in summary["results"]) == named
        assert ("0.8853" in (parent.folder / "report.html").read_text()) == named
