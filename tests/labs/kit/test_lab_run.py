"""The start of a lab's run."""

from __future__ import annotations

import pytest
from kit import cli, lab_run

import minigrad

EXPERIMENTS = {"base": "the main one", "deep": "more layers", "width": "more neurons"}


@pytest.fixture
def parser():
    return cli.command_line("A lab.", "lab0", EXPERIMENTS)


def test_an_unwritable_out_ends_the_program_before_any_work(parser, tmp_path):
    (tmp_path / "file").write_text("")
    args = parser.parse_args(["--out", str(tmp_path / "file" / "runs")])
    with pytest.raises(SystemExit, match=r"cannot write into .*file.runs .*name another folder with --out"):
        lab_run.start(args, "base", "A lab", {})


def test_start_seeds_and_writes_the_settings(parser, tmp_path):
    args = parser.parse_args(["--out", str(tmp_path), "--seed", "7", "--quick"])
    drawn = []
    for _ in range(2):
        run = lab_run.start(args, "base", "A lab", {"lr": 0.1})
        drawn.append(minigrad.rand(3).tolist())
    assert drawn[0] == drawn[1]
    assert run.config == {"seed": 7, "device": "cpu", "quick": True, "lr": 0.1}
    assert "quick run" in run.notices[0]
