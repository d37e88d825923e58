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
from device_suite import OpsOnDevice
from device_tensors import TensorsOnDevice
from device_training import TrainingOnDevice

import minigrad
from minigrad import tensor, zeros


@pytest.fixture(scope="module", autouse=True)
def _double() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        cuda_double.install(patch)
        yield
    cuda_double.uninstall()


class Near:
    """The same NumPy computes both sides."""

    rtol = 1e-12
    atol = 1e-12


class TestOps(Near, OpsOnDevice):
    pass


class TestTensors(Near, TensorsOnDevice):
    def test_a_second_gpu_has_copies_of_its_own(self) -> None:
        x = tensor([[1.0, 2.0], [3.0, 4.0]], device="cuda", requires_grad=True)
        y = x.T.to("cuda:1")
        assert (str(x.device), str(y.device), y.tolist()) == ("cuda:0", "cuda:1", [[1.0, 3.0], [2.0, 4.0]])
        (y * 2).sum().backward()
        assert str(x.grad.device) == "cuda:0"
        assert zeros(2, device="cuda:1").device == minigrad.device("cuda:1")


class TestTraining(Near, TrainingOnDevice):
    pass
