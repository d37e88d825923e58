"""Runs read back, found below a folder, and as one table."""

from __future__ import annotations

import math

import pytest
from some_runs import make_run, names

from minigrad.runs import RunRecord, find_runs
from minigrad.runs.compare import main as compare


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
