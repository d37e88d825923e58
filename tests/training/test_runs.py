"""Runs read back, found below a folder, and as one table."""

from __future__ import annotations

import csv
import json
import math

import pytest

from minigrad.training.figures import checked_key, key_figure, mode_of, monitor_of
from minigrad.training.runs import RunRecord, find_runs, write_runs_summary
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


@pytest.mark.parametrize("file", ["config.json", "summary.json"])
def test_a_damaged_run_is_left_out_with_a_warning(tmp_path, file):
    make_run(tmp_path, "whole")
    damaged = make_run(tmp_path, "damaged")
    (damaged / file).write_text('{"name": "dam')
    with pytest.warns(UserWarning, match="002-damaged is left out, a file in it is damaged"):
        assert names(find_runs(tmp_path)) == ["001-whole"]


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
    assert key_figure([whole]) == "test_auc"
    assert key_figure([whole, part]) == "test_loss"  # more runs have it
    assert key_figure([bare]) == "val_loss"
    assert key_figure([]) is None
    assert checked_key([whole], "loss", None, "f") == ("loss", "min")
    assert checked_key([whole], "parameters", "min", "f") == ("parameters", "min")
    with pytest.raises(ValueError, match=r"f: no run has the figure 'test_acu'; did you mean test_auc"):
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
    with pytest.raises(ValueError, match=r"config\.json or summary\.json is damaged"):
        RunRecord.read(folder)
    assert json.loads((folder / "config.json").read_text())["name"] == "base"
