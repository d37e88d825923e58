"""The command that compares runs."""

from __future__ import annotations

import pytest
from some_runs import grid

from minigrad.runs import compare


def test_the_command_writes_both_files(tmp_path, capsys):
    grid(tmp_path / "one", values=((0.1,), (32,)))
    grid(tmp_path / "two", values=((0.01,), (32,)))
    assert compare.main([str(tmp_path / "one"), str(tmp_path / "two"), str(tmp_path / "one" / "001-base")]) == 0
    said = capsys.readouterr().out
    assert "2 runs." in said  # none of them twice
    assert f"Best test_accuracy: 0.9320, {tmp_path / 'two' / '001-base'}" in said
    page = (tmp_path / "one" / "comparison.html").read_text()
    assert "<h1>Runs of one</h1>" in page
    assert 'href="../two/001-base/report.html"' in page
    assert len((tmp_path / "one" / "runs_summary.csv").read_text().splitlines()) == 3
    out = tmp_path / "new" / "er"
    assert compare.main([str(tmp_path / "one"), "--out", str(out), "--title", "Mine", "--key", "loss"]) == 0
    assert "<h1>Mine</h1>" in (out / "comparison.html").read_text()
    assert (out / "runs_summary.csv").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nowhere"], "there is no nowhere"),
        (["file"], "file is not a folder"),
        (["empty"], "no runs found in empty"),
        (["runs", "--key", "test_acuracy"], "no run has the metric 'test_acuracy'; did you mean test_accuracy"),
        (["runs", "--key", "count"], "is a large 'count' good or bad"),
        (["runs", "--out", "file/x"], "cannot write into file/x"),
    ],
)
def test_mistakes_are_explained_and_nothing_is_written(tmp_path, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    grid(tmp_path / "runs", values=((0.1,), (32,)))
    with pytest.raises(SystemExit) as error:
        compare.main(argv)
    assert error.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("comparison.html"))
    assert not list(tmp_path.rglob("runs_summary.csv"))
