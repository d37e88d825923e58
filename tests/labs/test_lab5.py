"""Lab 5: runs and groups of runs, what is said of their figures, what is refused."""

from __future__ import annotations

import json

import lab5_cnn_vs_mlp as lab
import numpy as np
import pytest
from kit import image_data
from kit.beside_torch import compare_torch
from lab5 import report
from lab_run import runner

import minigrad
from minigrad import optim

run = runner(lab)
of_run = report.of_run


def test_a_quick_run_leaves_all_that_a_run_has(tmp_path):
    folder, summary = run(tmp_path, "--experiment", "mnist-cnn", "--quick")
    results = summary["results"]
    assert results["parameters"] == 421_642
    assert results["look_alike_quick_best_test_accuracy"] > 0.5
    assert results["train_seconds"] > 0 < results["inference_seconds"]
    assert results["mean_grad_norm"] > 0
    assert results["overfitting"] in ("yes", "begins", "no")
    assert not summary["reference"]
    assert "made-up images" in summary["notices"][1]
    pictures = {path.stem for path in folder.glob("*.png")}
    assert pictures == {"accuracy", "loss", "confusion_matrix", "gradient_flow", "gradient_norm"}
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Taken for each other" in page or "No image is taken" in page
    assert "421,642" in page
    weights = minigrad.load(folder / "weights.safetensors")
    assert weights["classifier.1.weight"].shape == (128, 3136)
    assert json.loads((folder / "experiment_template.json").read_text())["batch_size"] == 64


def test_what_batch_norms_running_averages_cost_is_told(tmp_path, no_pictures, monkeypatch):
    """The figure is that of the saved weights, once their statistics are gathered from the training images."""
    trained = []
    monkeypatch.setattr(lab.report, "of_run", lambda of, *rest: trained.append(of) or of_run(of, *rest))
    folder, summary = run(tmp_path, "--experiment", "mnist-rescnn", "--quick", "--lr", "1e-4", "--epochs", "1")
    found = summary["results"]["look_alike_quick_exact_statistics_test_accuracy"]
    model = trained[0].model.eval()
    images = image_data.load("mnist", None, True, 42)
    x, y = images.test.tensors
    assert found == trained[0].exact != float((model(x).argmax(1) == y).float().mean())  # the model is as it was
    for name, value in minigrad.load(folder / "weights.safetensors").items():
        np.testing.assert_array_equal(model.state_dict()[name].numpy(), value.numpy())
    optim.swa_utils.update_bn([images.train.tensors[0]], model)
    assert found == pytest.approx(float((model(x).argmax(1) == y).float().mean()), abs=0.02)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"under the last weights, the test accuracy is {found:.4f}" in page


def test_a_network_without_batch_norm_has_no_statistics(tmp_path, no_pictures):
    folder, summary = run(tmp_path, "--experiment", "mnist-fc", "--quick", "--epochs", "1")
    assert not [name for name in summary["results"] if "exact" in name]
    assert "running averages" not in (folder / "report.html").read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_figures(tmp_path, no_pictures):
    argv = ["--experiment", "mnist-fc", "--quick", "--epochs", "1"]
    histories = [(run(tmp_path, *argv, "--seed", seed)[0] / "history.csv").read_text() for seed in ("1", "1", "2")]
    assert histories[0] == histories[1] != histories[2]


def test_a_group_for_several_seeds_has_a_page_of_means(tmp_path, no_pictures, monkeypatch):
    monkeypatch.setitem(lab.GROUPS, "mnist", ["mnist-fc", "mnist-cnn"])
    folder, summary = run(tmp_path, "--experiment", "mnist", "--quick", "--epochs", "1", "--seeds", "3", "4")
    members = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] == "0")
    assert members == [
        f"00{i}-mnist-{n}-seed-{s}" for i, (s, n) in enumerate([(3, "fc"), (3, "cnn"), (4, "fc"), (4, "cnn")], 1)
    ]
    seeds = [json.loads((folder / name / "config.json").read_text())["seed"] for name in members]
    assert seeds == [3, 3, 4, 4]
    key = "look_alike_quick_best_test_accuracy"
    mean = np.mean([summary["results"][f"mnist-fc-seed-{seed}"][key] for seed in (3, 4)])
    assert f"{mean:.4f}" in (folder / "report.html").read_text(encoding="utf-8")
    assert "conclusions" not in summary["results"]  # these are not the lab's images


def test_what_a_member_was_started_with_starts_a_like_run(tmp_path, no_pictures):
    folder, _ = run(tmp_path, "--experiment", "mnist-fc", "--quick", "--lr", "0.01", "--seeds", "5", "--epochs", "1")
    member = folder / "001-mnist-fc"
    again, _ = run(tmp_path, "--config", str(member / "experiment_template.json"))
    assert (again / "history.csv").read_text() == (member / "history.csv").read_text()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--experiment", "mnist-cn"], "did you mean mnist-cnn"),
        (["--experiment", "cifar"], "did you mean cifar10"),
        (["--epochs", "0"], "'0' is not a whole number above 0"),
        (["--batch-size", "0"], "'0' is not a whole number above 0"),
        (["--weight-decay", "-1"], "'-1' is not 0 or a number above it"),
        (["--seeds", "3", "3"], "argument --seeds: expected different numbers, got [3, 3]"),
        (["--compare", "torch", "--seeds", "1", "2"], "argument --seeds: a comparison with PyTorch"),
        (["--seeds", "a"], "invalid int value: 'a'"),
    ],
)
def test_bad_options_are_refused(argv, message, capsys):
    with pytest.raises(SystemExit):
        lab.main(argv)
    assert message in capsys.readouterr().err


def test_a_batch_larger_than_the_data_ends_the_lab(tmp_path):
    with pytest.raises(SystemExit, match="--batch-size 300: there are only 256 images"):
        run(tmp_path, "--experiment", "mnist", "--quick", "--batch-size", "300")
    assert not (tmp_path / "out").exists()  # before any work


def test_a_comparison_with_pytorch_takes_the_experiments_networks(tmp_path, monkeypatch):
    monkeypatch.setattr(compare_torch, "_library", lambda name: name)  # whether PyTorch is there is not the question
    asked = {}

    def compare(run, twins, train, test, args, *, batch_size, title):
        sizes = {n: sum(p.numel() for p in t.network.make(minigrad).parameters()) for n, t in twins.items()}
        asked[title] = (sizes, [t.optimizer.arguments for t in twins.values()], len(train[0]), len(test[1]), batch_size)

    monkeypatch.setattr(compare_torch, "compare", compare)
    run(tmp_path, "--compare", "torch", "--experiment", "all", "--quick")
    first, second = asked.values()
    assert first[0] == {"mnist-fc": 567_434, "mnist-cnn": 421_642, "mnist-rescnn": 108_042}
    assert second[0] == {"cifar10-fc": 9_050_378, "cifar10-rescnn": 87_498}  # without dropout, regrescnn is rescnn
    assert first[1:] == ([{"lr": 1e-3, "weight_decay": 0.0}] * 3, 256, 128, 64)
    assert second[1] == [{"lr": 1e-3, "weight_decay": 5e-4}] * 2


# ------------------------------------------------------------------------------------------------------------- the page


def test_pairs_of_classes_that_are_taken_for_each_other():
    counts = np.array([[9, 3, 0], [2, 8, 1], [0, 0, 9]])
    assert report.confusions(counts, ["cat", "dog", "ship"]) == (
        "Taken for each other most often: cat and dog (5), dog and ship (1)."
    )
    assert "No image" in report.confusions(np.eye(2, dtype=int), ["a", "b"])
