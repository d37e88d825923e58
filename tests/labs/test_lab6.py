"""Lab 6: receptive fields computed and measured, runs and groups of runs, what is said of their figures."""

from __future__ import annotations

import argparse
import json

import lab6_cnn_architecture as lab
import numpy as np
import pytest
from kit import experiments, image_training
from kit.beside_torch import compare_torch
from lab5.network import ResidualBlock
from lab6 import receptive_field, report
from lab_run import runner

import minigrad
from minigrad import nn
from minigrad.runs import RunRecord

NETWORKS = {  # {network: (parameters for MNIST, receptive field)}
    "kernel-3": (9_898, 5),
    "kernel-5": (3_442, 9),
    "kernel-7": (1_540, 13),
    "mixed": (9_642, 3),
    "shallow-2": (9_898, 5),
    "medium-4": (28_394, 9),
    "deep-6": (46_890, 13),
    "resnet-like": (56_138, 15),
}


run = runner(lab, "--quick")


# ----------------------------------------------------------------------------------------------------- receptive fields


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_the_computed_field_is_the_measured_one(name, shape):
    minigrad.manual_seed(0)
    model = lab.recipe(name, shape[0]).make(minigrad)
    side = receptive_field.computed(model.features)
    assert side == (NETWORKS[name][1], NETWORKS[name][1])
    seen = receptive_field.measured(model.features, receptive_field.noise(shape))
    first = shape[1] // 2 - side[0] // 2
    assert seen.box == (first, first, *side)
    if shape[0] == 1:
        assert sum(p.numel() for p in model.parameters()) == NETWORKS[name][0]


@pytest.mark.parametrize(
    ("layers", "side"),
    [
        (lambda: [nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 4, 3)], (7, 7)),
        (lambda: [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, dilation=2)], (7, 7)),
        (lambda: [nn.Conv2d(2, 4, 5), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3)], (10, 10)),
        (lambda: [nn.Conv2d(2, 4, (1, 5)), nn.Tanh(), nn.AvgPool2d(3, 2), nn.Conv2d(4, 4, (3, 1))], (7, 7)),
        (lambda: [nn.Conv2d(2, 4, (1, 3)), nn.BatchNorm2d(4), nn.Conv2d(4, 4, (5, 1))], (5, 3)),
        (lambda: [nn.Conv2d(2, 4, 3), ResidualBlock(4, 8, stride=2), ResidualBlock(8, 8)], (17, 17)),
    ],
)
def test_strides_dilations_pools_and_shortcuts(layers, side):
    minigrad.manual_seed(1)
    features = nn.Sequential(*layers())
    assert receptive_field.computed(features) == side
    seen = receptive_field.measured(features, receptive_field.noise((2, 40, 40)))
    assert seen.box[2:] == side


def test_the_field_grows_layer_by_layer():
    features = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 5, dilation=2))
    steps = receptive_field.steps(features)
    assert [(s.name, s.size, s.jump) for s in steps] == [
        ("0", (3, 3), (2, 2)),
        ("2", (5, 5), (4, 4)),  # 3 + 1·2
        ("3", (37, 37), (4, 4)),  # 5 + 2·4·4
    ]
    with pytest.raises(ValueError, match="behind 1, a Flatten, no receptive field"):
        receptive_field.steps(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()))


def test_a_picture_shows_the_middle_and_the_frame_lies_on_the_field():
    model = lab.recipe("kernel-7", 1).make(minigrad)
    seen = receptive_field.measured(model.features, receptive_field.noise((1, 28, 28)))
    part, frame = receptive_field.middle(seen.gradients, (13, 13))
    assert part.shape == (21, 21)
    rows = np.flatnonzero(part.any(1))
    assert frame == (rows[0], rows[0], len(rows), len(rows)) == (4, 4, 13, 13)
    small = np.ones((8, 8))
    part, frame = receptive_field.middle(small, (3, 5))
    assert part.shape == (8, 8)
    assert frame == (3, 2, 3, 5)


# ------------------------------------------------------------------------------------------------------------- the runs


def test_a_quick_run_leaves_all_that_a_run_has(tmp_path):
    folder, summary = run(tmp_path, "--experiment", "mixed", "--dataset", "cifar10")
    results = summary["results"]
    assert folder.name == "001-cifar10-mixed"
    assert results["parameters"] == 9_706
    assert results["multiply_adds"] == 9_568_576
    assert results["receptive_field"] == results["measured_receptive_field"] == 3
    assert results["effective_field_before"] == pytest.approx(3)
    assert set(results["gradient_rms"]) == {"0", "2", "head.2"}
    assert results["gradient_verdicts"] == []
    accuracies = [float(line.split(",")[4]) for line in (folder / "history.csv").read_text().splitlines()[1:]]
    assert results["look_alike_quick_best_test_accuracy"] == pytest.approx(max(accuracies))
    assert results["look_alike_quick_test_accuracy"] == pytest.approx(accuracies[-1])
    assert not summary["reference"]
    assert "made-up images" in summary["notices"][1]
    pictures = {path.stem for path in folder.glob("*.png")}
    assert pictures == {"accuracy", "loss", "receptive_field", "feature_maps", "gradient_flow", "gradients"}
    page = (folder / "report.html").read_text(encoding="utf-8")
    for part in ("layer by layer", "9,706", "32 feature maps", "No layer&#39;s gradient vanishes", "3 × 3"):
        assert part in page
    fields = minigrad.load(folder / report.FIELDS)
    assert {name: tuple(field.shape) for name, field in fields.items()} == {"before": (32, 32), "after": (32, 32)}


def test_the_first_maps_are_those_of_the_first_test_image(tmp_path, no_pictures, monkeypatch):
    shown = []
    monkeypatch.setattr(lab.report.plot, "feature_maps", lambda maps, limit: shown.append((maps, limit)))
    folder, _ = run(tmp_path, "--experiment", "kernel-5")
    weights = minigrad.load(folder / "weights.safetensors")
    args = argparse.Namespace(data=None, quick=True, seed=42, device="cpu")
    image = image_training.images_of("mnist", args).test.tensors[0][:1]
    expected = nn.functional.conv2d(image, weights["features.0.weight"], weights["features.0.bias"], padding=2).relu()
    ((maps, limit),) = shown
    assert minigrad.allclose(maps, expected[0], atol=1e-5)
    assert maps.shape == (11, 28, 28)
    assert limit == report.QUICK_MAPS


def test_a_group_on_both_data_sets_is_compared(tmp_path, no_pictures, monkeypatch):
    monkeypatch.setitem(lab.GROUPS, "kernels", ["kernel-7", "mixed"])
    folder, summary = run(tmp_path, "--dataset", "both", "--epochs", "1")
    names = ["mnist-kernel-7", "cifar10-kernel-7", "mnist-mixed", "cifar10-mixed"]
    assert [p.name for p in sorted(folder.iterdir()) if p.is_dir() and p.name[0] == "0"] == [
        f"00{i}-{name}" for i, name in enumerate(names, 1)
    ]
    assert set(names) == summary["results"].keys()  # and no conclusions: these are not the lab's images
    assert summary["reference"] == {}
    for dataset in ("mnist", "cifar10"):
        for picture in ("val_accuracy", "accuracy", "val_loss", "field_before", "field_after"):
            assert f"{dataset}_kernels_{picture}" in no_pictures
    assert "kernel-7 13.0, mixed 3.0" in no_pictures["mnist_kernels_field_before"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'href="001-mnist-kernel-7/report.html"' in page
    assert "in bounds" in page


def test_what_a_member_was_started_with_starts_a_like_run(tmp_path, no_pictures, monkeypatch):
    monkeypatch.setitem(lab.GROUPS, "kernels", ["kernel-7"])
    folder, _ = run(tmp_path, "--experiment", "kernels", "--lr", "0.01", "--seeds", "5", "6", "--epochs", "1")
    members = [folder / f"00{i}-mnist-kernel-7-seed-{seed}" for i, seed in ((1, 5), (2, 6))]
    histories = [(member / "history.csv").read_text() for member in members]
    assert histories[0] != histories[1]
    again, _ = run(tmp_path, "--config", str(members[1] / "experiment_template.json"))
    assert (again / "history.csv").read_text() == histories[1]


def test_an_interrupted_group_goes_on(tmp_path, no_pictures, monkeypatch):
    monkeypatch.setitem(lab.GROUPS, "kernels", ["kernel-7", "mixed"])
    made, one = [], experiments.one

    def stopping(training, *rest):
        made.append(training.name)
        if made == ["mnist-kernel-7", "mnist-mixed"]:
            raise KeyboardInterrupt
        return one(training, *rest)

    monkeypatch.setattr(experiments, "one", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "--epochs", "1")
    (folder,) = (tmp_path / "out").iterdir()
    assert lab.main(["--resume", str(folder)]) == 0
    assert made == ["mnist-kernel-7", "mnist-mixed", "mnist-mixed"]
    assert json.loads((folder / "summary.json").read_text())["status"] == "finished"
    assert RunRecord.read(folder / "002-mnist-mixed").status == "finished"


def members(*argv):
    args = argparse.Namespace(experiment="all", dataset="mnist", seed=42, seeds=None, quick=False)
    found = lab.trainings(argparse.Namespace(**{**vars(args), **dict(argv)}))
    return {training.name: training for training in found}


def test_the_members_of_a_run_small_ones_first():
    both = members(("dataset", "both"))
    assert list(both)[:4] == ["mnist-kernel-7", "cifar10-kernel-7", "mnist-kernel-5", "cifar10-kernel-5"]
    assert len(both) == 16
    assert {member.seed for name, member in both.items() if "shallow-2" not in name} == {42}
    # kernel-3 is the same network: with the same seed it would be the same training
    assert both["mnist-shallow-2"].seed == both["cifar10-shallow-2"].seed == 42 + lab.TWIN
    assert members(("experiment", "depth"))["mnist-shallow-2"].seed == 42
    seeds = members(("seeds", [1, 2]), ("experiment", "mixed"))
    found = {name: (training.experiment, training.dataset, training.seed) for name, training in seeds.items()}
    assert found == {f"mnist-mixed-seed-{n}": ("mixed", "mnist", n) for n in (1, 2)}
    sizes = [NETWORKS[member.experiment][0] for member in members(("experiment", "depth")).values()]
    assert sizes == sorted(sizes)


def test_beside_pytorch_each_network_is_trained_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(compare_torch, "requested", lambda parser, args: True)
    monkeypatch.setattr(compare_torch, "compare", lambda run, twins, *rest, **more: calls.append((twins, more)))
    run(tmp_path, "--experiment", "all", "--dataset", "both", "--lr", "0.01")
    assert [len(twins) for twins, _ in calls] == [7, 7]
    twin = calls[1][0]["cifar10-deep-6"]
    assert (twin.network.name, twin.network.arguments) == ("lab6.network.DepthCNN", {"channels": 3, "depth": 6})
    assert (twin.optimizer.name, twin.optimizer.arguments) == ("optim.Adam", {"lr": 0.01, "weight_decay": 0.0})
    assert calls[0][1]["title"] == "MNIST, beside PyTorch"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--experiment", "kernal-3"], "there is no experiment 'kernal-3'; did you mean kernel-3"),
        (["--experiment", "resnet"], "did you mean resnet-like"),
        (["--dataset", "cifar-10"], "there is no data set 'cifar-10'; did you mean cifar10? It is one of: mnist, cif"),
        (["--dataset", "MNIST"], "did you mean mnist?"),
        (["--dataset", "zzz"], "there is no data set 'zzz'; It is one of: mnist, cifar10, both"),
        (["--epochs", "0"], "'0' is not a whole number above 0"),
        (["--batch-size", "0"], "'0' is not a whole number above 0"),
        (["--seeds", "1", "1"], "argument --seeds: expected different numbers, got [1, 1]"),
        (["--compare", "torch", "--seeds", "1", "2"], "argument --seeds: a comparison with PyTorch"),
    ],
)
def test_bad_options_are_refused(tmp_path, argv, message, capsys):
    with pytest.raises(SystemExit):
        lab.main([*argv, "--out", str(tmp_path / "out")])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("experiment", ["mixed", "all"])
def test_a_batch_that_cannot_be_ends_the_lab_before_any_work(tmp_path, experiment, monkeypatch):
    with pytest.raises(SystemExit, match="--batch-size 300: there are only 256 images"):
        run(tmp_path, "--experiment", experiment, "--batch-size", "300")
    monkeypatch.setattr("psutil.virtual_memory", lambda: argparse.Namespace(available=2**20))
    with pytest.raises(SystemExit, match=r"a training step would need about .* GiB"):
        run(tmp_path, "--experiment", experiment, "--batch-size", "256")
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_ends_the_lab_before_any_work(tmp_path):
    folder = tmp_path / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (folder / f"{name}.bin").write_bytes(bytes(3073 * 2))
    (folder / "data_batch_4.bin").write_bytes(bytes(3000))
    with pytest.raises(SystemExit, match=r"error: .*data_batch_4\.bin has 3000 bytes"):
        run(tmp_path, "--experiment", "mixed", "--dataset", "both", "--data", str(tmp_path / "data"))
    assert not (tmp_path / "out").exists()
