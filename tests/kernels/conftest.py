"""Fixtures of the tests of kernels."""

from __future__ import annotations

import os
import types
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest
from kernel_checks import Fences, Guards

from minigrad import kernels


@pytest.fixture
def guards(monkeypatch: pytest.MonkeyPatch) -> Guards:
    """Guards; what the kernels of convolutions and layers allocate for their results lies between guards as well."""
    from minigrad.kernels import memory
    from minigrad.kernels.conv import choose as conv
    from minigrad.kernels.matmul import choose as matmul

    found = Fences() if "FENCES" in os.environ else Guards()
    numpy = types.ModuleType("numpy")
    numpy.__dict__.update(vars(np), empty=found.empty)
    monkeypatch.setattr(memory, "empty", found.empty)
    for module in (conv, matmul):
        monkeypatch.setattr(module, "np", numpy)
    return found


@pytest.fixture
def threads() -> Iterator[Any]:
    """``set_num_threads``, taken back after the test."""
    before = kernels.get_num_threads()
    yield kernels.set_num_threads
    kernels.set_num_threads(before)


@pytest.fixture
def one_core() -> Iterator[None]:
    """Kernels share their work as ever, but one thread does all shares: on a busy machine threads wait long for each
    other. A test of threads calls ``threads``, and has them."""
    kernels.set_num_threads(kernels.get_num_threads())
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)
