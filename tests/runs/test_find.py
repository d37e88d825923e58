"""Runs found below a folder."""

from __future__ import annotations

import json

import pytest
from some_runs import make_run, names

from minigrad.runs import RunRecord, find_runs


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


def test_no_folder_of_a_run_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        RunRecord.read(tmp_path)
    folder = make_run(tmp_path)
    (folder / "summary.json").write_text("")
    with pytest.raises(ValueError, match=r"summary\.json is damaged"):
        RunRecord.read(folder)
    assert json.loads((folder / "config.json").read_text())["name"] == "base"
