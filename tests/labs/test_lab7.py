"""Lab 7: its runs and groups of runs, alone and beside PyTorch."""

from __future__ import annotations

import json
import shutil

import lab7_custom_layers as lab
import pytest
from kit.beside_torch import compare_torch
from lab7 import block_comparison
from lab_run import runner

import minigrad

run = runner(lab)


# --------------------------------------------------------------------------------------------------------- the layers


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
    with pytest.raises(SystemExit) as end:
        lab.main(["--config", str(folder / f"003-{names[2]}" / "experiment_template.json"), "--check"])
    assert end.value.code == 0


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
