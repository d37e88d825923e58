"""Processes forked after kernels ran: they compute, and to the same bits. A child that hangs is a failure."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.compiler_lock import global_compiler_lock

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels, nn, optim
from minigrad.kernels import memory

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
PATIENCE = 120  # seconds
RULES = [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Adadelta]


class Net(nn.Module):
    """Every family of kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.strided = nn.Conv2d(16, 16, 5, stride=2)
        self.norm = nn.BatchNorm2d(16)
        self.up = nn.ConvTranspose2d(16, 4, 2, stride=2)
        self.groups = nn.GroupNorm(2, 4)
        self.layer = nn.Linear(4 * 7 * 7, 64)
        self.layer_norm = nn.LayerNorm(64)
        self.last = nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        x = F.gelu(self.norm(self.strided(F.relu(self.conv(x)))))
        x = F.max_pool2d(F.silu(self.groups(self.up(x))), 2) + 1
        x = self.layer_norm(self.layer(F.adaptive_avg_pool2d(x, 7).flatten(1)).tanh())
        return self.last(x)


def drawn(seed: int) -> tuple[Any, ...]:
    """What :func:`trained` begins with. Sizes of which threads take shares."""
    minigrad.manual_seed(seed)
    x, nets = minigrad.randn(24, 3, 32, 32), [Net() for _ in RULES]
    return x, nets, minigrad.randn(600, 600), minigrad.randn(600, 600)


def steps(seed: int) -> list[bytes]:
    return trained(*drawn(seed))


def trained(x: Any, nets: list[Net], a: Any, b: Any) -> list[bytes]:
    """The bits of what training steps with every rule leave behind."""
    t, found = minigrad.arange(24) % 10, []
    for rule, net in zip(RULES, nets, strict=True):
        optimizer = rule(net.parameters(), lr=0.01)
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(net(x), t).backward()
            optimizer.step()
        found += [p.detach().numpy().tobytes() for p in net.parameters()]
    found += [(a @ b + a * b).softmax(1).sigmoid().numpy().tobytes(), (a.double() @ b.double()).numpy().tobytes()]
    return found


@pytest.fixture(scope="module", autouse=True)
def _two_threads() -> Iterator[None]:
    before = kernels.get_num_threads()
    kernels.set_num_threads(2)
    yield
    kernels.set_num_threads(before)


@pytest.fixture(scope="module")
def expected(_two_threads: None) -> list[bytes]:
    """What the parent finds, with its threads."""
    return steps(1)


def in_child(work: Callable[[], Any]) -> Any:
    """What ``work`` returns in a forked child."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with os.fdopen(theirs, "wb") as pipe:
                pickle.dump(work(), pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        if not select.select([pipe], [], [], PATIENCE)[0]:
            os.kill(pid, signal.SIGKILL)
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with {status}"
    return pickle.loads(answer)


def test_children_of_a_pool(expected: list[bytes]) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(steps, [1, 1]).get(PATIENCE) == [expected, expected]


def test_children_of_an_executor(expected: list[bytes]) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor:
        assert executor.submit(steps, 1).result(PATIENCE) == expected


def test_a_childs_child(expected: list[bytes]) -> None:
    assert in_child(lambda: (steps(1), in_child(lambda: steps(1)))) == (expected, expected)


def test_a_child_walks_its_parents_graph() -> None:
    net, x = Net(), minigrad.randn(24, 3, 32, 32)
    loss = F.cross_entropy(net(x), minigrad.arange(24) % 10)

    def gradients() -> list[bytes]:
        loss.backward()
        return [p.grad.numpy().tobytes() for p in net.parameters()]

    found = in_child(gradients)
    assert found == gradients()


def test_a_child_of_a_thread_and_the_threads_of_a_child(expected: list[bytes]) -> None:
    def from_thread(work: Callable[[], Any]) -> Any:
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(work()))
        thread.start()
        thread.join(PATIENCE)
        return answers[0]

    assert from_thread(lambda: in_child(lambda: steps(1))) == expected
    assert in_child(lambda: from_thread(lambda: steps(1))) == expected


def test_forks_while_another_thread_computes(expected: list[bytes]) -> None:
    stop = threading.Event()

    def work() -> None:
        a = minigrad.randn(600, 600)
        while not stop.is_set():
            a @ a

    other = threading.Thread(target=work)
    other.start()
    try:
        assert in_child(lambda: steps(1)) == expected
    finally:
        stop.set()
        other.join(PATIENCE)


@pytest.mark.parametrize("lock", [memory._store.lock, global_compiler_lock], ids=["memory", "compiler"])
def test_forks_while_another_thread_holds_a_lock(lock: Any) -> None:
    """In the child nobody is there to release it."""
    held = threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            time.sleep(0.3)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(PATIENCE)
    assert in_child(lambda: numba.njit(lambda x: x + 1)(1.0) + memory.empty((600, 600)).size) == 360_002
    other.join(PATIENCE)


def test_a_child_may_set_its_threads(expected: list[bytes]) -> None:
    def work() -> Any:
        kernels.set_num_threads(1)
        one = steps(1)
        kernels.set_num_threads(2)
        return one[-2:], steps(1)

    one, two = in_child(work)
    assert two == expected
    assert one == expected[-2:]


def test_the_parent_goes_on_with_its_threads(expected: list[bytes]) -> None:
    in_child(lambda: steps(1))
    assert steps(1) == expected


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_start_afresh(method: str, expected: list[bytes]) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as executor:
        assert executor.submit(threads_and_steps, 1).result(PATIENCE) == expected


def threads_and_steps(seed: int) -> list[bytes]:
    kernels.set_num_threads(2)
    return steps(seed)


def test_large_results_in_a_child_are_its_own() -> None:
    """Blocks of memory that waited in the parent serve the child; what it writes there stays there."""
    x = minigrad.ones(1024, 1024)
    y = x @ x
    found = in_child(lambda: float((x @ x).numpy().sum()) + float((y * 2).numpy().sum()))
    assert found == 3 * 1024.0**3
    assert np.array_equal(y.numpy(), np.full((1024, 1024), 1024.0, np.float32))
