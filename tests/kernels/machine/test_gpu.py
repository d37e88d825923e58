"""The CUDA kernels without a GPU: nvcc compiles them, and their numbers are right when a CPU runs them.

For the numbers, CuPy's double compiles the very same sources as C++ and runs every thread of every block
(``cuda_double/emulation.h``). That proves the arithmetic, the indices and the barriers; it says nothing of speed.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cuda_double
import numpy as np
import pytest
from cuda_double import cupy, raw
from device_kernels import KernelsOnDevice

import minigrad
from minigrad import nn
from minigrad.kernels.machine import gpu as launch

FAMILIES = sorted(path.stem for path in Path(launch.__file__).parents[1].glob("*/*.cu"))
SETTINGS = {"conv": {"ROWS": 4, "COLUMNS": 8}}  # the largest tile: it needs the most registers
needs_compiler = pytest.mark.skipif(not raw.available(), reason="running CUDA sources on a CPU takes g++ and Linux")


@pytest.fixture(scope="module")
def _double() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        cuda_double.install(patch)
        yield
    cuda_double.uninstall()


@needs_compiler
@pytest.mark.usefixtures("_double")
class TestOnTheDouble(KernelsOnDevice):
    def test_kernels_run_where_their_arrays_are(self) -> None:
        """On the second GPU while the first is the current one: the double refuses arrays of another device."""
        assert cupy.cuda.Device().id == 0
        model = nn.Sequential(
            nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.ConvTranspose2d(3, 2, 2), nn.AvgPool2d(2)
        ).to("cuda:1")
        y = model(minigrad.ones(2, 2, 8, 8, device="cuda:1"))
        y.backward(minigrad.ones_like(y))
        assert {str(p.grad.device) for p in model.parameters()} == {"cuda:1"}


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no nvcc here")
@pytest.mark.parametrize("family", FAMILIES)
def test_nvcc_compiles_it(family: str, tmp_path: Path) -> None:
    """For Turing (sm_75) and Hopper (sm_90), without a warning, and every thread's sums fit into its registers."""
    source = tmp_path / f"{family}.cu"
    source.write_text(launch.source(family))
    for dtype in ("float32", "float64"):
        targets = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in (75, 90)]
        command = ["nvcc", "-fatbin", "-Werror=all-warnings", "-Xptxas=-v", *targets]
        command += [*launch.options(dtype, **SETTINGS.get(family, {})), "-o", str(tmp_path / "out"), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        spilled = [line for line in done.stderr.splitlines() if "spill stores" in line]
        assert spilled
        assert all(" 0 bytes spill stores" in line for line in spilled), done.stderr


# --- the emulation itself: it must notice what would go wrong on a GPU -----------------------------------------------

REVERSE = """
extern "C" __global__ void reverse(REAL* x, int n) {
    __shared__ REAL copy[64];
    if (threadIdx.x < n) copy[threadIdx.x] = x[threadIdx.x];
    BARRIER
    if (threadIdx.x < n) x[threadIdx.x] = copy[n - 1 - threadIdx.x];
}
"""


@needs_compiler
@pytest.mark.usefixtures("_double")
class TestEmulation:
    def kernel(self, code: str, name: str) -> raw.RawKernel:
        return raw.RawModule(code=code, options=launch.options(np.float32)).get_function(name)

    def test_threads_wait_for_each_other(self) -> None:
        x = cupy.asarray(np.arange(40, dtype=np.float32))
        self.kernel(REVERSE.replace("BARRIER", "__syncthreads();"), "reverse")((1,), (64,), (x, np.int32(40)))
        assert x.tolist() == list(range(39, -1, -1))

    def test_a_missing_barrier_is_noticed(self) -> None:
        x = cupy.asarray(np.arange(40, dtype=np.float32))
        with pytest.raises(AssertionError, match="order of a block's threads"):
            self.kernel(REVERSE.replace("BARRIER", ""), "reverse")((1,), (64,), (x, np.int32(40)))

    def test_a_barrier_for_some_is_noticed(self) -> None:
        x = cupy.asarray(np.arange(40, dtype=np.float32))
        barrier = "if (threadIdx.x < 3) __syncthreads();"
        with pytest.raises(AssertionError, match="not all threads"):
            self.kernel(REVERSE.replace("BARRIER", barrier), "reverse")((1,), (64,), (x, np.int32(40)))

    def test_writing_beyond_an_array_is_noticed(self) -> None:
        x = cupy.asarray(np.arange(40, dtype=np.float32))
        with pytest.raises(AssertionError, match="beyond an array"):
            self.kernel(REVERSE.replace("BARRIER", "__syncthreads();"), "reverse")((1,), (64,), (x, np.int32(41)))

    @pytest.mark.parametrize("place", [-1, 40, -1000, 1000])
    def test_reading_beyond_an_array_is_noticed_even_if_nothing_comes_of_it(self, place: int) -> None:
        code = """
        extern "C" __global__ void look(const REAL* x, REAL* y, int place) {
            volatile REAL seen = x[place];
            y[0] = 1;
        }
        """
        x, y = cupy.asarray(np.arange(40, dtype=np.float32)), cupy.asarray(np.zeros(1, np.float32))
        self.kernel(code, "look")((1,), (1,), (x, y, np.int32(39)))
        assert y.tolist() == [1.0]
        with pytest.raises(AssertionError, match="beyond an array"):
            self.kernel(code, "look")((1,), (1,), (x, y, np.int32(place)))

    def test_arguments_of_another_type_are_refused(self) -> None:
        kernel = self.kernel(REVERSE.replace("BARRIER", "__syncthreads();"), "reverse")
        x = cupy.asarray(np.arange(40, dtype=np.float32))
        for args in ((x, 40), (x, np.int64(40)), (x.astype(np.float64), np.int32(40)), (x[::2], np.int32(20)), (x,)):
            with pytest.raises((TypeError, ValueError)):
                kernel((1,), (64,), args)
        with pytest.raises(RuntimeError, match="INVALID_VALUE"):
            kernel((1, 70000), (64,), (x, np.int32(40)))
