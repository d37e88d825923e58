"""Trainings in processes of their own that are killed, and end bit for bit as one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import resumable

import minigrad
from minigrad.training import load_checkpoint
from minigrad.training.checkpoint import checkpoints_in

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(minigrad.__file__).parents[1]),
    "MINIGRAD_QUIET": "1",
    "OMP_NUM_THREADS": "1",
}


class Process:
    """One start of that training."""

    def __init__(self, out, workers=0):
        self.process = subprocess.Popen(
            [sys.executable, resumable.__file__, str(out), str(workers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            start_new_session=True,
        )

    def after(self, lines, number):
        """Wait for so many batches and send a signal to the process and its workers, as a terminal does."""
        for _ in range(lines):
            self.process.stdout.readline()
        os.killpg(self.process.pid, number)
        self.process.communicate()
        return self.process.returncode

    def end(self):
        _, error = self.process.communicate()
        assert self.process.returncode == 0, error


def left(out):
    """What a finished run left that must be equal."""
    (folder,) = out.glob("*-base")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "finished"
    files = (folder / "weights.safetensors", folder / "checkpoints" / "best.safetensors")
    weights = [{name: t.numpy().tobytes() for name, t in minigrad.load(file).items()} for file in files]
    return weights, (folder / "history.csv").read_bytes(), summary["results"]


def test_killed_again_and_again(tmp_path):
    whole = Process(tmp_path / "whole")
    killed, draw = tmp_path / "killed", random.Random(5)
    for lines in (draw.randrange(4, 12), draw.randrange(8, 16), draw.randrange(8, 16)):
        assert Process(killed).after(lines, signal.SIGKILL) == -signal.SIGKILL
        (folder,) = killed.glob("*-base")
        for path in checkpoints_in(folder / "checkpoints"):
            load_checkpoint(path)
    Process(killed).end()
    whole.end()
    assert left(killed) == left(tmp_path / "whole")


def test_interrupted_in_a_terminal_with_a_worker(tmp_path):
    whole = Process(tmp_path / "whole", workers=1)
    process = Process(tmp_path / "stopped", workers=1)
    assert process.after(9, signal.SIGINT) == 0
    (folder,) = (tmp_path / "stopped").glob("*-base")
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
    Process(tmp_path / "stopped", workers=1).end()
    whole.end()
    assert left(tmp_path / "stopped") == left(tmp_path / "whole")


SAVING = """
import sys, numpy as np
from minigrad.training import save_checkpoint
from minigrad.training.checkpoint import checkpoint_name
for step in range(1, 10**9):
    save_checkpoint({"step": step, "array": np.full(200_000, step)}, f"{sys.argv[1]}/{checkpoint_name(step % 3)}")
    print(step, flush=True)
"""


def test_killed_in_the_middle_of_a_save(tmp_path):
    draw = random.Random(6)
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVING, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        for _ in range(5):
            process.stdout.readline()
        time.sleep(draw.uniform(0, 0.02))
        process.kill()
        process.communicate()
        found = checkpoints_in(tmp_path)
        assert len(found) == 3
        for path in found:
            state = load_checkpoint(path)
            assert np.all(state["array"] == state["step"])
