"""Kernels in shares: whatever the number of shares, every row and every element is done once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad.kernels.machine.compile import jit
from minigrad.kernels.machine.shared import share, shared, shared_rows

PARTS = [1, 2, 3, 7]


@shared
def count_up(t: int, parts: int, x: Any, owner: Any) -> None:
    start, end = share(t, parts, x.size)
    for i in range(start, end):
        x[i] += 1
        owner[i] = t


@shared(allocates=False)
def double_rows(t: int, parts: int, x: Any, y: Any) -> None:
    first, last = share(t, parts, x.shape[0])
    for i in range(first, last):
        row, out = x[i], y[i]
        for c in range(row.size):
            out[c] = 2 * row[c]


@shared_rows(fixed=True)
def sum_row(i: int, sums: Any, x: Any, factor: Any) -> None:
    for c in range(x.shape[1]):
        sums[i] += factor * x[i, c]


@jit
def count_up_twice(parts: int, x: Any, owner: Any) -> None:
    count_up(parts, (x, owner))
    count_up(parts, (x, owner))


@pytest.mark.parametrize("parts", PARTS)
def test_every_element_belongs_to_one_share(parts: int) -> None:
    for n in (0, 1, 5, 7, 100):
        x, owner = np.zeros(n), np.full(n, -1)
        count_up.launch(parts, (x, owner))
        np.testing.assert_array_equal(x, 1)
        np.testing.assert_array_equal(owner, np.sort(owner))
        assert n < parts or set(owner) == set(range(parts))


@pytest.mark.parametrize("parts", PARTS)
def test_rows(parts: int) -> None:
    x = np.random.default_rng(0).standard_normal((13, 9)).astype(np.float32)
    y, sums = np.full_like(x, np.nan), np.zeros(13, np.float32)
    double_rows.launch(parts, (x, y))
    np.testing.assert_array_equal(y, 2 * x)
    x.flags.writeable = False
    sum_row.launch(parts, (sums, x, 0.5))
    np.testing.assert_allclose(sums, x.sum(1) / 2, rtol=1e-5, atol=1e-6)


def test_a_compiled_function_shares_out_its_work() -> None:
    x, owner = np.zeros(10), np.zeros(10, int)
    count_up_twice.launch(3, x, owner)
    np.testing.assert_array_equal(x, 2)
    assert owner[-1] == 2
