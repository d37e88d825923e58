"""The folder of a run: what is in it at the end, however the run ends."""

from __future__ import annotations

import csv
import datetime
import enum
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import plot
from minigrad.runs import Run, RunRecord


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
    monkeypatch.setattr("minigrad.runs.run.HISTORY_EVERY", 0.0)
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


# --------------------------------------------------------------------------------------------- what a file cannot hold


class Colour(enum.Enum):
    RED = 1


LACKING = [{1, 2}, datetime.date(2024, 1, 2), Colour.RED, 1j, b"x", object(), np.complex64(1), [1, {"a": {2}}]]


@pytest.mark.parametrize("value", LACKING, ids=lambda value: type(value).__name__)
def test_a_result_that_a_file_lacks_is_named_and_all_else_is_written(tmp_path, value):
    def work():
        with Run(tmp_path, "base", {}) as run:
            run.log(1, loss=0.5)
            run.picture(plot.curves({"train": ([1], [2])}), "loss", "The loss")
            run.results.update(good=np.float32(0.5), odd=value, last=minigrad.tensor([1, 2]))

    with pytest.raises(TypeError, match=r"results\['odd'\]"):
        work()
    folder = tmp_path / "001-base"
    left = json.loads((folder / "summary.json").read_text())
    assert left["results"] == {"good": 0.5, "last": [1, 2]}
    assert left["status"] == "finished"
    assert "results['odd']" in left["notices"][0]
    assert (folder / "history.csv").read_text() == "epoch,loss\n1,0.5\n"
    assert "results[&#39;odd&#39;]" in (folder / "report.html").read_text()
    assert (folder / "loss.png").exists()


def test_results_of_all_that_becomes_json(tmp_path):
    with Run(tmp_path, "base", {"path": tmp_path, "lr": np.float32(0.5), 1: (np.int8(2), None)}) as run:
        run.results.update(
            nan=float("nan"),
            array=np.array([1.0, np.inf]),
            nested={"a": {2: minigrad.tensor(True)}},
            text="\udcff = größe",
            empty=[],
        )
    left = summary(run)["results"]
    assert left == {
        "nan": None,
        "array": [1.0, None],
        "nested": {"a": {"2": True}},
        "text": "\udcff = größe",
        "empty": [],
    }
    config = json.loads((run.folder / "config.json").read_text())
    assert (config["path"], config["lr"], config["1"]) == (str(tmp_path), 0.5, [2, None])


def test_a_result_that_contains_itself_is_named(tmp_path):
    loop = {}
    loop["again"] = loop
    with pytest.raises(ValueError, match=r"results\['loop'\] contains itself"), Run(tmp_path, "base", {}) as run:
        run.results["loop"] = loop
    assert (tmp_path / "001-base" / "summary.json").exists()


def test_a_bad_setting_is_named_before_there_is_a_folder(tmp_path):
    with pytest.raises(TypeError, match=r"config\['sizes'\]\[1\]"):
        Run(tmp_path, "base", {"sizes": [1, {2}]})
    with pytest.raises(TypeError, match=r"template\['when'\]"):
        Run(tmp_path, "base", {}, template={"when": datetime.date(2024, 1, 2)})
    with pytest.raises(TypeError, match=r"config has two keys that are one as text"):
        Run(tmp_path, "base", {1: 2, "1": 3})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["high", None, [1, 2], {1}, np.ones(2), 1j])
def test_what_is_no_number_cannot_be_logged(tmp_path, value):
    with Run(tmp_path, "base", {}) as run:
        for log in (run.log, run.log_performance):
            with pytest.raises(TypeError, match=r"odd is .*expected one number"):
                log(1, loss=0.5, odd=value)
        run.log(1, loss=np.array([[0.5]]), right=minigrad.tensor([True]))
    assert (run.folder / "history.csv").read_text() == "epoch,loss,right\n1,0.5,True\n"
    assert RunRecord.read(run.folder).history == [{"epoch": 1, "loss": 0.5, "right": 1}]


def test_the_error_of_the_work_is_not_hidden_by_that_of_the_files(tmp_path):
    def work():
        with Run(tmp_path, "base", {}) as run:
            run.results["odd"] = {1}
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom") as caught:
        work()
    assert "results['odd']" in caught.value.__notes__[0]
    assert json.loads((tmp_path / "001-base" / "summary.json").read_text())["status"] == "failed"


# ------------------------------------------------------------------------------------------------------ killed, damaged


def test_the_summary_comes_last(tmp_path, monkeypatch):
    """A kill at any write but the last leaves a run that is not finished, and can be taken up again."""
    written = []
    replace = os.replace
    monkeypatch.setattr("os.replace", lambda a, b: (written.append(Path(b).name), replace(a, b)))
    with Run(tmp_path, "base", {}) as run:
        run.log(1, loss=0.5)
        run.picture(plot.curves({"train": ([1], [2])}), "loss", "The loss")
        run.picture(plot.graph((minigrad.ones(2, requires_grad=True) * 2).sum()), "graph", "The graph")
    assert written == ["config.json", "loss.png", "graph.svg", "history.csv", "report.html", "summary.json"]
    (run.folder / "summary.json").unlink()
    with Run.resume(run.folder, {}) as again:
        again.log(2, loss=0.25)
    assert summary(run)["status"] == "finished"


def test_a_report_that_fails_leaves_a_failed_run(tmp_path):
    run = Run(tmp_path, "base", {})
    run.results["accuracy"] = 0.5
    run.table("Too few cells", ["a", "b"], [(1,)])
    with pytest.raises(IndexError):
        run.finish()
    left = summary(run)
    assert (left["status"], left["results"]) == ("failed", {"accuracy": 0.5})
    assert "could not be written" in left["notices"][0]


DAMAGE = [b"", b"{", b"[1, 2]", b"null", b"\xff\xfe", b'{"name": 3}', b"[" * 100_000]


@pytest.mark.parametrize("content", DAMAGE, ids=[repr(content[:9]) for content in DAMAGE])
def test_a_damaged_config_is_named(tmp_path, content):
    with Run(tmp_path, "base", {}) as run:
        run.interrupt("Stopped")
    (run.folder / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"001-base/config\.json is damaged"):
        Run.resume(run.folder, {})


def test_a_damaged_summary_is_named_by_resume(tmp_path):
    with Run(tmp_path, "base", {}) as run:
        pass
    (run.folder / "summary.json").write_bytes(b'{"status": "fini')
    with pytest.raises(ValueError, match=r"001-base/summary\.json is damaged"):
        Run.resume(run.folder, {})
