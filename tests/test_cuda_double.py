"""``device="cuda"`` on a double of CuPy (see ``cuda_double``), so that it is tested on machines without a GPU.

What this proves: no call that only NumPy understands is on the path to the GPU. Ops and their first and second
derivatives, layers, losses, optimizers, data and files all run on arrays that are not NumPy's, never mix with NumPy's,
and know only what CuPy's know. What it cannot prove is numbers: here NumPy computes them. Those are held against a real
GPU by ``test_cuda.py``, which is skipped without one.
"""

from __future__ import annotations

from collections.abc import Iterator

import cuda_double
import pytest
from device_suite import DeviceSuite


@pytest.fixture(scope="module", autouse=True)
def _double() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        cuda_double.install(patch)
        yield
    cuda_double.uninstall()


class TestDouble(DeviceSuite):
    rtol = 1e-12
    atol = 1e-12
