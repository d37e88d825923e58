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
from benchmarks.libraries import ALONE, COMPILED, EAGER, MINIGRAD, Library
from benchmarks.measure import Results, Timing, disagreement
from benchmarks.shares import BACKWARD, FORWARD, Shares, shares_of, table
from benchmarks.worker import Worker

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
    [
        (None, "–"),
        (1.234e-6, "1.23 µs"),
        (12.34e-6, "12.3 µs"),
        (123.4e-6, "123 µs"),
        (0.5, "500 ms"),
        (1.0, "1.00 s"),
        (73.21, "73.2 s"),
    ],
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


def test_a_busy_machine_has_a_table_of_its_own(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(
        f"{report.START}\nquiet\n{report.END}\n{report.BUSY_START}\n{report.BUSY_END}\n", encoding="utf-8"
    )
    results = results_of(
        lab1={MINIGRAD: [1.2], ALONE: [1.0], EAGER: [4.8]}, character_mlp={MINIGRAD: [1.0], ALONE: [1.0], EAGER: [9.0]}
    )
    results.settings["busy"] = True
    report.busy_into_readme(results, readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"{report.START}\nquiet\n{report.END}\n")
    assert "| minigrad | minigrad, one thread | PyTorch eager | ratio |" in text
    assert "at most 1.20 times as long as with one, and it is 6.0 times as fast as PyTorch" in text


def test_measuring_on_a_busy_machine(tmp_path: Path) -> None:
    options = ["--busy", "--quick", "--only", "lab1", "--library", MINIGRAD, "--library", ALONE, "--out", str(tmp_path)]
    assert main(options) == 0
    results = Results.load(tmp_path / "results.json")
    assert results.settings["busy"]
    assert all(results.cases["lab1"][name].median for name in (MINIGRAD, ALONE))


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


TRAINING = [name for name, case in CASES.items() if case.group in ("training", "programs")]


@pytest.mark.parametrize("name", [name for name in TRAINING if not CASES[name].random and name != "res_cnn"])
def test_each_training_step_lowers_the_loss(name: str) -> None:
    step = CASES[name].builders[MINIGRAD](HERE)
    first = step().item()
    for _ in range(5):
        step()
    assert step().item() < first


@pytest.mark.parametrize("name", TRAINING)
def test_each_training_step_is_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # two libraries' threads in one process wait for each other
    sure = {"drop": 0.0} if CASES[name].random else {}
    ours = CASES[name].builders[MINIGRAD](HERE, **sure)
    theirs = CASES[name].builders[EAGER](Library(EAGER, "cpu", torch), **sure)
    # A bias before batch-norm has no slope but its rounding errors, which Adam blows up to full steps.
    tolerance = 2e-4 if name in ("res_cnn", "simple_cnn") else 1e-5
    for _ in range(3):
        np.testing.assert_allclose(ours().item(), theirs().item(), rtol=tolerance)


def test_losses_that_hang_on_chance_are_not_compared() -> None:
    for name in ("lab1", "loan_skips"):
        worker = Worker(MINIGRAD, "cpu")
        assert (worker.build(name, 0.001)["loss"] is None) is CASES[name].random


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.group == "layers"])
def test_each_layer_runs(name: str) -> None:
    CASES[name].builders[MINIGRAD](HERE)()


def test_each_pass_of_a_convolution_runs_in_both_libraries() -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    for library in (HERE, Library(EAGER, "cpu", torch)):
        for which in ("forward", "input", "weight"):
            CASES[f"conv_64_6_14_16_5_{which}"].builders[library.name](library)()


def test_a_sum_needs_every_case_of_the_group() -> None:
    row = {MINIGRAD: [2.0], EAGER: [3.0]}
    whole = results_of(conv_64_1_32_6_5_forward=row, conv_64_1_32_6_5_input=row, relu={MINIGRAD: [9.0]})
    assert whole.sum("conv", EAGER) == 6.0
    assert "| Sum | 4.00 s | 6.00 s | **1.50×** |" in report.table(whole)
    whole.cases["conv_64_1_32_6_5_input"].pop(EAGER)
    assert whole.sum("conv", EAGER) is None


def test_the_readme_names_the_sum_and_leaves_the_long_table_out(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{report.START}\n{report.END}\n", encoding="utf-8")
    row = {MINIGRAD: [2.0], EAGER: [3.0]}
    results = results_of(lab1=row, conv_64_1_32_6_5_forward=row)
    results.memory = {"case": "lab1", "steps": 10, "settled": 1, "growth": {MINIGRAD: 2**20, EAGER: "out of paper"}}
    results.peak = {"case": "simple_cnn", "steps": 3, "peak": {MINIGRAD: 2**30}}
    report.into_readme(results, readme, "picture.png")
    text = readme.read_text(encoding="utf-8")
    assert "1 cases in all take 2.00 s, PyTorch 3.00 s: **1.50×** ([table](docs/benchmarks.md))" in text
    assert "64×1×32²" not in text
    assert "\n\n- minigrad: 1024 MiB\n\n" in text
    assert "\n\n- minigrad: +1.00 MiB\n- PyTorch eager: failed: out of paper\n" in text
    assert "64×1×32²" in report.markdown(results)


def test_the_memory_of_a_step_is_measured() -> None:
    needed = Worker(MINIGRAD, "cpu").peak("fc_adam", 2)["peak"]
    assert 4 * 3 * 567_434 < needed < 100 * 2**20  # at least the weights and Adam's two averages


# --- where the time goes ----------------------------------------------------------------------------------------------


def test_the_shares_of_a_step_have_each_op_both_ways_and_its_multiply_adds() -> None:
    nn = minigrad.nn
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 5))
    x, target = minigrad.randn(4, 2, 6, 6), minigrad.zeros(4, 5)
    optimizer = minigrad.optim.SGD(model.parameters(), lr=0.0)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), target).backward()
        optimizer.step()

    step()
    want = [p.grad.clone() for p in model.parameters()]
    shares = shares_of(step, 3)
    for p, g in zip(model.parameters(), want, strict=True):
        assert minigrad.equal(p.grad, g)
    assert all(shares.ops[name][part] > 0 for name in ("Conv2dActivation", "Linear") for part in (FORWARD, BACKWARD))
    assert shares.optimizer > 0
    assert shares.rest > 0
    # The convolution's input needs no gradient; the linear layer's does.
    assert shares.multiply_adds == 2 * (4 * 3 * 4 * 4) * (2 * 3 * 3) + 3 * (4 * 5) * 48
    assert shares.ceiling(shares.multiply_adds / shares.total / 2) == pytest.approx(2.0)


def test_the_shares_as_a_table() -> None:
    ops = {"Tanh": {FORWARD: 1e-3, BACKWARD: 0.0}, "Conv2d": {FORWARD: 2e-3, BACKWARD: 4e-3}}
    text = table(Shares(10e-3, ops, 1e-3, 5e8), rate=1e11)
    assert text.index("Conv2d") < text.index("Tanh")
    assert "| Conv2d | 2.000 ms | 20.0% | 4.000 ms | 40.0% |" in text
    assert "| the rest (Python) | 2.000 ms | 20.0% |" in text
    assert "**50%** of that ceiling" in text


def test_a_step_is_taken_apart_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--profile", "lab1", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert "| LinearActivation |" in printed
    assert "of that ceiling" in printed


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
