"""Whole epochs: minigrad and PyTorch do the same work in them."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from benchmarks.cases import CASES
from benchmarks.libraries import EAGER, MINIGRAD, Library

ROWS = 300
LOOPS = [name for name, case in CASES.items() if case.group == "loops"]


def options(name: str) -> dict[str, int]:
    """Those of a quick run, and still fewer rows."""
    return {**CASES[name].quick, "rows": ROWS}


@pytest.mark.parametrize("name", LOOPS)
def test_an_epoch_is_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # two libraries' threads in one process wait for each other
    losses = []
    for library in (Library(MINIGRAD, "cpu", minigrad), Library(EAGER, "cpu", torch)):
        epoch = CASES[name].builders[library.name](library, shuffle=False, **options(name))
        losses.append([epoch().item() for _ in range(3)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert losses[0][2] < losses[0][0]


@pytest.mark.parametrize("name", LOOPS)
def test_rows_come_in_random_order(name: str) -> None:
    losses = []
    for seed in (1, 1, 2):
        minigrad.manual_seed(seed)
        losses.append(CASES[name].builders[MINIGRAD](Library(MINIGRAD, "cpu", minigrad), **options(name))().item())
    assert losses[0] == losses[1] != losses[2]
