"""The benchmarks' arithmetic, reports and command line; that it measures, not what it measures."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad
from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.cases import CASES, GROUPS
from benchmarks.libraries import COMPILED, EAGER, MINIGRAD, Library
from benchmarks.measure import Results, Timing, disagreement

ROOT = Path(__file__).resolve().parents[2]
HERE = Library(MINIGRAD, "cpu", minigrad)


def results_of(**cases: dict[str, list[float]]) -> Results:
    machine = {"cpu": "a CPU", "cores": 2, "simd": "AVX2", "system": "Linux", "python": "3", "threads": 2}
    machine |= {"packages": {"torch": "2"}, "date": "2000-01-01"}
    rows = {name: {lib: Timing(seconds, 10, 1.0) for lib, seconds in row.items()} for name, row in cases.items()}
    return Results(machine, {"rounds": 3, "seconds": 0.2}, {MINIGRAD: "0", EAGER: "2", COMPILED: "2"}, rows)


def test_the_ratio_is_that_of_medians_and_to_the_faster_pytorch() -> None:
    results = results_of(lab1={MINIGRAD: [1.0, 2.0, 9.0], EAGER: [5.0, 6.0, 7.0], COMPILED: [3.0, 4.0, 50.0]})
    assert results.ratio("lab1") == 2.0


def test_the_geometric_mean_is_over_one_group() -> None:
    results = results_of(
        lab1={MINIGRAD: [1.0], EAGER: [2.0]},
        xor={MINIGRAD: [1.0], EAGER: [8.0]},
        relu={MINIGRAD: [1.0], EAGER: [100.0]},
    )
    assert math.isclose(results.geometric_mean("training") or 0, 4.0)


def test_without_pytorch_there_is_no_ratio() -> None:
    results = results_of(lab1={MINIGRAD: [1.0]})
    assert results.ratio("lab1") is None
    assert "ratio" not in report.table(results)


def test_losses_that_differ_are_reported() -> None:
    assert disagreement({MINIGRAD: Timing(loss=1.0), EAGER: Timing(loss=1.0 + 1e-6)}) is None
    assert "losses differ" in (disagreement({MINIGRAD: Timing(loss=1.0), EAGER: Timing(loss=1.01)}) or "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (1.234e-6, "1.23 µs"), (12.34e-6, "12.3 µs"), (123.4e-6, "123 µs"), (1.0, "1000 ms")],
)
def test_durations_have_three_digits(seconds: float | None, text: str) -> None:
    assert report.duration(seconds) == text


def test_the_readme_table_replaces_what_stood_between_the_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.START}\nold\n{report.END}\nafter\n", encoding="utf-8")
    results = results_of(lab1={MINIGRAD: [1e-3], EAGER: [2e-3]})
    for _ in range(2):  # the second time changes nothing more
        report.into_readme(results, readme, "picture.png")
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert text.count("**2.00×**") == 1


def test_a_readme_without_markers_is_refused(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing here", encoding="utf-8")
    with pytest.raises(ValueError, match="markers"):
        report.into_readme(results_of(lab1={MINIGRAD: [1.0]}), readme, "picture.png")
    assert readme.read_text(encoding="utf-8") == "nothing here"


def test_raw_numbers_survive_their_file(tmp_path: Path) -> None:
    results = results_of(lab1={MINIGRAD: [1e-3, 2e-3], EAGER: [2e-3, 4e-3]})
    results.save(tmp_path / "results.json")
    again = Results.load(tmp_path / "results.json")
    assert again == results
    assert report.chart(again, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.group == "training"])
def test_each_training_step_lowers_the_loss(name: str) -> None:
    step = CASES[name].builders[MINIGRAD](HERE)
    first = step().item()
    for _ in range(5):
        step()
    assert step().item() < first


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.group == "training"])
def test_each_training_step_is_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours = CASES[name].builders[MINIGRAD](HERE)
    theirs = CASES[name].builders[EAGER](Library(EAGER, "cpu", torch))
    for _ in range(3):
        np.testing.assert_allclose(ours().item(), theirs().item(), rtol=1e-5)


def test_every_case_belongs_to_a_group() -> None:
    assert {case.group for case in CASES.values()} <= set(GROUPS)


def test_the_command_measures_and_writes_its_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "scalar_add", "--library", MINIGRAD]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    raw = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert len(raw["cases"]["scalar_add"][MINIGRAD]["seconds"]) == 2
    assert "scalar_add" in done.stdout
    assert "| minigrad |" in (tmp_path / "benchmarks.md").read_text(encoding="utf-8")


def test_an_unknown_case_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "softmx"])
    assert "did you mean softmax" in capsys.readouterr().err


def test_the_list_names_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert set(CASES) <= set(capsys.readouterr().out.split())
