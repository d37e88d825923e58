"""Grids of settings: every cell is run once, whatever becomes of the others."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kit.sweep import command as sweep
from kit.sweep.cell import run_cell

TOY = Path(__file__).with_name("toy_lab.py")
LABS = Path(sweep.__file__).parents[2]


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A folder of labs with one in it, "lab0_toy"; sweep(...) runs its command line there."""
    labs = tmp_path / "labs"
    labs.mkdir()
    shutil.copy(TOY, labs / "lab0_toy.py")
    monkeypatch.setattr(sweep, "LABS", labs)
    monkeypatch.syspath_prepend(str(labs))
    monkeypatch.setenv("PYTHONPATH", str(LABS), prepend=os.pathsep)  # where the lab finds the kit
    monkeypatch.chdir(tmp_path)
    yield lambda *argv: sweep.main(["lab0_toy", "--out", "out", *argv])
    sys.modules.pop("lab0_toy", None)


def summary(out=Path("out")):
    with open(out / "runs_summary.csv", newline="", encoding="utf-8") as file:
        return {row["folder"]: row for row in csv.DictReader(file)}


def outcome(cell):
    return json.loads(Path("out", cell, "outcome.json").read_text())


# ------------------------------------------------------------------------------------------------------------ the cells


def test_a_failing_cell_sinks_no_other(toy, capsys):
    assert toy("--grid", "end=well,error,exit,kill", "--jobs", "3", "--threads", "2") == 1
    assert [outcome(f"end={end}")["status"] for end in ("well", "error", "exit", "kill")] == [
        "finished",
        *["failed"] * 3,
    ]
    assert [outcome(f"end={end}")["exit_code"] for end in ("well", "error", "exit", "kill")] == [0, 1, 3, -9]
    assert outcome("end=exit")["output"] == "no data\nerror: put them there"
    assert "RuntimeError: boom" in Path("out/end=error/output.txt").read_text()
    said = capsys.readouterr().out
    assert re.search(r"\[\d/4\] end=well: finished after \d+\.\d s, test_accuracy 0\.9000\n", said)
    assert re.search(
        r"end=exit: failed after \d+\.\d s \(exit code 3\):\n    no data\n    error: put them there\n", said
    )
    assert "1 finished" in said
    assert "3 failed, of 4" in said
    rows = summary()
    assert {row["status"] for row in rows.values()} == {"finished", "failed"}
    assert rows["end=exit"]["settings.end"] == "exit"  # it left no run, and is there all the same
    assert rows["end=well/001-toy"]["settings.threads"] == "2"
    page = Path("out/comparison.html").read_text()
    assert "RuntimeError: boom" in page
    assert "error: put them there" in page
    assert "failed, exit code -9" in page


def test_the_same_command_again_runs_what_is_missing(toy, capsys):
    assert toy("--grid", "end=well,exit", "--data", "some") == 1
    assert f"data: {Path('some').resolve()}" in Path("out/end=well/output.txt").read_text()
    before = Path("out/end=well/outcome.json").stat().st_mtime_ns
    capsys.readouterr()
    assert toy("--grid", "end=well,exit") == 1
    assert "1 finished before, 0 to resume, 1 to run" in capsys.readouterr().out
    assert Path("out/end=well/outcome.json").stat().st_mtime_ns == before
    assert toy("--grid", "end=well", "--grid", "lr=0.5") == 0  # another grid: what is there stays
    assert set(summary()) == {"end=well/001-toy", "end=exit", "end=well,lr=0.5/001-toy"}
    assert toy("--grid", "end=well") == 0


@pytest.mark.parametrize("resumes", [True, False])
def test_a_killed_cell_is_resumed_where_the_lab_can(toy, monkeypatch, capsys, resumes):
    if resumes:
        monkeypatch.setenv("TOY_RESUMES", "1")
    assert toy("--set", "end=kill") == 1
    template = Path("out/end=kill/001-toy/experiment_template.json")
    template.write_text(template.read_text().replace('"kill"', '"wait"'))  # resumed, it ends well
    assert toy("--set", "end=kill") == (0 if resumes else 1)
    said = capsys.readouterr().out
    assert f"{int(resumes)} to resume, {int(not resumes)} to run" in said
    runs = sorted(path.name for path in Path("out/end=kill").glob("0*"))
    assert runs == (["001-toy"] if resumes else ["001-toy", "002-toy"])
    output = Path("out/end=kill/output.txt").read_text()
    assert ("resumed: True" in output) == resumes


def started(count, out=Path("out")):
    """Wait until so many cells are at work."""
    patience = time.monotonic() + 60
    while len([p for p in out.glob("*/output.txt") if "data:" in p.read_text()]) < count:
        assert time.monotonic() < patience
        time.sleep(0.05)


def test_ctrl_c_ends_the_running_cells_and_starts_no_more(toy, monkeypatch, capsys):
    monkeypatch.setenv("TOY_RESUMES", "1")
    code = (
        "import sys, pathlib; from kit.sweep import command as sweep;"
        "sweep.LABS = pathlib.Path('labs').resolve(); sys.path.insert(0, 'labs');"
        "sys.exit(sweep.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "lab0_toy", "--out", "out", "--jobs", "2"]
    command += ["--set", "end=wait", "--grid", "lr=0.1,0.2,0.3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    started(2)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Stopping" in said
    assert "0 finished, 2 interrupted, 1 not started, of 3" in said
    assert [row["status"] for row in summary().values()] == ["interrupted"] * 2
    assert not Path("out/.stop").exists()
    assert toy("--set", "end=wait", "--grid", "lr=0.1,0.2") == 0
    assert "0 finished before, 2 to resume, 0 to run" in capsys.readouterr().out


def test_a_real_lab(tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["labs/lab1_regression.py", "--set", "mode=manual", "--grid", "steps=3,5", "--jobs", "2", "--out", str(out)]
    assert sweep.main(argv) == 0
    assert "manual_final_loss" in capsys.readouterr().out
    rows = summary(out)
    assert set(rows) == {f"mode=manual,steps={steps}/001-manual" for steps in (3, 5)}
    assert rows["mode=manual,steps=5/001-manual"]["settings.steps"] == "5"
    page = (out / "comparison.html").read_text()
    assert "mode%3Dmanual%2Csteps%3D5/001-manual/report.html" in page


# ------------------------------------------------------------------------------------------------------- mistakes, dask


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--grid", "lr"], "'lr' is not NAME=VALUE"),
        (["--grid", "lr="], "'lr=' is not NAME=VALUE"),
        (["--grid", "=1"], "'=1' is not NAME=VALUE"),
        (["--grid", "lr=1,,2"], "'lr=1,,2' is not NAME=VALUE"),
        (["--grid", "lr=1,2,1"], "--grid lr: the value 1 is there 2 times"),
        (["--grid", "lr=1", "--set", "lr=2"], "the setting lr is given 2 times"),
        (["--grid", "lrr=1"], "lab0_toy cannot run the cell lrr=1: has the unknown setting 'lrr'; did you mean lr?"),
        (["--grid", "lr=0.1,much"], "lab0_toy cannot run the cell lr=much: lr: invalid float value: 'much'"),
        (["--set", "end=sometime"], "the cell end=sometime: end: invalid choice: 'sometime'"),
        (["--set", "sizes=3"], "the cell sizes=3: sizes is 3, expected a list"),
        (["--set", "out=x"], "has the unknown setting 'out'"),
        (["--jobs", "0"], "'0' is not a whole number above 0"),
        (["--jobs", "2", "--dask", "tcp://127.0.0.1:1"], "--jobs is for this machine"),
    ],
)
def test_mistakes_are_explained_before_anything_starts(toy, capsys, argv, message):
    with pytest.raises(SystemExit) as error:
        toy(*argv)
    assert error.value.code == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_an_unknown_lab_and_a_folder_that_cannot_be(tmp_path, capsys):
    with pytest.raises(SystemExit):
        sweep.main(["lab1_regresion"])
    assert "there is no lab 'lab1_regresion'; did you mean lab1_regression" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        sweep.main(["lab2", "--out", str(tmp_path / "file" / "x")])
    assert "cannot write into" in capsys.readouterr().err


def test_a_key_that_no_run_has_does_not_lose_the_comparison(toy, capsys):
    assert toy("--set", "lr=0.5", "--key", "test_auc") == 0
    said = capsys.readouterr()
    assert "no run has the metric 'test_auc'" in said.err
    assert "Best test_accuracy: 0.5000" in said.out


def test_without_distributed_dask_is_refused(toy, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        toy("--dask", "tcp://127.0.0.1:1")
    assert "--dask needs the package distributed" in capsys.readouterr().err


@pytest.fixture
def environment():
    """Dask leaves its workers' settings of malloc and threads in the environment; later tests are to start without."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("environment")
def test_cells_run_on_the_workers_of_a_cluster(toy, capsys):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with distributed.LocalCluster(**options, env={"PYTHONPATH": os.environ["PYTHONPATH"]}) as cluster:
        assert toy("--grid", "end=well,exit", "--dask", cluster.scheduler_address) == 1
        said = capsys.readouterr().out
        assert f"on {cluster.scheduler_address}, threads of each: 1" in said
        assert outcome("end=well")["status"] == "finished"
        assert outcome("end=exit")["exit_code"] == 3
        assert set(summary()) == {"end=well/001-toy", "end=exit"}


def test_a_cluster_that_goes_down_loses_nothing(toy, monkeypatch, capsys):
    @contextlib.contextmanager
    def lost(jobs, dask):
        def parallel(tasks):
            yield run_cell(*tasks[0][1])
            raise OSError("the scheduler is gone")

        yield parallel

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(sweep, "engine", lost)
    assert toy("--grid", "lr=0.1,0.2", "--dask", "tcp://127.0.0.1:1") == 1
    said = capsys.readouterr()
    assert "error: --dask tcp://127.0.0.1:1: OSError: the scheduler is gone" in said.err
    assert "1 finished, of 2" in said.out
    assert set(summary()) == {"lr=0.1/001-toy"}
