"""One library in one process: ``python -m benchmarks.worker LIBRARY DEVICE``, asked line by line over pipes.

A request is a line of JSON on standard input, the answer a line of JSON on standard output. What the library
itself prints goes to standard error, so that it cannot get between the answers.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from .cases import CASES, Step
from .libraries import COMPILED, MINIGRAD, Library, load
from .resident import give_back, peak_bytes, reset_peak, resident_bytes

Answer = dict[str, Any]


def timed(step: Step, steps: int, lib: Library) -> float:
    """Seconds per step, over so many steps in a row."""
    lib.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    lib.synchronize()
    return (time.perf_counter() - start) / steps


class Worker:
    """A library, and the case it has built."""

    def __init__(self, library: str, device: str) -> None:
        self.lib = load(library, device)
        self.step: Step | None = None
        self.steps = 1

    def hello(self) -> Answer:
        return {"version": self.lib.version}

    def build(self, case: str, seconds: float, quick: bool = False) -> Answer:
        """Build a case, warm up, and choose how many steps make a sample of so many seconds."""
        self.drop()
        self.step = CASES[case].builders[self.lib.name](self.lib, **(CASES[case].quick if quick else {}))
        loss = None
        for _ in range(3):  # the third loss tells whether libraries do the same work; the first call compiles
            loss = self.step()
        per_step = timed(self.step, 1, self.lib)
        while per_step * self.steps < seconds / 4:
            self.steps *= 2
            per_step = timed(self.step, self.steps, self.lib)
        self.steps = max(1, round(seconds / per_step))
        return {"steps": self.steps, "loss": None if loss is None or CASES[case].random else loss.item()}

    def sample(self) -> Answer:
        """Seconds per step. A twentieth of the steps goes ahead, to fill the caches again, unless one step makes a
        sample: cold caches are nothing beside it, and an epoch would be run twice."""
        assert self.step is not None
        for _ in range(-(-self.steps // 20) if self.steps > 1 else 0):
            self.step()
        return {"seconds": timed(self.step, self.steps, self.lib)}

    def drop(self) -> Answer:
        """Forget the case."""
        self.step, self.steps = None, 1
        if self.lib.name == COMPILED:
            self.lib.module._dynamo.reset()  # a code object may be compiled a few times only
        return {}

    def memory(self, case: str, steps: int, settled: int) -> Answer:
        """By how many bytes this process grows over ``steps`` steps, counted from step ``settled`` on."""
        step = CASES[case].builders[self.lib.name](self.lib)
        for _ in range(settled):
            step()
        before = resident_bytes()
        for _ in range(steps - settled):
            step()
        return {"growth": resident_bytes() - before}

    def peak(self, case: str, steps: int) -> Answer:
        """The bytes that so many steps need at most, above what the process holds without them.

        The case is built and dropped once before: code that is loaded or compiled late is not counted.
        """
        for _ in range(2):
            self.drop()
            if self.lib.name == MINIGRAD:
                self.lib.module.kernels.memory.release()
            give_back()
            before = resident_bytes()
            reset_peak()
            self.step = CASES[case].builders[self.lib.name](self.lib)
            for _ in range(steps):
                self.step()
        return {"peak": peak_bytes() - before}

    def shares(self, case: str, seconds: float) -> Answer:
        """The time of each op in a step of minigrad, as the mean over about so many seconds."""
        from .shares import shares_of  # loads minigrad, which has no business in another library's process

        self.build(case, seconds)
        assert self.step is not None
        return shares_of(self.step, self.steps).as_dict()


def failure(error: Exception) -> Answer:
    """The kind of the error and the first line of what it says."""
    return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker: Worker | None = None
    try:
        worker = Worker(*sys.argv[1:3])
        print(json.dumps(worker.hello()), file=answers)
    except Exception as error:
        print(json.dumps(failure(error)), file=answers)
        return
    verbs: dict[str, Callable[..., Answer]] = {
        f.__name__: f for f in (worker.build, worker.sample, worker.drop, worker.memory, worker.peak, worker.shares)
    }
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = verbs[request.pop("do")](**request)
        except Exception as error:  # one case that fails in one library must not end the run
            answer = failure(error)
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
