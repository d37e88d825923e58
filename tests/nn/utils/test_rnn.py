"""Packing and padding of sequences against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad.errors import ShapeError

RNG = np.random.default_rng(4)
SEQUENCES = [RNG.standard_normal((n, 2)) for n in (2, 4, 1, 4)]
pack = minigrad.nn.utils.rnn


def of(lib: Any) -> list[Any]:
    return [lib.tensor(s) for s in SEQUENCES]


def same(ours: Any, theirs: Any) -> None:
    assert (ours is None) == (theirs is None)
    if ours is not None:
        assert np.array_equal(ours.numpy(), theirs.numpy())
        assert str(ours.dtype).rpartition(".")[2] == str(theirs.dtype).rpartition(".")[2]


@pytest.mark.parametrize("batch_first", [False, True])
def test_there_and_back(batch_first: bool) -> None:
    packed = [lib.nn.utils.rnn.pack_sequence(of(lib), enforce_sorted=False) for lib in (minigrad, torch)]
    for ours, theirs in zip(*packed, strict=True):
        same(ours, theirs)
    for total in (None, 6):
        padded = [
            lib.nn.utils.rnn.pad_packed_sequence(p, batch_first, -1.5, total)
            for lib, p in zip((minigrad, torch), packed, strict=True)
        ]
        for ours, theirs in zip(*padded, strict=True):
            same(ours, theirs)
    for ours, given in zip(pack.unpack_sequence(packed[0]), SEQUENCES, strict=True):
        assert np.array_equal(ours.numpy(), given)


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding(side: str) -> None:
    for batch_first in (False, True):
        made = [
            lib.nn.utils.rnn.pad_sequence(of(lib), batch_first, 0.5, padding_side=side) for lib in (minigrad, torch)
        ]
        same(*made)
    lengths = [len(s) for s in SEQUENCES]
    padded = pack.pad_sequence(of(minigrad))
    for ours, given in zip(pack.unpad_sequence(padded, lengths), SEQUENCES, strict=True):
        assert np.array_equal(ours.numpy(), given)


def test_gradients_pass_through() -> None:
    found = []
    for lib in (minigrad, torch):
        x = lib.tensor(np.random.default_rng(1).standard_normal((4, 3, 2)), requires_grad=True)
        packed = lib.nn.utils.rnn.pack_padded_sequence(x, lib.tensor([1, 4, 2]), enforce_sorted=False)
        y, _ = lib.nn.utils.rnn.pad_packed_sequence(packed, total_length=5)
        y.backward(lib.tensor(np.random.default_rng(2).standard_normal((5, 3, 2))))
        found.append(x.grad.numpy())
    assert np.array_equal(*found)


def test_what_does_not_fit_is_refused() -> None:
    x = minigrad.randn(4, 3, 2)
    with pytest.raises(ValueError, match=r"the longest sequence comes first, got lengths \[1, 4, 2\]"):
        pack.pack_padded_sequence(x, [1, 4, 2])
    with pytest.raises(ValueError, match=r"at least one element, got lengths \[4, 2, 0\]"):
        pack.pack_padded_sequence(x, [4, 2, 0])
    with pytest.raises(ValueError, match="a length is 5, but the input has 4 steps"):
        pack.pack_padded_sequence(x, [5, 4, 2])
    with pytest.raises(ShapeError, match="lengths must be 3 integers"):
        pack.pack_padded_sequence(x, [4, 2])
    with pytest.raises(ValueError, match="got no sequences"):
        pack.pad_sequence([])
    with pytest.raises(ValueError, match=r"total_length \(2\) is less than the longest sequence \(4\)"):
        pack.pad_packed_sequence(pack.pack_padded_sequence(x, [4, 2, 1]), total_length=2)
