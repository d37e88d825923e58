"""Rounds of samples, one library at a time."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .cases import CASES
from .libraries import ALONE, COMPILED, EAGER, MINIGRAD

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-3  # relative difference of the third loss beyond which two libraries did not do the same work


class WorkerError(RuntimeError):
    """A worker that could not do what it was asked, or died over it."""


class WorkerProcess:
    """The near end of :mod:`benchmarks.worker`.

    The process is stopped (SIGSTOP) while it has nothing to do, so that its thread pool cannot take the cores
    from the library being measured.
    """

    def __init__(self, library: str, device: str, threads: int) -> None:
        threads, library = (1, MINIGRAD) if library == ALONE else (threads, library)
        counts = dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads)
        )
        self.library = library
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", library, device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=os.environ | counts,
        )
        try:
            self.version = str(self._answer()["version"])
        except WorkerError:
            self.close()
            raise
        self._pause()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Let it do one thing. Raises WorkerError with its own words if it fails."""
        assert self.process.stdin is not None
        self._signal("SIGCONT")
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            return self._answer()
        except BrokenPipeError:
            raise WorkerError("the process has ended") from None
        finally:
            self._pause()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(f"the process ended with exit status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _pause(self) -> None:
        self._signal("SIGSTOP")

    def _signal(self, name: str) -> None:
        if hasattr(signal, name) and self.process.poll() is None:
            self.process.send_signal(getattr(signal, name))

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@dataclass
class Timing:
    """What one library needed for one case."""

    seconds: list[float] = field(default_factory=list)  # per step, one entry a round
    steps: int = 0  # steps in a sample
    loss: float | None = None  # after the third step
    error: str | None = None

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None


@dataclass
class Results:
    """Everything that a run measured."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    libraries: dict[str, str] = field(default_factory=dict)  # name → version
    cases: dict[str, dict[str, Timing]] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)  # library → bytes grown, or why not
    peak: dict[str, Any] = field(default_factory=dict)  # the same for the most that a large step holds
    shares: dict[str, Any] = field(default_factory=dict)  # case → benchmarks.shares.Shares as a dict
    rate: float = 0.0  # multiply-adds per second of a large matrix product

    def ratio(self, case: str) -> float | None:
        """How many times faster minigrad is than the faster of PyTorch eager and compiled."""
        row = self.cases[case]
        ours = row[MINIGRAD].median if MINIGRAD in row else None
        theirs = [t for name in (EAGER, COMPILED) if name in row and (t := row[name].median)]
        return min(theirs) / ours if ours and theirs else None

    def waiting(self, case: str) -> float | None:
        """minigrad's time with all threads over its time with one."""
        row = self.cases[case]
        both = [row[name].median if name in row else None for name in (MINIGRAD, ALONE)]
        return both[0] / both[1] if both[0] and both[1] else None

    def geometric_mean(self, *groups: str) -> float | None:
        """Of the ratios of some groups."""
        ratios = [r for name in self.cases if CASES[name].group in groups and (r := self.ratio(name))]
        return statistics.geometric_mean(ratios) if ratios else None

    def sum(self, group: str, library: str) -> float | None:
        """Of the medians of a group; None if the library lacks one."""
        names = [name for name in self.cases if CASES[name].group == group]
        medians = [row[library].median if library in (row := self.cases[name]) else None for name in names]
        return None if None in medians or not medians else math.fsum(m for m in medians if m is not None)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["cases"] = {
            c: {lib: Timing(**t) for lib, t in row.items()} for c, row in raw["cases"].items() if c in CASES
        }
        return cls(**raw)


@contextlib.contextmanager
def workers(libraries: Sequence[str], device: str, threads: int) -> Iterator[dict[str, WorkerProcess]]:
    """A process for each library that starts; the others are reported and left out."""
    running: dict[str, WorkerProcess] = {}
    try:
        for name in libraries:
            try:
                running[name] = WorkerProcess(name, device, threads)
            except WorkerError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
        yield running
    finally:
        for worker in running.values():
            worker.close()


@contextlib.contextmanager
def busy_core(wanted: bool) -> Iterator[None]:
    """One core kept busy by a program that never waits, if wanted: a browser, a second run, somebody else's loop."""
    if not wanted:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as burning:
        try:
            yield
        finally:
            burning.kill()


def measure_case(
    name: str, running: dict[str, WorkerProcess], rounds: int, seconds: float, quick: bool = False
) -> dict[str, Timing]:
    """Build the case in every library that has it, then sample them in turn, a round at a time."""
    row: dict[str, Timing] = {}
    for library, worker in running.items():
        if CASES[name].supports(worker.library):
            try:
                row[library] = Timing(**worker.ask("build", case=name, seconds=seconds, quick=quick))
            except WorkerError as error:
                row[library] = Timing(error=str(error))
    ready = [library for library, timing in row.items() if timing.error is None]
    for i in range(rounds):
        turn = i % len(ready) if ready else 0
        for library in ready[turn:] + ready[:turn]:
            try:
                row[library].seconds.append(running[library].ask("sample")["seconds"])
            except WorkerError as error:
                row[library].error = str(error)
    for library in ready:
        with contextlib.suppress(WorkerError):
            running[library].ask("drop")
    return row


def disagreement(row: dict[str, Timing]) -> str | None:
    """A sentence if the libraries' losses differ, so that their times must not be compared."""
    losses = {library: t.loss for library, t in row.items() if t.loss is not None}
    if not losses:
        return None
    low, high = min(losses.values()), max(losses.values())
    if high - low <= TOLERANCE * max(abs(low), abs(high)):
        return None
    return "the losses differ: " + ", ".join(f"{library} {loss:.6g}" for library, loss in losses.items())


def measure_memory(running: dict[str, WorkerProcess], case: str, steps: int, settled: int) -> dict[str, Any]:
    """Library → the bytes by which its process grew over so many steps after the first ``settled``."""
    growth: dict[str, Any] = {}
    for library, worker in running.items():
        if CASES[case].supports(library):
            try:
                growth[library] = worker.ask("memory", case=case, steps=steps, settled=settled)["growth"]
            except WorkerError as error:
                growth[library] = str(error)
    return growth


def measure_peak(libraries: Sequence[str], device: str, threads: int, case: str, steps: int) -> dict[str, Any]:
    """Library → the bytes that a step holds at most, each library in a process that has done nothing else."""
    peak: dict[str, Any] = {}
    for library in libraries:
        if CASES[case].supports(library):
            with workers([library], device, threads) as running:
                try:
                    peak[library] = running[library].ask("peak", case=case, steps=steps)["peak"]
                except (KeyError, WorkerError) as error:
                    peak[library] = str(error)
    return peak


def elapsed_since(start: float) -> str:
    minutes, seconds = divmod(round(time.perf_counter() - start), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
