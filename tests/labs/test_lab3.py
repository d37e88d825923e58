"""Lab 3: what the data is decides how figures are named; runs, comparison, model."""

from __future__ import annotations

import lab3_cifar100_mlp as lab
import numpy as np
import pytest
from kit import cli
from lab_run import runner

import minigrad
from minigrad.datasets import CIFAR100
from minigrad.datasets.download import DownloadError

run = runner(lab)


def write_images(folder, classes=(0, 33, 50), counts=(12, 4)):
    """Files in CIFAR-100's binary layout: per image a coarse label, a fine label, 3072 bytes of pixels."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, count in zip(("train", "test"), counts, strict=True):
        fine = np.array(classes, np.uint8).repeat(count)[:, None]
        pixels = rng.integers(0, 100, (len(fine), 3072)) + fine
        rows = np.hstack([0 * fine, fine, pixels.astype(np.uint8)])
        rows[rng.permutation(len(rows))].tofile(folder / f"{name}.bin")


def test_quick_run_on_look_alikes_reports_nothing_as_the_labs(tmp_path, capsys):
    folder, summary = run(tmp_path, "--quick")
    assert set(summary["results"]) == {"look_alike_quick_train_accuracy", "look_alike_quick_test_accuracy"}
    assert summary["reference"] == {}
    assert any("made-up images" in notice for notice in summary["notices"])
    out = capsys.readouterr().out
    assert "made-up images" in out
    assert "[2,     3] loss: " in out
    assert "[2,     1] val loss: " in out
    page = (folder / "report.html").read_text()
    assert "made-up images" in page
    assert page.count("data:image/png") == 4
    assert "weighted avg" in page
    columns = (folder / "history.csv").read_text().splitlines()[0]
    assert columns == "epoch,loss,accuracy,val_loss,val_accuracy"


@pytest.mark.parametrize("where", ["cifar-100-standin", "cifar-100-binary"])
def test_a_stand_in_is_called_one_wherever_it_lies(tmp_path, where):
    write_images(tmp_path / "data" / where)
    folder, summary = run(tmp_path, "--data", str(tmp_path / "data"), "--epochs", "2")
    assert set(summary["results"]) == {"stand_in_train_accuracy", "stand_in_test_accuracy"}
    assert summary["reference"] == {"test accuracy": 0.81}
    assert any("stand-in (36 + 12 images instead of 50,000 + 10,000" in notice for notice in summary["notices"])
    page = (folder / "report.html").read_text()
    assert "0.8100" in page
    assert "stand-in" in page
    assert "apple" not in page  # the names of CIFAR-100's classes would be wrong


def test_the_folder_of_the_stand_in_itself_may_be_named(tmp_path):
    write_images(tmp_path / "cifar-100-standin")
    args = cli.command_line("", "lab3", lab.EXPERIMENTS).parse_args(["--data", str(tmp_path / "cifar-100-standin")])
    args.classes = [50, 0]
    data = lab.load(args)
    assert data.kind == "stand-in"
    assert data.names == ["0", "50"]
    images, labels = data.train
    assert images.shape == (24, 3, 32, 32)
    assert ((images.mean((1, 2, 3)) > 75) == (labels == 1)).all()  # class 50 is the brighter one, and comes second


def test_only_whole_cifar100_gives_a_test_accuracy():
    assert lab.figure_name("test", "CIFAR-100", quick=False) == "test_accuracy"
    for kind, quick in (("CIFAR-100", True), ("stand-in", False), ("look-alike", True)):
        assert lab.figure_name("test", kind, quick) != "test_accuracy"


def test_a_class_that_is_not_there_and_bad_classes(tmp_path, capsys):
    write_images(tmp_path / "data" / "cifar-100-standin")
    with pytest.raises(SystemExit, match="no image of class 7"):
        lab.main(["--data", str(tmp_path / "data"), "--classes", "0", "7", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit):
        lab.main(["--classes", "3", "3"])
    assert "two or more different numbers" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_data_and_network_one_message_says_what_to_put_where(tmp_path, monkeypatch):
    def offline(self):
        raise DownloadError("no network")

    monkeypatch.setattr(CIFAR100, "download", offline)
    with pytest.raises(SystemExit) as error:
        lab.main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    for part in ("cifar-100-binary.tar.gz", str(tmp_path / "data"), "no network", "--quick"):
        assert part in str(error.value)
    assert not (tmp_path / "out").exists()


def test_experiments_cover_the_reports_eight_runs():
    assert len(lab.RUNS) == 8
    references = [settings.reference for settings in lab.RUNS.values()]
    assert references == [0.81, 0.8333, 0.8167, 0.7933, 0.8333, 0.8233, 0.8467, 0.83]


def test_a_group_of_runs_is_compared_on_one_page(tmp_path):
    write_images(tmp_path / "data" / "cifar-100-standin")
    folder, summary = run(tmp_path, "--data", str(tmp_path / "data"), "--experiment", "width", "--epochs", "1")
    names = ["width-5", "width-10", "width-32", "width-128"]
    assert list(summary["results"]) == names
    assert summary["reference"]["width-128"] == 0.8467
    page = (folder / "report.html").read_text()
    for i, name in enumerate(names, 1):
        assert f'href="{i:03d}-{name}/report.html"' in page
        assert (folder / f"{i:03d}-{name}" / "report.html").exists()
    assert "0.7933" in page
    assert page.count("data:image/png") == 3


def test_figures_repeat_with_the_seed(tmp_path):
    first, again, other = [
        run(tmp_path / n, "--quick", "--seed", seed)[0] for n, seed in (("a", "1"), ("b", "1"), ("c", "2"))
    ]
    histories = [(folder / "history.csv").read_bytes() for folder in (first, again, other)]
    assert histories[0] == histories[1] != histories[2]
    weights = [
        minigrad.load(folder / "weights.safetensors")["layers.1.weight"].tolist() for folder in (first, again, other)
    ]
    assert weights[0] == weights[1] != weights[2]


def test_the_model_normalises_by_channel_and_keeps_that_with_its_weights():
    mean, std = minigrad.tensor([10.0, 20.0, 30.0]), minigrad.tensor([1.0, 2.0, 4.0])
    model = lab.MLP(mean, std, (7, 5), 3)
    x = minigrad.rand(2, 3, 32, 32) * 255
    expected = (x.numpy() - np.array([10, 20, 30]).reshape(3, 1, 1)) / np.array([1, 2, 4]).reshape(3, 1, 1)
    assert np.allclose(model.normalize(x).numpy(), expected, atol=1e-4)
    assert model(x).shape == (2, 3)
    assert [tuple(p.shape) for p in model.parameters()] == [(7, 3072), (7,), (5, 7), (5,), (3, 5), (3,)]
    assert {"normalize.mean", "normalize.std"} <= set(model.state_dict())
