"""Where the time of a minigrad step goes, op by op, and how far the step is from what the machine can do.

The times are those of :mod:`minigrad.profiler`. What an op's time holds is its arithmetic and its bookkeeping; what
remains of the step beside ops and optimizer is Python: modules, the walk back, the loop.

The ceiling is arithmetic: a step's multiply-adds in convolutions and linear layers, over the rate at which the machine
multiplies large matrices. A rule that makes a gradient of the input and one of the weight costs as much as the forward
pass each time; the first layer, whose input needs no gradient, makes only one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from minigrad.profiler import FunctionEvent, profile, record_function

from .cases import Step

FORWARD, BACKWARD = "forward", "backward"
MOST = 200  # steps that are watched


@dataclass
class Shares:
    """Seconds of one step, and its multiply-adds."""

    total: float = 0.0
    ops: dict[str, dict[str, float]] = field(default_factory=dict)  # op → {"forward": …, "backward": …}
    optimizer: float = 0.0
    multiply_adds: float = 0.0

    @property
    def rest(self) -> float:
        return self.total - self.optimizer - sum(sum(op.values()) for op in self.ops.values())

    def ceiling(self, rate: float) -> float:
        """The share of ``rate`` (multiply-adds per second) that the step reaches."""
        return self.multiply_adds / self.total / rate

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def shares_of(step: Step, steps: int) -> Shares:
    """Of the step that took the middle time of so many, but at most MOST. The caller has warmed the step up."""
    with profile(with_flops=True) as p:
        for _ in range(min(steps, MOST)):
            with record_function("step"):
                step()
    taken = sorted((e for e in p.events() if e.name == "step"), key=lambda e: e.cpu_time_total)
    middle = taken[len(taken) // 2]
    shares = Shares(middle.cpu_time_total / 1e6)
    for e in _within(middle):
        seconds = e.self_cpu_time_total / 1e6
        if e.category in (FORWARD, BACKWARD):
            shares.ops.setdefault(e.key, {FORWARD: 0.0, BACKWARD: 0.0})[e.category] += seconds
        elif e.name.startswith("Optimizer.step#"):
            shares.optimizer += seconds
        shares.multiply_adds += e.flops / 2
    return shares


def _within(event: FunctionEvent) -> Iterator[FunctionEvent]:
    """Everything that an event called."""
    for child in event.cpu_children:
        yield child
        yield from _within(child)


PRODUCT = """
import time, numpy as np
a, b = (np.random.default_rng(i).random((1024, 1024), np.float32) for i in (0, 1))
def once():
    start = time.perf_counter(); a @ b; return time.perf_counter() - start
print(min(once() for _ in range(30)))
"""


def matrix_rate(threads: int) -> float:
    """Multiply-adds per second of a float32 product of 1024×1024 matrices: NumPy in a process of its own."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    command = [sys.executable, "-c", PRODUCT]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | counts)
    return 1024**3 / float(answer.stdout)


def table(shares: Shares, rate: float) -> str:
    """The shares as a Markdown table, the largest first, and the distance from the ceiling as a sentence."""

    def cell(seconds: float) -> str:
        return f"{seconds * 1e3:.3f} ms | {seconds / shares.total:.1%}" if seconds else " | "

    lines = ["| op | forward | share | backward | share |", "|---|---:|---:|---:|---:|"]
    for name, parts in sorted(shares.ops.items(), key=lambda item: -sum(item[1].values())):
        lines.append(f"| {name} | {cell(parts[FORWARD])} | {cell(parts[BACKWARD])} |")
    sums = [sum(parts[part] for parts in shares.ops.values()) for part in (FORWARD, BACKWARD)]
    lines += [
        f"| all ops | {cell(sums[0])} | {cell(sums[1])} |",
        f"| optimizer | {cell(shares.optimizer)} | | |",
        f"| the rest (Python) | {cell(shares.rest)} | | |",
    ]
    sentence = f"A step takes {shares.total * 1e3:.2f} ms while it is watched."
    if shares.multiply_adds:
        sentence += (
            f" Its {shares.multiply_adds / 1e9:.3g} G multiply-adds in convolutions and linear layers, at the "
            f"{rate / 1e9:.0f} G/s of a large matrix product, would take {shares.multiply_adds / rate * 1e3:.2f} ms: "
            f"it runs at **{shares.ceiling(rate):.0%}** of that ceiling. (Convolutions count by their direct sums; "
            "Winograd's algorithm needs fewer, so more than 100 % is possible.)"
        )
    return "\n".join(lines) + "\n\n" + sentence
