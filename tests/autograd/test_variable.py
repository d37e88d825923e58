"""``Variable(tensor)``, the way into the graph before PyTorch 0.4, which old programs still take."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad.autograd import Variable


def test_it_gives_a_leaf_with_the_same_memory() -> None:
    x = minigrad.ones(3, requires_grad=True)
    leaf = Variable(x * 2)
    assert isinstance(leaf, minigrad.Tensor)
    assert leaf.is_leaf
    assert not leaf.requires_grad
    data = minigrad.zeros(2)
    leaf = Variable(data, requires_grad=True)
    upstream = minigrad.randn(2)
    (leaf * 3).backward(upstream)
    np.testing.assert_array_equal(leaf.grad.numpy(), 3 * upstream.numpy())
    assert not data.requires_grad
    data.fill_(4)
    assert leaf.tolist() == [4, 4]
    assert isinstance(data, Variable)


def test_what_is_no_tensor_is_refused_and_volatile_warned_of() -> None:
    with pytest.raises(TypeError, match=r"data must be a Tensor, got list; make one: minigrad.tensor\(data\)"):
        Variable([1.0])
    with pytest.warns(UserWarning, match="volatile has no effect"):
        assert Variable(minigrad.ones(1), volatile=True).tolist() == [1]
