"""``device="cuda"`` on a real GPU: the numbers that ``test_cuda_double.py`` cannot prove. Skipped without one."""

from __future__ import annotations

import pytest
from device_kernels import KernelsOnDevice
from device_suite import OpsOnDevice
from device_tensors import TensorsOnDevice
from device_training import TrainingOnDevice

from minigrad import cuda

if not cuda.is_available():
    pytest.skip("CuPy finds no GPU here", allow_module_level=True)


class Near:
    """Sums run in another order on a GPU, and its exp, log and sin may differ from NumPy's in the last place."""

    rtol = 1e-6
    atol = 1e-9


class TestOps(Near, OpsOnDevice):
    pass


class TestTensors(Near, TensorsOnDevice):
    pass


class TestTraining(Near, TrainingOnDevice):
    pass


class TestKernels(KernelsOnDevice):
    pass
