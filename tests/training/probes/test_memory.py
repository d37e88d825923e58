"""The memory of the process."""

from __future__ import annotations

import mmap
import subprocess
import sys

import numpy as np
import pytest

from minigrad import cuda
from minigrad.training.probes import (
    gpu_memory,
    peak_memory,
    resident_memory,
)


def test_memory_that_is_taken_is_seen_and_stays_in_the_peak():
    before = resident_memory()
    with mmap.mmap(-1, 64 << 20) as block:  # from the system: an array might get what the process has kept
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
        taken = resident_memory()
    assert taken - before > 60
    assert peak_memory() >= taken - 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' figures include the parent's")
def test_the_peak_is_not_that_of_the_parent():
    ballast = np.ones(256 << 17)  # 256 MiB
    code = "from minigrad.training.probes import peak_memory; print(peak_memory())"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert 5 < float(out) < ballast.nbytes / 2**20 < peak_memory()


def test_gpu_memory_asks_only_where_cupy_is_in_use(monkeypatch):
    monkeypatch.setattr(cuda, "memory_allocated", lambda: 3 << 20)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert gpu_memory() == 0
    monkeypatch.setitem(sys.modules, "cupy", object())
    assert gpu_memory() == 3
