"""Kernels made for registers of another width than this machine's: LLVM splits what the machine lacks.

Products of matrices at all widths are in tests/kernels/matmul/test_choose.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad.kernels.machine import cache
from minigrad.kernels.machine.simd import LANES

TESTS = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
from minigrad.kernels.machine import compile

jit = compile.jit  # without threads, whose number has nothing to do with the width: that takes half as long to compile
compile.jit = lambda function=None, *, parallel=False, **options: jit(function, **options)

from kernel_checks import both_ways
from kernels.conv import test_choose as conv
from kernels.matmul import test_layer as layer
from minigrad.kernels.machine.simd import LANES

assert LANES == int(sys.argv[1])
for shape in conv.SHAPES:
    if shape.groups < shape.c:  # depthwise kernels know no width: their loops are left to the compiler
        conv.assert_close(shape, *both_ways(shape.conv, *shape.arrays()))
for sizes in [(64, 65, 37), (130, 48, 97), (33, 129, 36), (12, 128, 96), (200, 31, 23), (290, 129, 41)]:
    for name in layer.NAMES:
        found, exact = both_ways(lambda *ts: layer.apply(name, *ts), *layer.arrays(*sizes, 0))
        layer.assert_close(found, exact, *sizes)
"""


@pytest.mark.parametrize("width", [w for w in (4, 8, 16) if w != LANES])
def test_convolutions_and_layers(width: int) -> None:
    folder = cache.cache_folder().parent / "without-threads"  # Numba would take the other kernels for the same
    # glibc fills new memory with 0x7f, which makes numbers of 3e38: what reads memory that nobody wrote is seen
    environment = {
        **os.environ,
        "MINIGRAD_SIMD": str(width),
        "MINIGRAD_CACHE": str(folder),
        "MALLOC_PERTURB_": "128",
        "PYTHONPATH": os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "support"))),
    }
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(width)], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
