"""Making tensors: values, dtypes and memory as in PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad.errors import DeviceError, DtypeError, ShapeError


def name_of(t: Any) -> str:
    return str(t.dtype).split(".")[-1]


def same(call: Any) -> None:
    got, want = call(minigrad), call(torch)
    assert name_of(got) == name_of(want)
    assert tuple(got.shape) == tuple(want.shape)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6)


DATA: dict[str, Any] = {
    "int": 3,
    "float": 2.5,
    "bool": True,
    "ints": [1, 2, 3],
    "floats": [1.0, 2.5],
    "bools": [True, False],
    "mixed": [1, 2.5],
    "bool and int": [True, 2],
    "nested": [[1, 2], [3, 4]],
    "tuples": ((1.0, 2.0), (3.0, 4.0)),
    "empty": [],
    "empty row": [[]],
    "empty rows": [[], []],
    "special": [math.inf, -math.inf],
    "numpy float64": np.float64(1.5),
    "numpy int32": np.int32(7),
    "list of float64": [np.float64(1.5), np.float64(2.5)],
    "list of float32": [np.float32(1.5)],
    "list of int32": [np.int32(1)],
    "float64 array": np.arange(6.0).reshape(2, 3),
    "int16 array": np.arange(3, dtype=np.int16),
    "bool array": np.array([True, False]),
    "array without axes": np.array(2.0),
    "transposed array": np.arange(6.0).reshape(2, 3).T,
    "list of arrays": [np.arange(2.0)],
    "range": range(4),
    "large int": 2**40,
}


@pytest.mark.parametrize("name", DATA)
def test_tensor(name: str) -> None:
    same(lambda lib: lib.tensor(DATA[name]))
    if name not in ("special", "large int", "list of float32", "list of float64"):
        same(lambda lib: lib.tensor(DATA[name], dtype=lib.int32))
    same(lambda lib: lib.tensor(DATA[name], dtype=lib.float64))


def test_tensor_of_tensors() -> None:
    t = minigrad.tensor([minigrad.tensor(1.0), minigrad.tensor(2.0)])
    assert t.tolist() == [1.0, 2.0]
    u = minigrad.tensor(t)
    u[0] = 9.0
    assert t.tolist() == [1.0, 2.0]


def test_tensor_copies_and_from_numpy_shares() -> None:
    a = np.zeros(3)
    copied, shared, as_is = minigrad.tensor(a), minigrad.from_numpy(a), minigrad.as_tensor(a)
    a[0] = 5.0
    assert copied.tolist() == [0.0, 0.0, 0.0]
    assert shared.tolist() == as_is.tolist() == [5.0, 0.0, 0.0]
    assert minigrad.as_tensor(shared) is shared
    assert minigrad.as_tensor(a, dtype=minigrad.float32).dtype == minigrad.float32
    assert minigrad.as_tensor([1, 2]).dtype == minigrad.int64


def test_the_tensor_class() -> None:
    assert minigrad.Tensor([1, 2]).dtype == minigrad.float32
    assert minigrad.Tensor([[1.0]]).shape == (1, 1)
    assert minigrad.Tensor(2, 3).shape == (2, 3)
    assert minigrad.Tensor().shape == (0,)
    with pytest.raises(TypeError, match="requires_grad"):
        minigrad.Tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="one sequence"):
        minigrad.Tensor([1.0], [2.0])


@pytest.mark.parametrize(
    "call",
    [
        lambda lib: lib.zeros(2, 3),
        lambda lib: lib.zeros((2, 3)),
        lambda lib: lib.zeros(()),
        lambda lib: lib.zeros(0, 3),
        lambda lib: lib.ones([2], dtype=lib.int64),
        lambda lib: lib.ones(2, dtype=lib.bool),
        lambda lib: lib.full((2, 2), 7),
        lambda lib: lib.full((2,), 2.5),
        lambda lib: lib.full((2,), True),
        lambda lib: lib.full((), 1.0, dtype=lib.float64),
        lambda lib: lib.zeros_like(lib.ones(2, 3, dtype=lib.int32)),
        lambda lib: lib.ones_like(lib.ones(2), dtype=lib.float64),
        lambda lib: lib.full_like(lib.ones(2, dtype=lib.float64), 3),
        lambda lib: lib.empty(2, 3) * 0 if lib is torch else lib.zeros(2, 3),
        lambda lib: lib.arange(5),
        lambda lib: lib.arange(5.0),
        lambda lib: lib.arange(2, 9, 3),
        lambda lib: lib.arange(9, 2, -3),
        lambda lib: lib.arange(0, 1, 0.1),
        lambda lib: lib.arange(1, 2, 0.3, dtype=lib.float64),
        lambda lib: lib.arange(3, dtype=lib.float32),
        lambda lib: lib.arange(0),
        lambda lib: lib.arange(2, 2),
        lambda lib: lib.arange(-3, 3),
        lambda lib: lib.linspace(0, 1, 5),
        lambda lib: lib.linspace(-2, 3, 7, dtype=lib.float64),
        lambda lib: lib.linspace(1, 2, 1),
        lambda lib: lib.linspace(1, 2, 0),
        lambda lib: lib.eye(3),
        lambda lib: lib.eye(2, 4, dtype=lib.int64),
        lambda lib: lib.meshgrid(lib.arange(3), lib.arange(2), indexing="ij")[1],
        lambda lib: lib.meshgrid(lib.arange(3), lib.arange(2), indexing="xy")[0],
        lambda lib: lib.ones(2).new_zeros(2, 3),
        lambda lib: lib.ones(2, dtype=lib.int32).new_full((2,), 3),
        lambda lib: lib.ones(2, dtype=lib.float64).new_tensor([1, 2]),
        lambda lib: lib.ones(2, dtype=lib.float64).new_ones((1,)),
        lambda lib: lib.tril(lib.ones(3, 3)) + lib.triu(lib.ones(3, 3), 1),
    ],
)
def test_makers(call: Any) -> None:
    same(call)


def test_makers_of_leaves() -> None:
    for t in (
        minigrad.zeros(2, requires_grad=True),
        minigrad.ones(2, requires_grad=True),
        minigrad.full((2,), 1.0, requires_grad=True),
        minigrad.randn(2, requires_grad=True),
        minigrad.rand(2, requires_grad=True),
        minigrad.arange(2.0, requires_grad=True),
        minigrad.linspace(0, 1, 2, requires_grad=True),
        minigrad.eye(2, requires_grad=True),
        minigrad.tensor([1.0], requires_grad=True),
        minigrad.zeros_like(minigrad.ones(2), requires_grad=True),
    ):
        assert t.requires_grad
        assert t.is_leaf


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2)])
def test_dlpack_both_ways(shape: tuple[int, ...]) -> None:
    for kind in ("float32", "float64", "int64", "uint8", "bool"):
        theirs = torch.ones(shape, dtype=getattr(torch, kind))
        ours = minigrad.from_dlpack(theirs)
        assert name_of(ours) == kind
        assert ours.tolist() == theirs.tolist()
        back = torch.from_dlpack(ours)
        assert back.dtype == theirs.dtype
        assert torch.equal(back, theirs)
    x = torch.zeros(3)
    y = minigrad.from_dlpack(x)
    y += 1
    assert x.tolist() == [1.0, 1.0, 1.0]
    z = torch.from_dlpack(y.T if y.ndim > 1 else y[::2])
    z += 1
    assert y.tolist() == [2.0, 1.0, 2.0]
    with pytest.raises(RuntimeError, match="detach"):
        torch.from_dlpack(minigrad.ones(2, requires_grad=True))
    assert minigrad.from_dlpack(np.arange(3)).tolist() == [0, 1, 2]


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="one length each"):
        minigrad.tensor([[1, 2], [3]])
    for data in ("text", ["a"], [object()], 1j, [None], {1: 2}):
        with pytest.raises((DtypeError, TypeError), match="tensor: data must be numbers"):
            minigrad.tensor(data)
    for data in (2**63, [2**70], -(2**63) - 1):
        with pytest.raises((DtypeError, OverflowError), match=r"int64|numbers"):
            minigrad.tensor(data)
    with pytest.raises(TypeError, match="from_numpy"):
        minigrad.from_numpy([1.0])
    with pytest.raises(DtypeError, match="byte order"):
        minigrad.from_numpy(np.zeros(2, dtype=">f4"))
    with pytest.raises(DtypeError):
        minigrad.from_numpy(np.zeros(2, dtype=complex))
    with pytest.raises(ShapeError, match="negative"):
        minigrad.zeros(-1)
    with pytest.raises(TypeError, match="sizes must be integers"):
        minigrad.zeros(2.5)
    with pytest.raises(ValueError, match="step must not be 0"):
        minigrad.arange(0, 1, 0)
    with pytest.raises(ValueError, match="wrong way"):
        minigrad.arange(5, 0)
    with pytest.raises(DeviceError, match="'tpu' is not a device"):
        minigrad.zeros(2, device="tpu")
    with pytest.raises(ValueError, match="indexing"):
        minigrad.meshgrid(minigrad.ones(2), indexing="yx")
