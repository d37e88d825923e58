"""The folder of a run: what is in it at the end, however the run ends."""

from __future__ import annotations

import csv
import json
import signal

import numpy as np
import pytest

import minigrad
from minigrad import plot
from minigrad.training import Run


def summary(run):
    return json.loads((run.folder / "summary.json").read_text())


def test_a_finished_run_leaves_everything(tmp_path, capsys):
    with Run(tmp_path / "runs" / "lab", "base", {"lr": 0.1, "net": {"hidden": [10, 10]}}, "A lab") as run:
        for epoch in run.steps(range(1, 4)):
            run.log(epoch, loss=minigrad.tensor(1.0 / epoch), accuracy=np.float32(0.5))
        run.save_weights({"w": minigrad.ones(2)})
        run.picture(plot.curves({"train": run.column("loss")}), "loss", "The loss")
        run.table("Some table", ["a"], [(1,)])
        run.text("Some text", "of fixed width")
        run.notice("A stand-in!")
        run.results["accuracy"] = minigrad.tensor(0.5)
        run.compare({"accuracy": (0.81, 0.5)}, note="A note.")
    assert run.folder == tmp_path / "runs" / "lab" / "001-base"
    config = json.loads((run.folder / "config.json").read_text())
    assert config["name"] == "base"
    assert config["lr"] == 0.1
    assert {"python", "numpy", "threads", "started"} <= set(config["environment"])
    with open(run.folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [1.0, 0.5, np.float32(1 / 3)]
    assert list(rows[0]) == ["epoch", "loss", "accuracy"]
    left = summary(run)
    assert left["status"] == "finished"
    assert left["results"] == {"accuracy": 0.5}
    assert left["reference"] == {"accuracy": 0.81}
    assert left["notices"] == ["A stand-in!"]
    assert left["seconds"] > 0
    page = (run.folder / "report.html").read_text()
    for part in ("A lab", "A stand-in!", "0.8100", "A note.", "Some table", "of fixed width", "net hidden", "10, 10"):
        assert part in page
    assert page.index("Beside the reference") < page.index("data:image/png")
    assert minigrad.load(run.folder / "weights.safetensors")["w"].tolist() == [1, 1]
    assert list((run.folder / "tensorboard").glob("events.*"))
    assert "NOTE: A stand-in!" in capsys.readouterr().out


def test_a_graph_is_put_into_the_report_as_svg(tmp_path):
    x = minigrad.ones(3, requires_grad=True)
    with Run(tmp_path, "base", {}) as run:
        run.picture(plot.graph((x * x).sum()), "graph", "x · x, summed")
        run.picture(plot.curves({"train": ([1, 2], [2, 1])}), "loss", "The loss")
    assert (run.folder / "graph.svg").read_text().startswith("<svg")
    page = (run.folder / "report.html").read_text()
    assert "data:image/svg+xml;base64," in page
    assert page.index("<b>Figure 1.</b> x · x, summed") < page.index("<b>Figure 2.</b> The loss")


def test_no_run_writes_over_another(tmp_path):
    names = []
    for name in ("base", "base", "deep"):
        with Run(tmp_path, name, {}) as run:
            names.append(run.folder.name)
    (tmp_path / "041-mine").mkdir()
    (tmp_path / "notes.txt").write_text("kept")
    with Run(tmp_path, "base", {}) as run:
        names.append(run.folder.name)
    assert names == ["001-base", "002-base", "003-deep", "042-base"]


def test_runs_that_start_at_once_take_different_numbers(tmp_path, monkeypatch):
    from pathlib import Path

    (tmp_path / "001-base").mkdir()
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(()))  # as if the other one came after we looked
    assert Run(tmp_path, "base", {}).folder.name == "002-base"


def test_ctrl_c_keeps_what_was_trained(tmp_path):
    with Run(tmp_path, "base", {}) as run:
        for epoch in run.steps(range(1, 100)):
            run.log(epoch, loss=1.0 / epoch)
            if epoch == 2:
                signal.raise_signal(signal.SIGINT)
        assert run.interrupted
        run.results["epochs"] = len(run.history)
    left = summary(run)
    assert left["status"] == "interrupted"
    assert left["results"] == {"epochs": 2}
    assert "Stopped by Ctrl-C after epoch 2" in left["notices"][0]
    assert (run.folder / "history.csv").read_text().splitlines() == ["epoch,loss", "1,1.0", "2,0.5"]
    assert "Stopped by Ctrl-C after epoch 2" in (run.folder / "report.html").read_text()


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("boom"), "failed"), (KeyboardInterrupt(), "interrupted")])
def test_an_error_passes_and_leaves_the_history(tmp_path, error, status):
    run = Run(tmp_path, "base", {})

    def work():
        with run:
            run.log(1, loss=0.5)
            raise error

    with pytest.raises(type(error)):
        work()
    left = summary(run)
    assert left["status"] == status
    assert type(error).__name__ in left["notices"][0]
    assert (run.folder / "history.csv").read_text() == "epoch,loss\n1,0.5\n"


def test_a_run_that_is_killed_leaves_its_history(tmp_path, monkeypatch):
    monkeypatch.setattr("minigrad.training.run.HISTORY_EVERY", 0.0)
    run = Run(tmp_path, "base", {})
    run.log(1, loss=0.5)
    assert (run.folder / "history.csv").read_text() == "epoch,loss\n1,0.5\n"
    assert (run.folder / "config.json").exists()


def test_rows_of_different_columns_and_numbers_that_are_not_finite(tmp_path):
    with Run(tmp_path, "base", {}, unit="step") as run:
        run.log(1, a=1)
        run.log(1, b=float("nan"))
        run.results.update(bad=float("inf"), good=minigrad.tensor([1.0, 2.0]))
    assert (run.folder / "history.csv").read_text() == "step,a,b\n1,1,\n1,,nan\n"
    assert run.column("a") == ([1], [1])
    assert summary(run)["results"] == {"bad": None, "good": [1.0, 2.0]}  # JSON has no infinity


def test_an_unwritable_place_is_an_error_at_the_start(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        Run(tmp_path / "file" / "runs", "base", {})
    with pytest.raises(ValueError, match=r"'a/b' is not fit for a folder"):
        Run(tmp_path, "a/b", {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
