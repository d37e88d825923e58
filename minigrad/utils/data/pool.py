"""The loader's side of its worker processes: start them, give them tasks, take their batches, end them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import warnings
import weakref
from multiprocessing.connection import wait
from typing import Any, NoReturn

from .transport import CONTROL, Channel, Slot, can_share
from .worker import Failure, Plan, worker_main

_PATIENCE = 1.0  # seconds a worker has to finish what it is doing when told to stop


def get_context(given: Any) -> Any:
    """The multiprocessing context: the one given; else fork on Linux, the system's own elsewhere."""
    if given is None:
        return multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    if isinstance(given, str):
        methods = multiprocessing.get_all_start_methods()
        if given not in methods:
            raise ValueError(f"DataLoader: multiprocessing_context = {given!r}; this system offers {methods}")
        return multiprocessing.get_context(given)
    if not hasattr(given, "Process"):
        raise TypeError(
            f"DataLoader: multiprocessing_context is a {type(given).__name__}; expected 'fork', 'spawn', "
            "'forkserver' or a context of the multiprocessing module"
        )
    return given


class Worker:
    """A process and the line to it."""

    def __init__(self, number: int, channel: Channel, process: Any) -> None:
        self.number = number
        self.channel = channel
        self.process = process
        self.given = 0  # tasks given so far; the next one uses slot given % depth
        self.taken = 0  # answers taken so far; at most `depth` fewer than tasks given


class WorkerPool:
    """`plan.num_workers` processes, each with `depth` tasks under way at most."""

    def __init__(self, plan: Plan, base_seed: int, depth: int, context: Any) -> None:
        share = can_share()
        self.depth = depth if share else 1  # see transport: without slots a worker may block while it sends
        self.workers: list[Worker] = []
        self.epoch = 0
        # Runs when the pool is dropped, closed or the program ends, whichever is first.
        self._finalizer = weakref.finalize(self, _end, self.workers, os.getpid())
        try:
            for number in range(plan.num_workers):
                self.workers.append(self._start(number, plan, base_seed, context, share))
        except BaseException:
            self.close()
            raise

    def _start(self, number: int, plan: Plan, base_seed: int, context: Any, share: bool) -> Worker:
        ours, theirs = context.Pipe(duplex=True)
        slots = [Slot() for _ in range(self.depth)] if share else []
        channel = Channel(ours, slots)
        forked = context.get_start_method() == "fork"
        others = [channel, *(w.channel for w in self.workers)] if forked else []
        process = context.Process(
            target=worker_main,
            args=(Channel(theirs, slots), others, number, base_seed, plan),
            name=f"minigrad-dataloader-{number}",
            daemon=True,
        )
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of any fork beside threads. The workers are built for it: see the
                # package's docstring.
                warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
                process.start()
        except BaseException as error:
            channel.close()
            if isinstance(error, Exception) and not forked:
                raise RuntimeError(
                    f"DataLoader: worker {number} could not be started by {context.get_start_method()!r}, "
                    f"which must pickle the dataset, collate_fn and worker_init_fn ({type(error).__name__}: "
                    f"{error}). Define them at the top level of a module (no lambda), or use "
                    "multiprocessing_context='fork' where there is one."
                ) from error
            raise
        finally:
            theirs.close()
        return Worker(number, channel, process)

    def start_epoch(self, base_seed: int) -> None:
        """Tell all workers of a new epoch. Answers of an abandoned one are waited for and dropped."""
        self.epoch += 1
        try:
            for worker in self.workers:
                while worker.taken < worker.given:
                    self._receive(worker, 0.0)
                self._send(worker, CONTROL, base_seed)
        except BaseException:
            self.close()
            raise

    def give(self, worker: Worker, number: int, task: Any) -> None:
        """Hand a worker the task of batch `number`."""
        slot = worker.given % self.depth
        worker.given += 1
        self._send(worker, slot, (number, task))

    def take(self, worker: Worker, timeout: float) -> Any:
        """Wait for a worker's next answer, the batch.

        Raises what the worker raised; RuntimeError when it died or did not answer within `timeout` seconds
        (0: no limit).
        """
        answer = self._receive(worker, timeout)
        if isinstance(answer, Failure):
            answer.raise_again(worker.number, worker.process.pid)
        return answer

    def _send(self, worker: Worker, slot: int, message: Any) -> None:
        # A worker that has died is reported when its answer is awaited, after the good ones before it.
        with contextlib.suppress(ConnectionError):
            worker.channel.send(slot, message)

    def _receive(self, worker: Worker, timeout: float) -> Any:
        connection, process = worker.channel.connection, worker.process
        ready = wait([connection, process.sentinel], timeout or None)
        if not ready:
            raise RuntimeError(
                f"DataLoader: worker {worker.number} (process {process.pid}) gave no batch within timeout = "
                f"{timeout} s. Raise timeout, or look at what the dataset is waiting for."
            )
        if connection not in ready and not connection.poll():
            self._report_death(worker)
        try:
            _, answer = worker.channel.receive()
        except (EOFError, OSError):
            self._report_death(worker)
        worker.taken += 1
        return answer

    def _report_death(self, worker: Worker) -> NoReturn:
        worker.process.join(_PATIENCE)
        code = worker.process.exitcode
        how, hint = f"ended with exit code {code}", ""
        if code is not None and code < 0:
            try:
                how = f"was killed by signal {-code} ({signal.Signals(-code).name})"
            except ValueError:
                how = f"was killed by signal {-code}"
            if -code == getattr(signal, "SIGKILL", 9):
                hint = " The system does this when memory runs out: try fewer workers or smaller batches."
            else:
                hint = (
                    " If the dataset calls a library with threads of its own, such as a parallel Numba "
                    "function, use multiprocessing_context='forkserver'."
                )
        raise RuntimeError(f"DataLoader: worker {worker.number} (process {worker.process.pid}) {how}.{hint}")

    def close(self) -> None:
        """End all workers. May be called again."""
        self._finalizer()


def _end(workers: list[Worker], owner: int) -> None:
    """Ask the workers to stop, wait a moment, then make them. They hold no lock that others wait for."""
    if os.getpid() != owner:
        return  # a forked copy of the pool is being dropped; the workers are the loader's, not ours
    for worker in workers:
        with contextlib.suppress(OSError):  # it may be gone already
            worker.channel.send(CONTROL, None)
    deadline = time.monotonic() + _PATIENCE
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
    for force in ("terminate", "kill"):
        late = [worker for worker in workers if worker.process.is_alive()]
        for worker in late:
            getattr(worker.process, force)()
        for worker in late:
            worker.process.join(_PATIENCE)
    for worker in workers:
        worker.channel.close()
    workers.clear()
