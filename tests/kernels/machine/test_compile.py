"""What the user is told while kernels are compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import minigrad
x = minigrad.ones(64, 64)
print((x + minigrad.ones(64)).sum().item())
"""
TWO_KERNELS = PROGRAM + "minigrad.nn.functional.mse_loss(x, minigrad.zeros(64, 64))\n"


def said(program: str, cache: Path, **extra: str) -> list[str]:
    """The lines on standard error."""
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "MINIGRAD_QUIET")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment | {"MINIGRAD_CACHE": str(cache)} | extra,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "8192.0\n"
    return done.stderr.splitlines()


def test_compiling_is_announced_once_and_only_when_it_happens(tmp_path: Path) -> None:
    first = said(TWO_KERNELS, tmp_path)
    assert len(first) == 1
    assert first[0].startswith("minigrad: compiling kernels, once per machine")
    assert str(tmp_path) in first[0]
    assert said(TWO_KERNELS, tmp_path) == []


def test_the_line_can_be_hidden(tmp_path: Path) -> None:
    assert said(PROGRAM, tmp_path, MINIGRAD_QUIET="1") == []


def test_functions_of_the_users_own_are_not_announced(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    program = "import minigrad.kernels.machine.compile, numba\nprint(float(numba.njit(lambda x: x * 2)(4096.0)))"
    assert said(program, tmp_path) == []


def test_a_process_started_from_a_program_looks_for_kernels_itself(tmp_path: Path) -> None:
    """It may have other registers, by MINIGRAD_SIMD, and so other kernels."""
    program = "import minigrad, os\nminigrad.kernels.load()\nprint(8192.0 * ('NUMBA_CACHE_DIR' not in os.environ))"
    assert said(program, tmp_path) == []
