"""What is printed can be read in any terminal, and where there is none nothing fails."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad import terminal

ROOT = Path(__file__).parent.parent

# Everything that prints: bars, summaries, tables, runs, and the trainer's lines, with names that ASCII lacks.
PROGRAM = """
import sys
import minigrad
from minigrad import nn, profiler, utils
from minigrad.runs import Progress, Run
from minigrad.training import Trainer
from minigrad.training.callbacks import ProgressBar, RunLogger

{before}
out = sys.argv[1]
model = nn.Sequential(nn.Conv2d(1, 2, (3, 5)), nn.Flatten(), nn.Linear(2 * 4 * 2, 1))
print(utils.summary(model, (1, 1, 6, 6)))
with profiler.profile() as profile, profiler.record_function("größe → " + "x" * 80):
    model(minigrad.ones(1, 1, 6, 6))
print(profile.key_averages().table())
with Run(out, "größe", {{"name": "größe → 2×"}}) as run:
    for step in run.steps(range(3), "größe →"):
        run.log(step, größe=step)
        run.say("größe → 2×")
    run.notice("größe ± 2 µs …")
    loader = [(minigrad.rand(2, 1, 6, 6), minigrad.rand(2, 1))] * 2
    optimizer = minigrad.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, nn.MSELoss(), optimizer, callbacks=[ProgressBar("größe →"), RunLogger(run)])
    trainer.fit(loader, epochs=2)
for i in Progress(range(3), "größe →"):
    pass
with open(out + "/done", "w") as file:
    file.write("done")
"""

STREAMS = {
    "as it is": "",
    "no stderr": "sys.stderr = None",
    "no stdout": "sys.stdout = None",
    "neither": "sys.stdout = sys.stderr = None",
    "strict stderr": "import io; sys.stderr = io.TextIOWrapper(sys.stderr.buffer, encoding='ascii', errors='strict')",
}


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_program_that_prints_everything(encoding, streams, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    program = PROGRAM.format(before=STREAMS[streams])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, encoding=encoding
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "done").exists()
    if streams == "as it is":
        letters, sign = ("??", "x") if encoding == "ascii" else ("öß", "×")
        assert f"gr{letters}e > 2{sign}" in done.stdout  # cp1252 lacks the arrow, too
        assert f"3 {sign} 5" in done.stdout
        assert ("us" if encoding == "ascii" else "µs") in done.stdout


@pytest.mark.parametrize(
    "program", ["lab1_regression", "lab3_cifar100_mlp", "lab4_lenet", "lab6_cnn_architecture", "sweep"]
)
def test_the_help_of_a_lab(program, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = subprocess.run([sys.executable, ROOT / "labs" / f"{program}.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def test_a_lab_in_a_terminal_of_ascii(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    command = [sys.executable, ROOT / "labs" / "lab2_xor.py", "--quick", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs = [sys.executable, "-m", "minigrad.runs.compare", tmp_path]
    assert subprocess.run(runs, capture_output=True, cwd=ROOT).returncode == 0


def test_letters_that_a_stream_lacks():
    text = "größe: 3 × 2 µs ± 1, a → b … \N{GRINNING FACE}"
    assert terminal.fitting(text, io.StringIO()) == text
    ascii = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert terminal.fitting(text, ascii) == "gr??e: 3 x 2 us +- 1, a > b ~ ?"
    windows = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    assert terminal.fitting(text, windows) == "größe: 3 × 2 µs ± 1, a > b … ?"


def test_what_is_no_terminal():
    class Bare:
        def write(self, text):
            pass

    closed = io.StringIO()
    closed.close()
    for stream in (None, Bare(), io.StringIO(), closed):
        assert not terminal.is_terminal(stream)
