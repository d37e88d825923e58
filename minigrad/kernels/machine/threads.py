"""How many threads the CPU kernels use, and into how many shares they divide their work.

``OMP_NUM_THREADS`` and ``NUMBA_NUM_THREADS`` say how many; else it is as many as there are cores that this process may
use: those it is bound to, and no more than its container's share of processor time allows.

NumPy's BLAS has threads of its own, which stall as OpenMP's do: with one core
kept busy a product of 512 × 512 float64 matrices takes two of them 4 to 6 ms on average and up to 24, one of them 3.5
(1.8 where the machine is quiet). Under OpenMP each pool also waits where the other one spins. So once kernels are in
use, the products of float32 matrices are ours (``kernels/matmul/gemm.py``) and BLAS, left with small ones and with
float64, gets one thread. ``threadpoolctl.threadpool_limits`` gives it more again if you know better.

In a forked child one thread does all the work, in the same shares (``parallel_for.py``).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .threading_layer import choose


def _bound() -> int:
    """The cores that this process is bound to."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores() -> int:
    """How many cores this process may use: at least 1, at most what a container's quota is worth, rounded down.

    Threads beyond the quota use it up early, and then all of them are stopped until the next period.
    """
    return max(1, int(min(_bound(), quota())))


def quota(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """Processors' worth of time that Linux's control groups, version 2 or 1, leave to this process; ∞ if they do not
    limit it."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return float("inf")
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "cpu" if controllers else root
        inner = top / path.lstrip("/")
        limits += [_limit(folder) for folder in (inner, *inner.parents) if folder.is_relative_to(top)]
    return min(limits, default=float("inf"))


def _limit(folder: Path) -> float:
    """The limit of one control group: "150000 100000" (µs of µs), "max 100000", or version 1's two files."""
    try:
        if (folder / "cpu.max").exists():
            time, period = (folder / "cpu.max").read_text().split()
        else:
            time, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return float(time) / float(period) if float(time) > 0 else float("inf")
    except (OSError, ValueError):  # no such files; "max"
        return float("inf")


def _initial() -> int:
    asked = [os.environ.get(name, "").split(",")[0].strip() for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")]
    numbers = [int(text) for text in asked if text.isdigit() and int(text)]
    return min(*numbers, _bound()) if numbers else cores()


_threads = _initial()


# Nanoseconds of work on one thread from which a second one pays. Starting a loop takes 1 µs, but a helper that has gone
# to sleep needs 30 to wake up. Tried on the labs' training steps: 5, 10, 18 and 30 µs are level, to 1 %.
WORTH = 30_000


def shares(nanoseconds: float, most: int) -> int:
    """Into how many shares, each for a thread, a kernel's work is divided: 1 if sharing it out does not pay.

    Args:
        nanoseconds: about how long one thread takes. It depends on shapes alone, and so does the rounding of sums.
        most: how many the work can be divided into.
    """
    if nanoseconds < WORTH:
        return 1
    return max(1, min(_threads, most, int(2 * nanoseconds / WORTH)))


def get_num_threads() -> int:
    """The number of threads that CPU kernels use."""
    return _threads


def set_num_threads(n: int) -> None:
    """Set the number of threads of the CPU kernels: at least 1, at most the cores.

    Raises:
        ValueError: ``n`` is not a positive integer.
    """
    global _threads
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"set_num_threads: n must be a positive integer, got {n!r}")
    _threads = n
    if "numba" in sys.modules:
        apply_to_kernels()
    else:
        _limit_blas(n)


def _limit_blas(n: int) -> None:
    from threadpoolctl import threadpool_limits  # loads slowly, and is asked for once

    threadpool_limits(limits=n, user_api="blas")


def apply_to_kernels() -> None:
    """Give Numba, once it is loaded, the number of threads chosen here (at most its own maximum), and BLAS one."""
    import numba

    choose()  # what follows would start the threads of Numba's own choice
    numba.set_num_threads(min(_threads, numba.config.NUMBA_NUM_THREADS))
    _limit_blas(1)
