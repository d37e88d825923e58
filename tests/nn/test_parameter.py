"""Parameter: a tensor that stays itself, while what is computed from it does not."""

import copy
import pickle

import pytest

import minigrad
from minigrad import nn


def test_it_is_a_leaf_that_shares_memory():
    data = minigrad.randn(3)
    p = nn.Parameter(data)
    assert isinstance(p, minigrad.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    assert p._array is data._array
    assert not data.requires_grad
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert nn.Parameter().shape == (0,)


def test_what_is_computed_from_it_is_a_plain_tensor():
    p = nn.Parameter(minigrad.randn(3))
    for result in (p * 2, p + p, p.sum(), p.detach(), p.clone(), p[0], p.reshape(3, 1)):
        assert type(result) is minigrad.Tensor
    upstream = minigrad.randn(3)
    (p * 2).backward(upstream)
    assert type(p.grad) is minigrad.Tensor
    assert minigrad.equal(p.grad, 2 * upstream)


def test_it_may_be_made_of_a_computed_tensor():
    w = minigrad.randn(3, requires_grad=True)
    p = nn.Parameter(w * 2)
    assert p.is_leaf
    (p * 2).backward(minigrad.randn(3))
    assert p.grad is not None
    assert w.grad is None


def test_a_change_in_place_is_noticed_through_the_data_too():
    data = minigrad.randn(3)
    p = nn.Parameter(data)
    y = p.exp() * p
    data.zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(minigrad.randn(3))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_are_parameters(duplicate):
    p = nn.Parameter(minigrad.randn(3), requires_grad=False)
    twin = duplicate(p)
    assert type(twin) is nn.Parameter
    assert not twin.requires_grad
    assert minigrad.equal(twin, p)
    twin.zero_()
    assert not (p == 0).all()


def test_repr():
    assert repr(nn.Parameter(minigrad.ones(2))) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"


def test_bad_data_is_explained():
    with pytest.raises(TypeError, match="data must be a Tensor, got list"):
        nn.Parameter([1.0])
    with pytest.raises(TypeError, match="floating"):
        nn.Parameter(minigrad.tensor([1, 2]))
    assert nn.Parameter(minigrad.tensor([1, 2]), requires_grad=False).dtype == minigrad.int64
