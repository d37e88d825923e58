"""How many threads the CPU kernels use: ``OMP_NUM_THREADS``, else every core this process may run on.

Two libraries with threads do not get on in one process. Threads that wait for work do so by spinning, each pool on
all cores: NumPy's BLAS then waits for a core where an OpenMP thread of ours is spinning, and what takes microseconds
takes milliseconds (measured: 16 ms instead of 2 for an attention step, 37 instead of 1 for a small network's). So
once kernels are in use, the products of float32 matrices are ours (``kernels/cpu/gemm.py``) and NumPy's BLAS, left
with small ones and with float64, gets one thread. ``threadpoolctl.threadpool_limits`` gives it more again if you know
better.

In a forked child one thread does all the work, in the same shares (``fork.py``).
"""

from __future__ import annotations

import os
import sys


def _initial() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return max(1, min(int(asked), cores)) if asked.isdigit() else cores


_threads = _initial()


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

    numba.set_num_threads(min(_threads, numba.config.NUMBA_NUM_THREADS))
    _limit_blas(1)
