"""Constructors that have the dtype in their names, against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad

DTYPES = {
    "FloatTensor": "float32",
    "DoubleTensor": "float64",
    "HalfTensor": "float16",
    "ByteTensor": "uint8",
    "CharTensor": "int8",
    "ShortTensor": "int16",
    "IntTensor": "int32",
    "LongTensor": "int64",
    "BoolTensor": "bool",
}


@pytest.mark.parametrize(("name", "dtype"), DTYPES.items())
def test_data_becomes_the_dtype_of_the_name(name: str, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    for data in ([1, 2, 0], [[1.75], [0.0]], range(3), (2, 3), np.arange(4.0), np.array([1, 2], np.int32)):
        ours, theirs = getattr(minigrad, name)(data), getattr(torch, name)(data)
        assert ours.dtype == getattr(minigrad, dtype)
        assert ours.tolist() == theirs.tolist()
    maker = getattr(minigrad, name)
    assert isinstance(ours, maker)
    assert not isinstance(ours, minigrad.FloatTensor if name != "FloatTensor" else minigrad.LongTensor)
    assert minigrad.ones(2).type(maker).dtype == getattr(minigrad, dtype)
    assert repr(maker) == f"<class 'minigrad.{name}'>"


def test_whole_numbers_and_sizes_give_a_tensor_without_values() -> None:
    assert minigrad.FloatTensor(2, 3).shape == (2, 3)
    assert minigrad.LongTensor(4).shape == (4,)
    assert minigrad.LongTensor(minigrad.zeros(2, 5).size()).shape == (2, 5)
    assert minigrad.BoolTensor().shape == (0,)


def test_a_tensor_of_the_same_dtype_is_taken_and_another_refused() -> None:
    x = minigrad.ones(3, requires_grad=True)
    taken = minigrad.FloatTensor(x)
    assert not taken.requires_grad
    assert taken.tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match=r"LongTensor: the tensor has dtype minigrad\.float32; .* data\.to\(minigrad"):
        minigrad.LongTensor(x)
