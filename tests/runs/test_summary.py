"""Many runs as one table."""

from __future__ import annotations

import csv

from some_runs import make_run

from minigrad.runs import find_runs, write_runs_summary


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


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
