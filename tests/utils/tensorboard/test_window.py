"""TensorBoard itself reads what a training logged, and shows it in a browser."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import urllib.request

import pytest
from browser import AVAILABLE, Browser

import minigrad
from minigrad import nn
from minigrad.runs import Run
from minigrad.training import Accuracy, Trainer
from minigrad.training import callbacks as cb
from minigrad.utils.data import DataLoader, TensorDataset

pytestmark = pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="TensorBoard is not installed")


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A small convolutional network, watched for three epochs."""
    minigrad.manual_seed(0)
    images, labels = minigrad.rand(60, 1, 8, 8), minigrad.randint(0, 3, (60,))
    loader = DataLoader(TensorDataset(images, labels), 20)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(72, 3))
    optimizer = minigrad.optim.Adam(model.parameters(), lr=0.01)
    with Run(tmp_path_factory.mktemp("runs"), "watched", {"lr": 0.01}) as run:
        callbacks = [
            cb.GradientMonitor(run),
            cb.WeightMonitor(run),
            cb.ActivationMonitor(images[:10], run),
            cb.ConfusionMatrix(["a", "b", "c"], run),
            cb.ExamplePredictions(["a", "b", "c"], run),
            cb.RunLogger(run, every=1, model_input=images[:1]),
        ]
        trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, {"accuracy": Accuracy()}, callbacks)
        trainer.fit(loader, loader, epochs=3)
        run.writer.add_text("notes", "**three** epochs")
        run.writer.add_hparams({"lr": 0.01}, {"accuracy": run.history[-1]["accuracy"]}, run_name="settings")
    return run


@pytest.fixture(scope="module")
def address(logged):
    """Where TensorBoard serves it."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logged.folder), "--port", "0"]
    command += ["--host", "127.0.0.1", "--load_fast", "false"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert server.stderr is not None
        lines = []
        for line in server.stderr:
            lines.append(line)
            if found := re.search(r"at (http://127\.0\.0\.1:\d+)/", line):
                break
        else:
            pytest.fail("TensorBoard did not start: " + "".join(lines))
        yield found[1]
    finally:
        server.terminate()
        server.wait()
        server.stderr.close()


def ask(address, path):
    with urllib.request.urlopen(f"{address}/data/{path}", timeout=60) as answer:
        return json.loads(answer.read())


def test_tensorboard_reads_every_kind_of_entry(address, logged):
    scalars = ask(address, "plugin/scalars/tags")
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "grad_norm", "weight_change"} <= set(scalars["tensorboard"])
    assert set(scalars["tensorboard/batches"]) == {"batch/loss"}
    rows = ask(address, "plugin/scalars/scalars?tag=val_loss&run=tensorboard")
    assert [(step, pytest.approx(value, rel=1e-6)) for _, step, value in rows] == [
        (row["epoch"], row["val_loss"]) for row in logged.history
    ]
    histograms = ask(address, "plugin/histograms/tags")["tensorboard"]
    assert {"weights/0.weight", "gradients/3.bias", "activations/1"} <= set(histograms)
    steps = ask(address, "plugin/histograms/histograms?tag=activations/1&run=tensorboard")
    assert [step for _, step, _ in steps] == [1, 2, 3]
    counted = sum(count for _, _, count in steps[0][2])
    assert counted == pytest.approx(10 * 2 * 6 * 6)  # of ten images, two channels of 6 × 6
    assert {"confusion_matrix", "predictions"} <= set(ask(address, "plugin/images/tags")["tensorboard"])
    assert ask(address, "plugin/graphs/info")["tensorboard"]["run_graph"]
    assert "notes/text_summary" in ask(address, "plugin/text/tags")["tensorboard"]


@pytest.mark.skipif(not AVAILABLE, reason="there is no Chromium with its driver")
def test_its_pages_show_what_was_logged(address):
    with Browser(1400, 1000) as browser:
        browser.open(f"{address}/#timeseries")
        browser.wait_for("val_accuracy", "grad_norm")
        browser.open(f"{address}/#histograms")
        browser.wait_for("activations")
        browser.open(f"{address}/#images")
        browser.wait_for("confusion_matrix")
        browser.open(f"{address}/#graphs")
        browser.wait_for("Sequential", "input", "output")
