"""``python -m benchmarks.soak``: thousands of steps while other programs come and go, to the bits of a quiet run.

LeNet-5 is trained twice from the same start, batch 64. Meanwhile, in the second run, another process keeps a core busy
and lets go of it again at random times. The weights afterwards must be equal bit for bit.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from .cases import CASES
from .libraries import MINIGRAD, load

LONGEST = 0.5  # seconds for which the other process runs, or rests


def trained(steps: int) -> tuple[str, float]:
    """The digest of the losses of so many steps, and the seconds they took."""
    lib = load(MINIGRAD, "cpu")
    step = CASES["lenet_64"].builders[MINIGRAD](lib)
    digest, start = hashlib.sha256(), time.perf_counter()
    for _ in range(steps):
        digest.update(step().detach().numpy().tobytes())
    return digest.hexdigest(), time.perf_counter() - start


def disturb(over: threading.Event) -> None:
    """Stop and continue a process that never waits, until it is over."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as burning:
        while not over.wait(random.uniform(0, LONGEST)):
            burning.send_signal(random.choice((signal.SIGSTOP, signal.SIGCONT)))
        burning.kill()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=10_000)
    steps = parser.parse_args(argv).steps
    quiet, seconds = trained(steps)
    print(f"quiet      {seconds:8.1f} s  {quiet[:16]}", flush=True)
    over = threading.Event()
    other = threading.Thread(target=disturb, args=(over,))
    other.start()
    try:
        disturbed, seconds = trained(steps)
    finally:
        over.set()
        other.join()
    print(f"disturbed  {seconds:8.1f} s  {disturbed[:16]}")
    print("equal to the last bit" if quiet == disturbed else "THEY DIFFER")
    return quiet != disturbed


if __name__ == "__main__":
    sys.exit(main())
