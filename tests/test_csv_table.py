"""CSV files: formulas, names, and files that cannot be written."""

from __future__ import annotations

import csv
import errno

import numpy as np
import pytest
from some_runs import make_run

from minigrad.csv_table import write_table
from minigrad.runs import RunRecord, write_runs_summary

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
