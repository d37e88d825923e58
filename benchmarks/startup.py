"""How long minigrad takes to get going: ``python -m benchmarks.startup``.

A process of its own imports minigrad, builds a net and makes one training step: with an empty kernel cache, where every
kernel has to be compiled, and then again with the cache that this has left.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from .cases import CASES
from .libraries import MINIGRAD
from .measure import ROOT

NETS = "lenet_64", "res_cnn"
PROGRAM = """
import sys, time
start = time.perf_counter()
from benchmarks.libraries import load
from benchmarks.cases import CASES
CASES[sys.argv[1]].builders["minigrad"](load("minigrad", "cpu"))()
print(time.perf_counter() - start)
"""


def first_step(case: str, cache: str) -> float:
    """Seconds from the import to the end of the first step, in a new process with this kernel cache."""
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    environment |= {"MINIGRAD_CACHE": cache, "MINIGRAD_QUIET": "1"}
    command = [sys.executable, "-c", PROGRAM, case]
    answer = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(answer.stdout)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.startup", description="The time to the first step.")
    parser.add_argument("--only", choices=[n for n, c in CASES.items() if c.supports(MINIGRAD)], help="a case")
    for name in [only] if (only := parser.parse_args(argv).only) else NETS:
        with tempfile.TemporaryDirectory(prefix="minigrad-") as cache:
            compiling, cached = first_step(name, cache), min(first_step(name, cache) for _ in range(3))
        print(f"{name}: first step after {compiling:.1f} s with an empty cache, {cached:.2f} s with a full one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
