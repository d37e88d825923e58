"""The embedding layer."""

from __future__ import annotations

import numpy as np
import pytest
from layer_support import DTYPES, compare, twins

import minigrad
from minigrad import nn


@DTYPES
@pytest.mark.parametrize("padding", [None, 2, -1])
def test_embedding(padding, dtype, tolerance):
    ours, theirs = twins(lambda nn: nn.Embedding(6, 3, padding_idx=padding), dtype)
    compare(ours, theirs, np.array([[0, 2, 5], [2, 2, 1]]), dtype, tolerance)
    assert repr(ours).split("  # ")[0] == repr(theirs)
    if padding is not None:
        fresh = nn.Embedding(6, 3, padding_idx=padding)
        assert (fresh.weight[padding] == 0).all()
        assert (fresh.weight[0] != 0).all()


def test_embedding_from_a_table():
    table = minigrad.randn(4, 3)
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    assert minigrad.equal(layer(minigrad.tensor([2, 0])), table[[2, 0]])
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match=r"2 axes \(rows, length\), got shape \(3,\)"):
        nn.Embedding.from_pretrained(minigrad.ones(3))


def test_embedding_says_what_it_cannot_do():
    with pytest.raises(NotImplementedError, match="max_norm is not in minigrad"):
        nn.Embedding(3, 2, max_norm=1.0)
    with pytest.raises(NotImplementedError, match="sparse=True"):
        nn.Embedding(3, 2, sparse=True)
    with pytest.raises(NotImplementedError, match="scale_grad_by_freq=True"):
        nn.Embedding.from_pretrained(minigrad.ones(3, 2), scale_grad_by_freq=True)
    with pytest.raises(ValueError, match="padding_idx 3 is outside the table of 3 rows"):
        nn.Embedding(3, 2, padding_idx=3)
    with pytest.raises(ValueError, match="embedding_dim must be"):
        nn.Embedding(3, 2.5)
