"""Coordinate grids: PyTorch's shapes and values, and gradients that reach the vectors."""

from __future__ import annotations

import re

import numpy as np
import pytest
from op_suite import agree, real, torch

import minigrad


@pytest.mark.parametrize("indexing", ["ij", "xy"])
@pytest.mark.parametrize("sizes", [(3,), (3, 2), (2, 3, 4), (2, 0)])
def test_grids_and_their_gradients_are_pytorchs(indexing: str, sizes: tuple[int, ...]) -> None:
    agree(lambda lib, *xs: lib.meshgrid(*xs, indexing=indexing), *[real(n) for n in sizes])


def test_numbers_count_as_one_element_and_a_list_works() -> None:
    for lib in (minigrad, torch):
        a, b = lib.meshgrid([lib.tensor(2.0), lib.arange(3.0)], indexing="ij")
        assert a.tolist() == [[2.0, 2.0, 2.0]]
        assert b.tolist() == [[0.0, 1.0, 2.0]]


def test_mistakes_are_named() -> None:
    with pytest.raises(minigrad.ShapeError, match=re.escape("meshgrid: tensors[1] must have at most 1 axis")):
        minigrad.meshgrid(minigrad.zeros(2), minigrad.zeros(2, 2))
    with pytest.raises(TypeError, match=re.escape("meshgrid: tensors[0] must be a Tensor, got ndarray")):
        minigrad.meshgrid(np.zeros(2))
    with pytest.raises(TypeError, match="at least one tensor"):
        minigrad.meshgrid()
    with pytest.raises(ValueError, match="'ij' or 'xy'"):
        minigrad.meshgrid(minigrad.zeros(2), indexing="ab")
