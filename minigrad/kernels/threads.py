"""How many threads the CPU kernels use: ``OMP_NUM_THREADS``, else every core this process may run on."""

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
    """Set the number of threads of the CPU kernels and of NumPy's matrix product. At least 1, at most the cores.

    Raises:
        ValueError: ``n`` is not a positive integer.
    """
    global _threads
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"set_num_threads: n must be a positive integer, got {n!r}")
    from threadpoolctl import threadpool_limits  # loads slowly, and few programs set their threads

    _threads = n
    threadpool_limits(limits=n, user_api="blas")
    if "numba" in sys.modules:
        apply_to_numba()


def apply_to_numba() -> None:
    """Give Numba, once it is loaded, the number of threads chosen here (it cannot go above its own maximum)."""
    import numba

    numba.set_num_threads(min(_threads, numba.config.NUMBA_NUM_THREADS))
