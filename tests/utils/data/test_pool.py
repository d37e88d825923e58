"""When a DataLoader's workers fail, die or are left: clear errors, and no process left behind."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import minigrad
from minigrad.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
)

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="forks its workers")


class Numbers(Dataset):
    def __init__(self, n=20):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return i, np.full(2, i, dtype=np.float32)


class Calls(Dataset):
    """Sample i is f(i)."""

    def __init__(self, f, n=12):
        self.f = f
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.f(i)


class Unusual(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


def failing(kind):
    def f(i):
        if i == 5:
            raise kind
        return i

    return f


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("bad pixel"), ValueError),
        (KeyError("label"), KeyError),
        (Unusual(1, 2), RuntimeError),
        (StopIteration(), RuntimeError),
    ],
)
def test_errors_tell_worker_index_and_traceback(error, expected):
    batches = iter(DataLoader(Calls(failing(error)), batch_size=2, num_workers=2))
    processes = batches.workers
    assert [next(batches).tolist(), next(batches).tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(expected) as caught:
        next(batches)
    message = str(caught.value)
    assert f"{type(error).__name__} in DataLoader worker 0 (process {processes[0].pid}), at dataset index 5" in message
    assert "Traceback (most recent call last):\n" in message
    assert "in f\n" in message
    assert not any(p.is_alive() for p in processes)
    with pytest.raises(StopIteration):
        next(batches)


def test_a_local_exception_class_comes_as_runtime_error():
    class Mine(ValueError):
        pass

    with pytest.raises(RuntimeError, match="Mine in DataLoader worker 0"):
        list(DataLoader(Calls(failing(Mine("x"))), num_workers=1))


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"collate_fn": lambda samples: 1 / 0}, r"collating dataset indices \[0, 1\]"),
        ({"worker_init_fn": lambda worker: 1 / 0}, "worker_init_fn"),
    ],
)
def test_errors_elsewhere_tell_the_place(options, place):
    with pytest.raises(ZeroDivisionError, match=f"at {place}"):
        list(DataLoader(Numbers(), batch_size=2, num_workers=1, **options))


def test_a_batch_that_cannot_be_sent():
    with pytest.raises(Exception, match="at sending batch 0"):
        list(DataLoader(Calls(lambda i: lambda: i), batch_size=None, num_workers=1))


def test_a_stream_that_fails():
    class Broken(IterableDataset):
        def __iter__(self):
            yield 1
            raise ValueError("torn")

    with pytest.raises(ValueError, match="at sample 1 of the stream"):
        list(DataLoader(Broken(), num_workers=1))


def test_a_failed_loader_can_be_used_again():
    data = Calls(failing(ValueError()))
    loader = DataLoader(data, num_workers=1, persistent_workers=True)
    with pytest.raises(ValueError):
        list(loader)
    data.f = int
    assert len(list(loader)) == 12
    del loader


@needs_fork
def test_a_killed_worker_is_told_and_nothing_hangs():
    def die(i):
        if i == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    batches = iter(DataLoader(Calls(die), num_workers=2))
    processes = batches.workers
    assert [next(batches).item() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(
        RuntimeError,
        match=rf"worker 1 \(process {processes[1].pid}\) was killed by signal 9 \(SIGKILL\).*memory",
    ):
        next(batches)
    assert not any(p.is_alive() for p in processes)


@needs_fork
def test_a_worker_killed_while_idle():
    loader = DataLoader(Numbers(), num_workers=2, persistent_workers=True)
    batches = iter(loader)
    list(batches)
    os.kill(batches.workers[0].pid, signal.SIGKILL)
    batches.workers[0].join()
    with pytest.raises(RuntimeError, match=r"worker 0 .*SIGKILL"):
        list(loader)
    assert len(list(loader)) == 20  # with new workers
    del loader, batches


def test_a_worker_that_exits():
    with pytest.raises(RuntimeError, match=r"worker 0 .* ended with exit code 7"):
        list(DataLoader(Calls(lambda i: sys.exit(7)), num_workers=1))


def test_timeout():
    stuck = Calls(lambda i: time.sleep(60 * (i == 1)) or i)
    batches = iter(DataLoader(stuck, num_workers=1, timeout=2))
    (process,) = batches.workers
    assert next(batches).item() == 0
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match=r"worker 0 .* no batch within timeout = 2 s"):
        next(batches)
    assert not process.is_alive()
    assert time.monotonic() - begun < 20


# --- no process left behind


def test_an_abandoned_iterator_ends_its_workers():
    batches = iter(DataLoader(Calls(lambda i: time.sleep(0.01) or i, 1000), num_workers=2))
    next(batches)
    processes = batches.workers
    del batches
    assert not any(p.is_alive() for p in processes)


def test_break_ends_the_workers():
    before = set(multiprocessing.active_children())
    for _ in DataLoader(Numbers(1000), num_workers=2):
        during = set(multiprocessing.active_children()) - before
        break
    assert len(during) == 2
    assert not any(p.is_alive() for p in during)


def test_an_error_in_the_loop_ends_the_workers():
    def train():
        for i, _ in DataLoader(Numbers(1000), num_workers=2):
            raise KeyError(i.item())

    with pytest.raises(KeyError):
        train()


SCRIPT = """
    import sys, time, os
    import minigrad
    from minigrad.utils.data import DataLoader, Dataset, worker

    class Data(Dataset):
        def __len__(self):
            return 100000
        def __getitem__(self, i):
            return os.getpid()

    def bystander():
        # Another child, which holds the loader's ends of the lines for longer than the loader lives.
        os.closerange(0, 3)
        time.sleep(40)
        os._exit(0)

    worker._HEARTBEAT = 0.1
    seen = set()
    for step, batch in enumerate(DataLoader(Data(), batch_size=4, num_workers=2)):
        seen.update(batch.tolist())
        if step == 10:
            print(*seen, flush=True)
        {body}
"""


def gone(pids):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        alive = []
        for pid in pids:
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    if stat.read().rsplit(")", 1)[1].split()[0] != "Z":
                        alive.append(pid)
            except (FileNotFoundError, ProcessLookupError):  # the latter when it ends between opening and reading
                pass
        if not alive:
            return True
        time.sleep(0.05)
    return False


@needs_fork
@pytest.mark.parametrize(
    ("body", "number", "code"),
    [
        ("time.sleep(0.01)", signal.SIGINT, 130),
        ("time.sleep(0.01)", signal.SIGTERM, -signal.SIGTERM),
        ("time.sleep(0.01)", signal.SIGKILL, -signal.SIGKILL),
        ("if step == 10: sys.exit(3)", None, 3),
        ("if step == 10: os._exit(4)", None, 4),
        (
            "if step == 5 and os.fork() == 0: bystander()\n    time.sleep(0.01)",
            signal.SIGKILL,
            -signal.SIGKILL,
        ),
    ],
)
def test_however_the_program_ends_its_workers_end_too(body, number, code):
    script = textwrap.dedent(SCRIPT).replace("{body}", body)
    root = os.path.dirname(os.path.dirname(minigrad.__file__))
    program = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    pids = [int(pid) for pid in program.stdout.readline().split()]
    assert len(pids) == 2
    if number == signal.SIGINT:
        os.killpg(program.pid, number)  # as a terminal's Ctrl-C: to all processes of the group
    elif number is not None:
        os.kill(program.pid, number)
    try:
        assert gone([program.pid, *pids])
    finally:
        with contextlib.suppress(ProcessLookupError):  # what is left of the group, the bystander among it
            os.killpg(program.pid, signal.SIGKILL)
    _, errors = program.communicate(timeout=30)
    assert program.returncode in (code, -signal.SIGINT if number == signal.SIGINT else code)
    assert errors.count("Traceback") == (1 if number == signal.SIGINT else 0)  # the program's own only


def test_a_forked_copy_of_a_pool_ends_nobody():
    """A worker inherits other loaders' pools; dropping its copies must not touch the originals."""
    outer = DataLoader(Numbers(), num_workers=1, persistent_workers=True)
    batches = iter(outer)
    held = [batches._pool]

    def drop(i):
        if held:
            held.pop().close()
        return i

    assert len(list(DataLoader(Calls(drop), num_workers=1))) == 12
    assert batches.workers[0].is_alive()
    assert len(list(batches)) == 20
    held.clear()
    del outer, batches
