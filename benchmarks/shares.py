"""Where the time of a minigrad step goes, op by op, and how far the step is from what the machine can do.

The engine needs no hooks for this. Every op is run by ``apply``, and its rule is found on the node that this
leaves in the graph: both are wrapped from outside while a step is measured (:class:`OpClock`). What an op's time holds
is its arithmetic and its bookkeeping; what remains of the step beside ops and optimizer is Python: modules, the walk
back, the loop.

The ceiling is arithmetic: a step's multiply-adds in convolutions and linear layers, over the rate at which the machine
multiplies large matrices. A rule that makes a gradient of the input and one of the weight costs as much as the forward
pass each time; the first layer, whose input needs no gradient, makes only one.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from minigrad.autograd.function import Op, Output
from minigrad.optim import Optimizer

from .cases import Step

FORWARD, BACKWARD, OPTIMIZER, REST = "forward", "backward", "optimizer", "rest"
DIRECT = ("Conv2d", "Linear")  # ops of which each output is a sum over a row of the weight, their second argument


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


class OpClock:
    """While entered, counts for each op the seconds of its forward passes and of its rule, and its multiply-adds."""

    def __init__(self) -> None:
        self.ops: dict[str, dict[str, float]] = defaultdict(lambda: {FORWARD: 0.0, BACKWARD: 0.0})
        self.optimizer = 0.0
        self.multiply_adds = 0.0
        self._inner = [0.0]  # seconds inside the ops called by each op that is running, the innermost last

    @contextlib.contextmanager
    def timing(self) -> Iterator[OpClock]:
        replaced = [(kind, "apply", kind.__dict__["apply"]) for kind in _family(Op) if "apply" in kind.__dict__]
        replaced += [(kind, "step", kind.__dict__["step"]) for kind in _family(Optimizer) if "step" in kind.__dict__]
        for kind, name, original in replaced:
            watched = self._timed_apply(original) if name == "apply" else self._timed_step(original)
            setattr(kind, name, watched)
        try:
            yield self
        finally:
            for kind, name, original in replaced:
                setattr(kind, name, original)

    def _timed_apply(self, apply: Any) -> Any:
        def run(kind: type[Op], *args: Any) -> Any:
            out = self._timed(kind.__name__, FORWARD, apply.__func__, kind, *args)
            self._follow(kind, args, out)
            return out

        return classmethod(run)

    def _timed_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return step(*args, **options)
            finally:
                self.optimizer += time.perf_counter() - start

        return run

    def _timed(self, name: str, part: str, function: Callable[..., Any], *args: Any) -> Any:
        """Call the function; its time counts for the op, less that of ops called inside."""
        self._inner.append(0.0)
        start = time.perf_counter()
        try:
            return function(*args)
        finally:
            took = time.perf_counter() - start
            self.ops[name][part] += took - self._inner.pop()
            self._inner[-1] += took

    def _follow(self, kind: type[Op], args: tuple[Any, ...], out: Any) -> None:
        """Count the multiply-adds, and time the rule of the node behind ``out`` when it runs."""
        first = out[0] if isinstance(out, tuple) else out
        node: Any = first._node.node if isinstance(first._node, Output) else first._node
        work = multiply_adds(kind.__name__, args, first)
        self.multiply_adds += work
        if node is None:
            return
        if work:
            self.multiply_adds += work * (node.needs(0) + node.needs(1))
        name, rule, kernel = kind.__name__, node.backward, node.kernel
        node.backward = lambda *a: self._timed(name, BACKWARD, rule, *a)
        if kernel is not None:
            node.kernel = kernel._replace(backward=lambda *a: self._timed(name, BACKWARD, kernel.backward, *a))


def _family(kind: Any) -> list[Any]:
    """A class and all that inherit from it."""
    return [kind, *(k for child in kind.__subclasses__() for k in _family(child))]


def multiply_adds(name: str, args: tuple[Any, ...], out: Any) -> int:
    """Of the forward pass of an op: as many per output as a row of the weight has numbers. 0 for other ops."""
    if name == "MatMul":
        return int(out.numel()) * int(args[0].shape[-1])
    return int(out.numel()) * math.prod(args[1].shape[1:]) if name.startswith(DIRECT) else 0


def shares_of(step: Step, steps: int) -> Shares:
    """Of the step that took the middle time of so many. The caller has warmed the step up."""
    taken = []
    for _ in range(steps):
        clock = OpClock()
        with clock.timing():
            start = time.perf_counter()
            step()
            total = time.perf_counter() - start
        taken.append(Shares(total, dict(clock.ops), clock.optimizer, clock.multiply_adds))
    return sorted(taken, key=lambda shares: shares.total)[steps // 2]


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
