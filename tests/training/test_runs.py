"""Runs read back, found below a folder, and as one table."""

from __future__ import annotations

import csv
import errno
import json
import math

import numpy as np
import pytest

from minigrad.csv_table import write_table
from minigrad.runs import RunRecord, find_runs, write_runs_summary
from minigrad.runs.compare import main as compare
from minigrad.runs.key_metric import checked_key, key_metric
from minigrad.runs.names import mode_of, monitor_of
from tests.some_runs import make_run


def names(records):
    return [record.folder.name for record in records]


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_is_read_back_as_it_was(tmp_path):
    settings = {"lr": 0.1, "net": {"hidden": [10, 10], "act": {"name": "relu"}}}
    curves = {"loss": [2.0, 1.0], "val_auc": [0.5, 0.75]}
    folder = make_run(
        tmp_path, "base", settings, curves, {"test_auc": 0.7, "more": {"f1": 0.5}}, notices=["A stand-in"]
    )
    record = RunRecord.read(folder)
    assert (record.name, record.status, record.config, record.unit) == ("base", "finished", settings, "epoch")
    assert record.settings == {"lr": 0.1, "net.hidden": [10, 10], "net.act.name": "relu"}
    assert record.figures == {"test_auc": 0.7, "more.f1": 0.5}
    assert record.curves == ["loss", "val_auc"]
    assert record.column("val_auc") == ([1, 2], [0.5, 0.75])
    assert record.notices == ["A stand-in"]
    assert record.seconds >= 0


def test_best_of_a_curve_passes_over_what_is_no_number(tmp_path):
    curves = {"loss": [3.0, math.nan, 1.0, 1.0, math.inf], "lost": [math.nan] * 5}
    record = RunRecord.read(make_run(tmp_path, curves=curves, results={"auc": 0.5, "gone": None, "flag": True}))
    assert record.best("loss", "min") == (1.0, 3)
    assert record.best("loss", "max") == (3.0, 1)
    assert record.best("lost", "min") is None
    assert record.figure("auc", "max") == 0.5
    assert record.figure("loss", "min") == 1.0
    assert record.figure("gone", "min") is record.figure("flag", "min") is record.figure("nothing", "min") is None


def test_find_runs_finds_every_run_and_nothing_else(tmp_path):
    make_run(tmp_path / "deep" / "er", "b")
    make_run(tmp_path, "a", end=RuntimeError("boom"))
    killed = make_run(tmp_path, "killed", curves={"loss": [1.0]}, end="killed")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "config.json").write_text('{"model": "of another program"}')
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "config.json").write_text("[1, 2]")
    assert names(find_runs(tmp_path)) == ["001-a", "002-killed", "001-b"]
    assert [record.status for record in find_runs(tmp_path)] == ["failed", "running", "finished"]
    assert names(find_runs(killed)) == ["002-killed"]
    with pytest.raises(NotADirectoryError, match="nowhere is not a folder"):
        find_runs(tmp_path / "nowhere")


def test_a_run_of_runs_is_known_by_those_in_it(tmp_path):
    parent = make_run(tmp_path, "width")
    make_run(parent, "width-5")
    make_run(parent, "width-10")
    assert names(find_runs(tmp_path)) == ["001-width-5", "002-width-10"]
    assert names(find_runs(tmp_path, groups=True)) == ["001-width", "001-width-5", "002-width-10"]


DAMAGE = {
    "config.json": [b'{"name": "dam', b"", b"\xff", b"[" * 100_000],
    "summary.json": [
        b'{"name": "dam',
        b"",
        b"\x00",
        b"[]",
        b"3",
        b'{"results": []}',
        b'{"status": ["finished"]}',
        b'{"seconds": "long"}',
        b'{"notices": "none"}',
        b'{"reference": null}',
    ],
    "history.csv": [
        b"epoch,loss\n1,\xff",
        b"epoch,loss\n1,2,3",
        b"epoch,loss\n,0.5",
        b"epoch,loss\nnan,0.5",
        b"epoch,loss\n1,high",
        b'epoch,loss\n"1,0.5',
        b"epoch,loss\n1,\x00",
        b"epoch,loss\n" + b"1" * 200_000,
    ],
    "performance.csv": [b"epoch,seconds\n1,2,3"],
}


@pytest.mark.parametrize(("file", "content"), [(file, content) for file in DAMAGE for content in DAMAGE[file]])
def test_a_damaged_run_is_left_out_with_a_warning(tmp_path, file, content):
    make_run(tmp_path, "whole", curves={"loss": [2.0, 1.0]})
    damaged = make_run(tmp_path, "damaged", curves={"loss": [2.0, 1.0]})
    (damaged / file).write_bytes(content)
    with pytest.warns(UserWarning, match=f"002-damaged is left out, a file in it is damaged: .*{file} is damaged"):
        assert names(find_runs(tmp_path)) == ["001-whole"]
    with pytest.warns(UserWarning, match=file):
        assert compare([str(tmp_path)]) == 0
    assert "001-whole" in (tmp_path / "runs_summary.csv").read_text()


def test_a_history_that_was_cut_between_rows_is_read(tmp_path):
    folder = make_run(tmp_path, curves={"loss": [2.0, 1.0]})
    for content, rows in (("", 0), ("epoch", 0), ("epoch,loss\n", 0), ("epoch,loss\n1", 1), ("epoch,loss\n1,2.0\n", 1)):
        (folder / "history.csv").write_text(content)
        assert len(RunRecord.read(folder).history) == rows
        assert compare([str(tmp_path)]) == 0


def test_a_number_too_large_for_a_float_is_no_figure(tmp_path):
    folder = make_run(tmp_path, results={"accuracy": 0.5})
    (folder / "summary.json").write_text(f'{{"status": "finished", "results": {{"accuracy": 1{"0" * 400}}}}}')
    assert RunRecord.read(folder).figures == {}
    assert compare([str(tmp_path)]) == 0


# What a spreadsheet takes for a formula, and what it does not.
FORMULAS = [
    "=1+1",
    "\uff1d1+1",
    "\uff20x",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "=",
    "-",
    "-x",
    "+-1",
    "-1_000",
]
TEXTS = ["a=b", " =1", "'=1", "-5", "+1.5e-3", "-.5", "1-2", "x@y", "", "a\n=b", '"=1"']


def test_cells_are_no_formulas(tmp_path):
    rows = [{"=name": text, "number": -1.5, "count": -2, "numpy": np.float32(-0.5)} for text in [*FORMULAS, *TEXTS]]
    write_table(tmp_path / "table.csv", rows)
    with open(tmp_path / "table.csv", newline="") as file:
        head, *found = list(csv.reader(file))
    assert head == ["'=name", "number", "count", "numpy"]
    assert [line[0] for line in found] == [*(f"'{text}" for text in FORMULAS), *TEXTS]
    assert {tuple(line[1:]) for line in found} == {("-1.5", "-2", "-0.5")}


def test_a_file_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "table.csv").write_text("before")

    def full(*paths):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*table\.csv'"):
        write_table(tmp_path / "table.csv", [{"a": 1}])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("table.csv", "before")]


def test_a_name_that_was_guarded_comes_back(tmp_path):
    folder = make_run(tmp_path, "-run", {"=x": "=1+1", "y": ["=1"]}, {"-loss": [-1.0, float("-inf")]}, {"@r": "+1+1"})
    record = RunRecord.read(folder)
    assert record.curves == ["-loss"]
    assert record.column("-loss")[1] == [-1.0, float("-inf")]
    write_runs_summary([record], tmp_path / "runs_summary.csv")
    with open(tmp_path / "runs_summary.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["name"], row["settings.=x"], row["results.@r"]) == ("'-run", "'=1+1", "'+1+1")
    assert row["last.-loss"] == "-inf"


def test_the_summary_has_a_row_for_each_run(tmp_path):
    performance = [{"epoch_seconds": 2.0, "peak_rss_mib": 100.0}, {"epoch_seconds": 1.0, "peak_rss_mib": 120.0}]
    curves = {"loss": [3.0, 2.0], "val_accuracy": [0.75, 0.5], "lr": [0.1, 0.01]}
    results = {"test_accuracy": 0.5, "layers": {"rms": 1.5, "shares": [1, 2]}, "stopped": None}
    make_run(tmp_path / "x", "a", {"lr": 0.1, "hidden": [8, 8]}, curves, results, performance=performance)
    make_run(tmp_path / "y", "b", {"opt": {"name": "SGD"}}, end=RuntimeError("boom"))
    records = find_runs(tmp_path)
    write_runs_summary(records, tmp_path / "runs_summary.csv")
    first, second = table(tmp_path / "runs_summary.csv")
    assert first == {
        "folder": "x/001-a",
        "name": "a",
        "status": "finished",
        "settings.hidden": "[8, 8]",
        "settings.lr": "0.1",
        "settings.opt.name": "",
        "results.layers.rms": "1.5",
        "results.stopped": "",
        "results.test_accuracy": "0.5",
        "best.loss": "2.0",
        "best.val_accuracy": "0.75",
        "last.loss": "2.0",
        "last.lr": "0.01",
        "last.val_accuracy": "0.5",
        "monitor": "val_accuracy",
        "best_epoch": "1",
        "seconds": first["seconds"],
        "average_epoch_seconds": "1.5",
        "peak_rss_mib": "120.0",
    }
    assert float(first["seconds"]) >= 0
    assert (second["folder"], second["status"], second["settings.opt.name"]) == ("y/001-b", "failed", "SGD")
    write_runs_summary(records[::-1], tmp_path / "other.csv")
    assert list(table(tmp_path / "other.csv")[0]) == list(first)
    write_runs_summary([], tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text().strip() == "folder"


@pytest.mark.parametrize(
    ("name", "mode"),
    [("test_auc", "max"), ("final loss, manual", "min"), ("Val-Accuracy", "max"), ("lr", None), ("loss_auc", None)],
)
def test_names_tell_what_is_good(name, mode):
    assert mode_of(name) == mode


def test_the_epoch_is_judged_by_validation_if_there_is_one():
    assert monitor_of(["loss", "accuracy", "val_loss", "val_accuracy"]) == "val_accuracy"
    assert monitor_of(["accuracy", "val_loss"]) == "val_loss"
    assert monitor_of(["loss", "accuracy"]) == "accuracy"
    assert monitor_of(["lr"]) is None


def test_the_key_figure_is_the_test_set_s(tmp_path):
    results = {"parameters": 7, "train_accuracy": 0.9, "best_val_auc": 0.8, "test_loss": 1.0, "test_auc": 0.7}
    whole = RunRecord.read(make_run(tmp_path, curves={"loss": [1.0]}, results=results))
    part = RunRecord.read(make_run(tmp_path, results={"test_loss": 1.0, "train_accuracy": 0.5}))
    bare = RunRecord.read(make_run(tmp_path, curves={"loss": [1.0], "val_loss": [1.0]}))
    assert key_metric([whole]) == "test_auc"
    assert key_metric([whole, part]) == "test_loss"  # more runs have it
    assert key_metric([bare]) == "val_loss"
    assert key_metric([]) is None
    assert checked_key([whole], "loss", None, "f") == ("loss", "min")
    assert checked_key([whole], "parameters", "min", "f") == ("parameters", "min")
    with pytest.raises(ValueError, match=r"f: no run has the metric 'test_acu'; did you mean test_auc"):
        checked_key([whole], "test_acu", None, "f")
    with pytest.raises(ValueError, match="is a large 'parameters' good or bad"):
        checked_key([whole], "parameters", None, "f")
    with pytest.raises(ValueError, match="mode = 'best', expected 'min' or 'max'"):
        checked_key([whole], "test_auc", "best", "f")


def test_no_folder_of_a_run_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        RunRecord.read(tmp_path)
    folder = make_run(tmp_path)
    (folder / "summary.json").write_text("")
    with pytest.raises(ValueError, match=r"summary\.json is damaged"):
        RunRecord.read(folder)
    assert json.loads((folder / "config.json").read_text())["name"] == "base"
