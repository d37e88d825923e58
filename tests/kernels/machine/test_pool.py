"""The pool of threads: every share of a loop is computed once, whoever computes it, asleep or awake, late or not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numba
import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels.machine.compile import jit


@jit(parallel=True)
def _count(shares, work, found):  # type: ignore[no-untyped-def]
    """Adds to found[i] how much work share i had, one by one, with no shortcut that a compiler could find."""
    for share in numba.prange(shares):
        x = 1.0
        for _ in range(work[share]):
            x = 1.0 + x * 0.5
            found[share] += 1 if x < 3 else 2


@pytest.fixture(params=["quiet", "busy"])
def _machine(request: pytest.FixtureRequest) -> Iterator[None]:
    """As it is, and with all cores kept busy by other programs, so that helpers are late and stopped half-way."""
    burning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1 if request.param == "busy" else 0)
    ]
    yield
    for process in burning:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("_machine")
def test_each_share_is_computed_once() -> None:
    assert kernels.threading_layer().name == "minigrad"
    rng = random.Random(5)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        shares = rng.choice([1, 2, 2, 3, 7, 40])  # more than there are threads, too
        work = np.array([int(10 ** rng.uniform(0, 4)) for _ in range(shares)])
        found = np.zeros(shares, np.int64)
        _count.launch(shares, work, found)
        assert (found == work).all()
        if rng.random() < 0.05:
            time.sleep(10 ** rng.uniform(-5, -2.5))  # long enough that helpers fall asleep, or just not


def test_loops_of_several_threads_at_once() -> None:
    wrong: list[int] = []

    def loops(seed: int) -> None:
        rng = random.Random(seed)
        for i in range(500):
            work = np.array([int(10 ** rng.uniform(0, 4)) for _ in range(3)])
            found = np.zeros(3, np.int64)
            _count.launch(3, work, found)
            if not (found == work).all():
                wrong.append(i)

    running = [threading.Thread(target=loops, args=(seed,)) for seed in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not wrong


def test_without_threads_the_caller_does_all() -> None:
    program = """
import _thread, numpy as np
def refused(function, args): raise RuntimeError("can't start new thread")
_thread.start_new_thread = refused
import minigrad
minigrad.set_num_threads(2)
a = minigrad.randn(300, 300)
assert np.allclose((a @ a).numpy(), a.numpy() @ a.numpy(), atol=1e-4)
print(minigrad.kernels.threading_layer().name)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "minigrad\n", done.stderr
