"""Measures the memory of the process."""

from __future__ import annotations

import re
import sys

from ... import cuda

_MIB = 1 << 20


def resident_memory() -> float:
    """The resident memory of the process, in MiB."""
    import psutil

    return float(psutil.Process().memory_info().rss / _MIB)


def peak_memory() -> float:
    """The largest resident memory that the process has had, in MiB."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset / _MIB)
    # On Linux getrusage includes the parent's memory when it started this process; VmHWM does not.
    if sys.platform == "linux" and (peak := _high_water_mark()) is not None:
        return peak
    import resource

    peak_size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_size / (_MIB if sys.platform == "darwin" else 1024)  # bytes on macOS, KiB elsewhere


def gpu_memory() -> float:
    """The GPU memory in use by this process's arrays, in MiB; 0 where CuPy has not been used."""
    if "cupy" not in sys.modules:  # importing it would take GPU memory
        return 0.0
    return cuda.memory_allocated() / _MIB


def _high_water_mark() -> float | None:
    """Linux's VmHWM in MiB, if there is one."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            found = re.search(r"^VmHWM:\s*(\d+) kB", file.read(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None
