"""Lab 1: the hand-written derivatives are right, the figures repeat, Ctrl-C keeps what was trained."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import lab1_regression as lab
import numpy as np
import pytest
from lab_run import runner

import minigrad

run = runner(lab)


def problem(seed=0):
    rng = np.random.default_rng(seed)
    x, y, _ = [a.astype(np.float64) for a in lab.make_data(rng)]
    return x, y, [rng.normal(size=w.shape) for w in lab.initial_weights(rng)]


def test_gradients_by_hand_are_the_derivatives_of_the_loss():
    x, y, weights = problem()
    by_hand = lab.gradients(x, y, weights[2], *lab.forward(x, *weights))
    rng = np.random.default_rng(1)
    for w, gradient in zip(weights, by_hand, strict=True):
        assert gradient.shape == w.shape
        i = tuple(rng.integers(0, n) for n in w.shape)
        loss = []
        for step in (1e-6, -2e-6):
            w[i] += step
            loss.append(((lab.forward(x, *weights)[2] - y) ** 2).sum())
        w[i] += 1e-6
        assert (loss[0] - loss[1]) / 2e-6 == pytest.approx(gradient[i], rel=1e-4, abs=1e-3)


def test_both_gradients_agree_at_random_weights():
    x, y, weights = problem()
    difference, scale = lab.largest_difference(x, y, weights, "cpu", np.float64)
    assert difference < 1e-12 * scale
    difference, scale = lab.largest_difference(x, y, weights, "cpu", np.float32)
    assert difference < 1e-5 * scale


def test_quick_run(tmp_path, capsys):
    folder, summary = run(tmp_path, "--quick")
    assert summary["status"] == "finished"
    assert summary["results"]["manual_final_loss"] == pytest.approx(summary["results"]["autograd_final_loss"], rel=1e-3)
    assert summary["reference"] == {}  # nothing is set beside the report
    assert "report:" not in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "history.csv", "summary.json", "report.html", "tensorboard", "loss.png"),
        "experiment_template.json",
        *(
            f"{kind}{way}{end}"
            for way in ("manual", "autograd")
            for kind, end in (("fit_", ".png"), ("", ".safetensors"))
        ),
    }
    assert (folder / "report.html").read_text().count("data:image/png") == 3


def test_figures_repeat_with_the_seed_and_change_without(tmp_path):
    first, again, other = [
        run(tmp_path / n, "--quick", "--seed", seed)[0] for n, seed in (("a", "1"), ("b", "1"), ("c", "2"))
    ]
    histories = [(folder / "history.csv").read_bytes() for folder in (first, again, other)]
    assert histories[0] == histories[1] != histories[2]
    for name in ("manual.safetensors", "autograd.safetensors"):
        weights = [minigrad.load(folder / name)["w1"].tolist() for folder in (first, again, other)]
        assert weights[0] == weights[1] != weights[2]


def test_the_reference_stands_beside_our_figure(tmp_path):
    folder, summary = run(tmp_path, "--steps", "20", "--mode", "manual")
    assert summary["reference"] == {"final loss, manual": 0.0022573825}
    page = (folder / "report.html").read_text()
    assert "0.002257" in page
    assert f"{summary['results']['manual_final_loss']:.4f}"[:5] in page
    with open(folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 21)]
    losses = [float(row["manual_loss"]) for row in rows]
    assert losses == sorted(losses, reverse=True)


def test_ctrl_c_saves_what_was_trained_so_far(tmp_path):
    script = Path(lab.__file__)
    command = [sys.executable, str(script), "--mode", "manual", "--steps", "100000000", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    patience = time.monotonic() + 60
    while not list(tmp_path.glob("*/config.json")) and time.monotonic() < patience:
        time.sleep(0.1)
    time.sleep(1.0)  # it is in the loop by now
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    (folder,) = tmp_path.iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    assert "Stopped by Ctrl-C after step" in output
    assert "Stopped by Ctrl-C after step" in (folder / "report.html").read_text()
    weights = minigrad.load(folder / "manual.safetensors")
    assert {name: tuple(w.shape) for name, w in weights.items()} == {
        "w1": (1, 64),
        "b1": (64,),
        "w2": (64, 1),
        "b2": (1,),
    }
    assert (folder / "history.csv").exists()


def test_an_unwritable_out_is_an_error_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="cannot write into"):
        lab.main(["--steps", "100000000", "--out", str(tmp_path / "file")])
