"""Lab 4: the network, runs and groups of runs, and going on with one that was interrupted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import lab4_lenet as lab
import numpy as np
import pytest
from lab4 import data
from lab4.network import LeNet5, initialise

import minigrad
from minigrad.runs import RunRecord

LAB = Path(lab.__file__)


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes longer than the training; one test looks at all of it."""
    monkeypatch.setattr(lab.report, "pictures", lambda *args: None)


def run(out, *argv):
    assert lab.main(["--quick", *argv, "--out", str(out)]) == 0
    return sorted(path for path in out.iterdir() if path.is_dir())[-1]


def test_the_network_is_lenet_5():
    model = LeNet5()
    assert sum(p.numel() for p in model.parameters()) == 61_706
    images = minigrad.tensor(np.full((2, 1, 32, 32), 255, np.uint8))
    assert model(images).shape == (2, 10)
    ones = LeNet5(scale=1.0)
    ones.load_state_dict(model.state_dict())
    assert minigrad.allclose(model(images), ones(images // 255), atol=1e-6)  # 255 / 255 is 1


def test_initial_weights():
    minigrad.manual_seed(0)
    model = LeNet5()
    initialise(model, "glorot")
    bound = (6 / (400 + 120)) ** 0.5
    weight = model.layers.fc1.weight
    assert 0.95 * bound < weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert model.layers.fc1.bias.abs().max().item() == 0
    initialise(model, "wide")
    assert weight.std().item() == pytest.approx(1.5, rel=0.02)
    assert model.layers.fc1.bias.std().item() == pytest.approx(1.0, rel=0.25)


def test_digits_are_padded_and_split(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", 6100), ("t10k", 50)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        header = np.array([2051, count, 28, 28], ">i4").tobytes()
        (raw / f"{split}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(np.array([2049, count], ">i4").tobytes() + labels.tobytes())
    digits = data.load(str(tmp_path), quick=False, seed=0)
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (100, 6000, 50)
    image, _ = digits.test[49]
    assert image.shape == (1, 32, 32)
    assert image.dtype == minigrad.uint8
    assert (image[0, 2:30, 2:30].numpy() == images[49]).all()
    assert image.int().sum().item() == images[49].sum()
    assert digits.kind == "MNIST"


def test_a_run_leaves_all_that_the_lab_promises(tmp_path):
    folder = run(tmp_path)
    record = RunRecord.read(folder)
    assert record.status == "finished"
    assert "look_alike_quick_test_accuracy" in record.results
    assert "test_accuracy" not in record.results
    assert record.reference == {}
    names = {
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "grad_norm",
        "weight_change",
        "update_ratio",
        "saturated",
        "lr",
    }
    assert names <= set(record.history[-1])
    assert {"epoch_seconds", "rss_mib", "peak_rss_mib", "gpu_mib"} <= set(record.performance[-1])
    assert set(record.results["layers"]) == {"tanh1", "tanh2", "tanh3", "tanh4"}
    assert len(record.results["layers"]["tanh1"]["saturated"]) == 3  # before, and after two epochs
    page = (folder / "report.html").read_text()
    for part in (
        "made-up images",
        "Time and memory",
        "61,706",
        "Share of saturated tanh outputs",
        "true against predicted digit",
    ):
        assert part in page
    assert page.count("data:image/png") == 7
    assert (tmp_path / "runs_summary.csv").read_text().count("baseline") >= 1
    assert (tmp_path / "comparison.html").exists()


def test_the_template_starts_a_like_run_and_options_win_over_it(tmp_path, no_pictures):
    first = run(tmp_path, "--experiment", "high-lr", "--lr", "0.02", "--monitors", "off")
    template = first / "experiment_template.json"
    settings = json.loads(template.read_text())
    assert (settings["experiment"], settings["lr"], settings["quick"]) == ("high-lr", 0.02, True)
    assert lab.main(["--config", str(template), "--out", str(tmp_path / "again")]) == 0
    (again,) = [p for p in (tmp_path / "again").iterdir() if p.is_dir()]
    assert (again / "history.csv").read_bytes() == (first / "history.csv").read_bytes()
    assert lab.main(["--config", str(template), "--batch-size", "600", "--out", str(tmp_path / "other")]) == 0
    (other,) = [p for p in (tmp_path / "other").iterdir() if p.is_dir()]
    assert RunRecord.read(other).config["batch_size"] == 600


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"lr_strtegy": "step"}', "unknown setting 'lr_strtegy'; did you mean lr_strategy"),
        ('{"lr_strategy": "steps"}', "invalid choice: 'steps'"),
        ('{"lr": -1}', "'-1' is not a number above 0"),
        ('{"lab": "lab8"}', "is of the lab lab8, this one is lab4"),
        ("[1]", "holds a list"),
        ("{", "is not JSON"),
    ],
)
def test_bad_settings_end_the_program_before_any_work(tmp_path, capsys, content, message):
    path = tmp_path / "settings.json"
    path.write_text(content)
    with pytest.raises(SystemExit):
        lab.main(["--config", str(path), "--out", str(tmp_path / "out")])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_strategies_of_the_learning_rate():
    model = LeNet5()
    for strategy, kind in (("fixed", "ReduceLROnPlateau"), ("step", "StepLR"), ("cyclical", "CyclicLR")):
        optimizer = minigrad.optim.Adam(model.parameters(), lr=1e-3)
        settings = lab.Settings(lr_strategy=strategy)
        callback = lab.schedule(settings, optimizer)
        assert type(callback.scheduler).__name__ == kind
    rates = []
    for _ in range(4001):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        callback.scheduler.step()
    assert rates[0] == pytest.approx(1e-4)
    assert rates[2000] == pytest.approx(5e-3) == max(rates)
    assert rates[4000] == pytest.approx(1e-4)


def test_a_group_is_compared_and_advised_on(tmp_path, no_pictures):
    folder = run(tmp_path, "--experiment", "broken")
    summary = json.loads((folder / "summary.json").read_text())
    assert {"high-lr", "bad-init", "no-norm"} <= set(summary["results"])
    assert any("Saturated before the first step" in line for line in summary["results"]["advice"])
    page = (folder / "report.html").read_text()
    assert 'href="001-high-lr/report.html"' in page
    assert "Advice from these runs" in page


def test_processes_of_their_own_are_timed(tmp_path):
    folder = run(tmp_path, "--experiment", "profile")
    figures = json.loads((folder / "summary.json").read_text())["results"]["profile"]
    assert set(figures) == {"batch 64", "batch 256"}
    assert all(f["epoch_seconds"] > 0 and f["peak_rss_mib"] > 50 for f in figures.values())
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    assert any("Conv2d" in event["name"] for event in events)


def test_an_interrupted_run_goes_on_to_the_same_end(tmp_path, no_pictures):
    """Ctrl-C in the middle of an epoch, then --resume: history and weights as if nothing had happened."""
    script = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(LAB.parent)!r})\n"
        "import lab4_lenet\n"
        "from minigrad.training import callbacks as cb\n"
        "class Interrupting(cb.TerminateOnNaN):\n"
        "    def on_batch_end(self, trainer):\n"
        "        if trainer.step == 13: os.kill(os.getpid(), signal.SIGINT)\n"
        "Interrupting.__name__ = 'TerminateOnNaN'\n"
        "cb.TerminateOnNaN = Interrupting\n"
        "sys.exit(lab4_lenet.main(sys.argv[1:]))\n"
    )
    options = ["--quick", "--lr-strategy", "cyclical"]
    done = subprocess.run(
        [sys.executable, "-c", script, *options, "--out", str(tmp_path / "a")], capture_output=True, text=True
    )
    assert done.returncode == 130, done.stderr
    (folder,) = [p for p in (tmp_path / "a").iterdir() if p.is_dir()]
    assert RunRecord.read(folder).status == "interrupted"
    assert "Stopped by Ctrl-C in epoch 2 after batch 3" in (folder / "report.html").read_text()
    assert len(RunRecord.read(folder).history) == 1
    assert lab.main(["--resume", str(folder)]) == 0
    whole = run(tmp_path / "b", *options[1:])
    for name in ("history.csv", "weights.safetensors"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    with pytest.raises(SystemExit, match="is finished"):
        lab.main(["--resume", str(folder)])


def test_resuming_what_is_no_run(tmp_path, capsys):
    with pytest.raises(SystemExit):
        lab.main(["--resume", str(tmp_path / "nothing")])
    assert "cannot read" in capsys.readouterr().err
