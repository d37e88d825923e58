"""The threads that kernels run on: which layer is chosen, that all layers compute the same, and how many there are."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from minigrad.kernels.machine import threads
from minigrad.kernels.machine.threading_layer import LAYERS

HERE = Path(__file__).resolve()
CHOICES = dict.fromkeys(("MINIGRAD_THREADING_LAYER", "NUMBA_THREADING_LAYER", "NUMBA_THREADING_LAYER_PRIORITY"))


def run(program: str, **environment: str | None) -> str:
    """What a process of its own prints, of a program or a file; on an error the last line of its message."""
    env = {k: v for k, v in (os.environ | CHOICES | environment).items() if v is not None}
    env["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[3]), str(HERE.parent)])
    command = [sys.executable, *([program] if program.endswith(".py") else ["-c", program])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env, check=False)
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr.strip().splitlines()[-1]


def chosen(before: str = "", **environment: str | None) -> str:
    """The layer and the reason, or the error, after a program's first lines."""
    return run(f"import sys\n{before}\nimport minigrad\nprint(*minigrad.kernels.threading_layer())", **environment)


def hidden(*names: str) -> str:
    """Lines of a program after which these layers cannot be loaded."""
    return "\n".join(f"sys.modules['numba.np.ufunc.{name}'] = None" for name in names)


HAS_TBB = any(found.name == "tbb" for found in metadata.distributions())


def test_the_threads_are_our_own_whatever_can_be_loaded() -> None:
    ours = "minigrad it starts a loop soonest, and waits for no late thread\n"
    assert chosen() == chosen("import numba, minigrad; minigrad.set_num_threads(1)") == ours
    assert chosen(hidden("tbbpool", "omppool")) == ours


@pytest.mark.skipif(not HAS_TBB, reason="TBB is not installed")
def test_tbb_is_found_where_pip_puts_it() -> None:
    assert chosen(MINIGRAD_THREADING_LAYER="tbb") == "tbb MINIGRAD_THREADING_LAYER asks for it\n"
    assert chosen(NUMBA_THREADING_LAYER="tbb") == "tbb Numba's own setting asks for it\n"


def test_the_users_choice_wins() -> None:
    assert chosen(NUMBA_THREADING_LAYER="omp") == "omp Numba's own setting asks for it\n"
    assert chosen("import numba; numba.config.THREADING_LAYER = 'workqueue'").startswith("workqueue Numba's own")
    both = {"MINIGRAD_THREADING_LAYER": "workqueue", "NUMBA_THREADING_LAYER": "omp"}
    assert chosen(**both) == "workqueue MINIGRAD_THREADING_LAYER asks for it\n"
    started = "import numba; numba.config.THREADING_LAYER = 'omp'; numba.set_num_threads(1)"
    assert chosen(started) == "omp Numba had started its threads before the kernels were loaded\n"
    error = "ValueError: MINIGRAD_THREADING_LAYER: expected one of minigrad, tbb, workqueue, omp; got 'fast'"
    assert chosen(MINIGRAD_THREADING_LAYER="fast") == error
    error = "RuntimeError: MINIGRAD_THREADING_LAYER=tbb: the library of this layer cannot be loaded; pip install tbb"
    assert chosen(hidden("tbbpool"), MINIGRAD_THREADING_LAYER="tbb") == error


PROGRAM = """
import hashlib, multiprocessing, os, signal, threading, time
import minigrad
from minigrad import kernels
from test_parallel_for import drawn, in_child, trained

kernels.set_num_threads(2)
drawing = threading.Lock()  # the generator is everybody's

def steps():
    kernels.set_num_threads(2)
    with drawing:
        begun = drawn(1)
    return hashlib.sha256(b"".join(trained(*begun))).hexdigest()

def together(n):
    found = []
    running = [threading.Thread(target=lambda: found.append(steps())) for _ in range(n)]
    for t in running: t.start()
    for t in running: t.join()
    return found

if __name__ == "__main__":
    expected = steps()
    assert together(3) == [expected] * 3, "threads that compute at once"
    inner = []
    x = minigrad.randn(600, 600, requires_grad=True)
    x.register_hook(lambda g: inner.append(together(2)))
    (x @ x).sum().backward()
    assert inner == [[expected] * 2], "threads inside a backward pass"
    if hasattr(os, "fork"):
        assert in_child(steps) == expected, "a forked child"
        assert in_child(lambda: together(2)) == [expected] * 2, "threads of a forked child"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(steps) == expected, "a process that starts afresh"
    a = minigrad.randn(1500, 1500)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        end = time.time() + 60
        while time.time() < end: a @ a
        raise AssertionError("Ctrl-C was lost")
    except KeyboardInterrupt:
        pass
    assert steps() == expected, "after Ctrl-C"
    print(kernels.threading_layer().name, expected)
"""


def test_every_layer_computes_the_same_whoever_calls(tmp_path: Path) -> None:
    """Python threads at once, calls inside a backward pass, children forked and started afresh, after Ctrl-C."""
    (tmp_path / "program.py").write_text(PROGRAM)  # "spawn" imports the main module again
    digests = set()
    for layer in LAYERS:
        if layer == "tbb" and not HAS_TBB:
            continue
        printed = run(str(tmp_path / "program.py"), MINIGRAD_THREADING_LAYER=layer)
        results = [line.split()[1] for line in printed.splitlines() if line.startswith(f"{layer} ")]
        assert len(results) == 1, printed  # beside it Numba may print that its pool was in use at a fork
        digests.update(results)
    assert len(digests) == 1


def test_work_is_shared_out_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_threads", 8)
    worth = threads.WORTH
    found = [threads.shares(time, 100) for time in (0, worth - 1, worth, 2 * worth, 1e12)]
    assert found == [1, 1, 2, 4, 8]
    assert [threads.shares(1e12, most) for most in (0, 1, 3)] == [1, 1, 3]


def number(before: str = "", **environment: str | None) -> int:
    none: dict[str, str | None] = {"OMP_NUM_THREADS": None, "NUMBA_NUM_THREADS": None}
    return int(run(f"import os\n{before}\nimport minigrad\nprint(minigrad.get_num_threads())", **(none | environment)))


def test_the_number_of_threads_that_a_process_begins_with() -> None:
    here = threads.cores()
    assert number() == here
    assert number(OMP_NUM_THREADS="1") == number(OMP_NUM_THREADS="1,4") == number(NUMBA_NUM_THREADS="1") == 1
    assert number(OMP_NUM_THREADS="4096", NUMBA_NUM_THREADS="1") == 1
    assert number(OMP_NUM_THREADS="many") == here
    if hasattr(os, "sched_setaffinity"):
        assert number("os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])") == 1


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000"}, float("inf")),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "50000 100000"}, 0.5),
        ("0::/elsewhere/in/the/host\n", {"cpu.max": "200000 100000"}, 2.0),
        (
            "4:memory:/\n1:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "300000", "cpu/x/cpu.cfs_period_us": "100000"},
            3,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, float("inf")),
        ("0::/\n", {"cpu.max": "nonsense"}, float("inf")),
        (None, {}, float("inf")),
    ],
)
def test_a_containers_quota(tmp_path: Path, groups: str | None, files: dict[str, str], expected: float) -> None:
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    if groups is not None:
        (tmp_path / "groups").write_text(groups)
    assert threads.quota(tmp_path / "groups", tmp_path / "root") == expected
