"""The tensor's own side: attributes, conversion, Python's protocols, NumPy."""

from __future__ import annotations

import copy
import math
import operator
import pickle
from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad.errors import DtypeError, GraphError, ShapeError


def name_of(t: Any) -> str:
    return str(t.dtype).split(".")[-1]


def test_attributes() -> None:
    t = minigrad.zeros(2, 3, 4, dtype=minigrad.float64)
    want = torch.zeros(2, 3, 4, dtype=torch.float64)
    assert tuple(t.shape) == t.size() == (2, 3, 4)
    assert (t.ndim, t.dim(), t.numel(), t.nelement(), len(t)) == (3, 3, 24, 24, 2)
    assert (t.size(1), t.size(-1), t.stride(), t.stride(0)) == (3, 4, want.stride(), want.stride(0))
    assert (t.itemsize, t.element_size(), t.nbytes) == (8, 8, 192)
    assert t.transpose(0, 1).stride() == want.transpose(0, 1).stride()
    assert t.is_contiguous()
    assert not t.transpose(0, 1).is_contiguous()
    assert t.is_floating_point()
    assert not t.long().is_floating_point()
    assert t.device.type == "cpu"
    assert str(t.device) == "cpu"
    assert not t.is_cuda
    assert t.shape.numel() == 24
    assert isinstance(t.shape, tuple)
    assert t.T.shape == (4, 3, 2)
    assert t.mT.shape == (2, 4, 3)
    with pytest.raises(ShapeError, match="mT"):
        _ = minigrad.ones(2).mT


def test_numbers_out_of_tensors() -> None:
    for value in (3, 2.5, True):
        t = minigrad.tensor(value)
        assert t.item() == value
        assert type(t.item()) is type(value)
        assert bool(t) is True
        assert float(t) == float(value)
        assert int(t) == int(value)
    assert minigrad.tensor([[2.0]]).item() == 2.0
    assert minigrad.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert minigrad.tensor(2.0).tolist() == 2.0
    assert [1, 2, 3][minigrad.tensor(1)] == 2
    assert list(range(minigrad.tensor(3))) == [0, 1, 2]
    assert math.sqrt(minigrad.tensor(4.0)) == 2.0
    with pytest.raises(ShapeError, match=r"item.*\(2,\)"):
        minigrad.ones(2).item()
    with pytest.raises(ShapeError, match=r"ambiguous.*any"):
        bool(minigrad.ones(2))
    with pytest.raises(TypeError, match="index"):
        [1, 2][minigrad.tensor(1.0)]
    with pytest.raises(TypeError, match="no length"):
        len(minigrad.tensor(1.0))
    with pytest.raises(TypeError, match="iterated"):
        iter(minigrad.tensor(1.0))


def test_containers() -> None:
    t = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert [row.tolist() for row in t] == [[1.0, 2.0], [3.0, 4.0]]
    a, b = t
    assert b.tolist() == [3.0, 4.0]
    assert 3.0 in t
    assert 5.0 not in t
    assert sum(t).tolist() == [4.0, 6.0]
    assert max(minigrad.tensor([1, 5, 3])).item() == 5
    assert sorted(minigrad.tensor([3, 1, 2]))[0].item() == 1
    assert len({t, a, t}) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.to("float64"), lambda t: t.double(), lambda t: t.half(), lambda t: t.long(), lambda t: t.int(),
        lambda t: t.bool(), lambda t: t.float(), lambda t: t.to(t.dtype), lambda t: t.type_as(t.double()),
        lambda t: t.to(t.long()), lambda t: t.to("cpu", dtype=t.double().dtype), lambda t: t.cpu(),
    ],
)  # fmt: skip
def test_conversions(call: Any) -> None:
    got = call(minigrad.tensor([0.5, 2.0]))
    try:
        want = call(torch.tensor([0.5, 2.0]))
    except (TypeError, RuntimeError):
        return  # a dtype's name is NumPy's spelling
    assert name_of(got) == name_of(want)
    assert got.tolist() == want.tolist()


def test_to_returns_itself_if_nothing_changes() -> None:
    t = minigrad.ones(2)
    assert t.to(minigrad.float32) is t
    assert t.to("cpu") is t
    assert t.float() is t
    assert t.contiguous() is t
    assert t.to(minigrad.float32, copy=True) is not t
    assert t.type() == "minigrad.float32"
    assert t.type(minigrad.int64).dtype == minigrad.int64
    with pytest.raises(TypeError, match="unknown argument"):
        t.to(kind=minigrad.float32)


# --- leaves and copies -----------------------------------------------------------------------------------------------


def test_detach_and_data_show_the_memory() -> None:
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    for y in (x.detach(), x.data):
        assert not y.requires_grad
        assert y.data_ptr() == x.data_ptr()
    x.data = minigrad.tensor([5.0, 6.0])
    assert x.tolist() == [5.0, 6.0]
    assert x.requires_grad
    with pytest.raises(DtypeError, match="data"):
        x.data = minigrad.tensor([1])
    with pytest.raises(TypeError, match="data"):
        x.data = [1.0]


def test_requires_grad() -> None:
    x = minigrad.ones(2)
    assert not x.requires_grad
    x.requires_grad = True
    y = x * 2
    assert y.requires_grad
    with pytest.raises(GraphError, match="detach"):
        y.requires_grad_(False)
    assert not x.requires_grad_(False).requires_grad
    assert y.grad_fn is not None


def test_grad_can_be_set_and_is_checked() -> None:
    x = minigrad.ones(2, requires_grad=True)
    x.grad = minigrad.tensor([1.0, 2.0])
    (x * 1).backward(minigrad.ones(2))
    assert x.grad.tolist() == [2.0, 3.0]
    with pytest.raises(ShapeError, match="grad"):
        x.grad = minigrad.ones(3)
    with pytest.raises(TypeError, match="grad"):
        x.grad = np.ones(2)  # type: ignore[assignment]
    x.grad = None
    assert x.grad is None


def test_copies() -> None:
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    (x * 3).backward(minigrad.ones(2))
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), copy.deepcopy([x])[0]):
        assert twin.tolist() == [1.0, 2.0]
        assert twin.requires_grad
        assert twin.is_leaf
        assert twin.data_ptr() != x.data_ptr()
        assert twin._array.dtype is np.dtype(np.float32)
    assert copy.deepcopy(x).grad.tolist() == [3.0, 3.0]
    shared = copy.deepcopy([x, x])
    assert shared[0] is shared[1]
    with pytest.raises(GraphError, match="detach"):
        copy.deepcopy(x * 2)
    with pytest.raises(GraphError, match="detach"):
        pickle.dumps(x * 2)
    y = x.clone()
    y.backward(minigrad.ones(2))
    assert y.data_ptr() != x.data_ptr()


def test_unknown_names_fail_by_name() -> None:
    with pytest.raises(AttributeError, match=r"cholesky"):
        minigrad.ones(2).cholesky()
    with pytest.raises(AttributeError, match="fft"):
        _ = minigrad.fft
    assert not hasattr(minigrad.ones(2), "nonsense")
    assert minigrad.is_tensor(minigrad.ones(1))
    assert not minigrad.is_tensor(np.ones(1))
    assert minigrad.numel(minigrad.ones(2, 3)) == 6


# --- operators, both ways round --------------------------------------------------------------------------------------

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]
OPERATORS += [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("op", OPERATORS, ids=lambda f: f.__name__)
def test_operators_with_numbers_arrays_and_tensors(op: Any) -> None:
    a, b = np.array([1.5, 2.0, 4.0]), np.array([2.0, 3.0, 0.5])
    t, u = minigrad.tensor(a), minigrad.tensor(b)
    want = op(a, b)
    for left, right in [(t, u), (t, b), (a, u)]:
        y = op(left, right)
        assert isinstance(y, minigrad.Tensor)
        np.testing.assert_allclose(y.numpy(), want)
    for left, right, expected in [(t, 2.0, op(a, 2.0)), (2.0, t, op(2.0, a)), (t, 3, op(a, 3)), (3, t, op(3, a))]:
        np.testing.assert_allclose(op(left, right).numpy(), expected)
        np.testing.assert_allclose(op(left, right).numpy(), expected)
    for left, right in [(t, np.float64(2.0)), (np.float64(2.0), t), (t, np.array(2.0)), (np.array(2.0), t)]:
        y = op(left, right)
        assert isinstance(y, minigrad.Tensor)
        assert y.shape == (3,)


def test_operators_reach_through_arrays_to_gradients() -> None:
    a = np.array([1.0, 2.0, 3.0])
    x = minigrad.tensor([2.0, 3.0, 4.0], dtype=minigrad.float64, requires_grad=True)
    (a * x + a / x - (a - x) + np.float64(2) * x).backward(minigrad.tensor([1.0, 2.0, 3.0], dtype=minigrad.float64))
    g = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(x.grad.numpy(), g * (a - a / np.array([4.0, 9.0, 16.0]) + 1 + 2))


def test_operators_refuse_what_is_no_number() -> None:
    t = minigrad.ones(2)
    for other in ("a", None, [1.0, 2.0], {}, object()):
        for op in (
            operator.add,
            operator.sub,
            operator.mul,
            operator.truediv,
            operator.pow,
            operator.lt,
            operator.matmul,
        ):
            with pytest.raises(TypeError):
                op(t, other)
            with pytest.raises(TypeError):
                op(other, t)


# --- NumPy -----------------------------------------------------------------------------------------------------------


def test_numpy_shares_memory() -> None:
    t = minigrad.zeros(3)
    a = t.numpy()
    a[0] = 5.0
    assert t.tolist() == [5.0, 0.0, 0.0]
    assert np.asarray(t) is a or np.shares_memory(np.asarray(t), a)
    assert np.array(t) is not a
    assert not np.shares_memory(np.array(t), a)
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    x = minigrad.ones(2, requires_grad=True)
    for ask in (x.numpy, lambda: np.asarray(x)):
        with pytest.raises(GraphError, match=r"detach\(\)"):
            ask()
    assert x.numpy(force=True).tolist() == [1.0, 1.0]
    assert np.asarray([minigrad.tensor(1.0), minigrad.tensor(2.0)]).tolist() == [1.0, 2.0]


UFUNCS = ["exp", "log", "sqrt", "sin", "cos", "tan", "tanh", "abs", "negative", "square", "sign", "floor", "log1p"]
UFUNCS += ["expm1", "log2", "log10", "reciprocal", "ceil", "trunc", "rint", "isnan", "isfinite", "logical_not"]


@pytest.mark.parametrize("name", UFUNCS)
def test_numpys_functions_are_ours(name: str) -> None:
    a = np.array([0.3, 1.7, 2.5])
    t = minigrad.tensor(a, requires_grad=True)
    y = getattr(np, name)(t)
    assert isinstance(y, minigrad.Tensor)
    np.testing.assert_allclose(y.detach().numpy(), getattr(np, name)(a), rtol=1e-12)
    if y.dtype == minigrad.float64:
        assert y.requires_grad


@pytest.mark.parametrize(
    "name", ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "matmul", "greater"]
)
def test_numpys_functions_of_two(name: str) -> None:
    a, b = np.array([0.3, 1.7, 2.5]), np.array([2.0, 0.5, 1.5])
    x = minigrad.tensor(b, requires_grad=True)
    for y in (getattr(np, name)(a, x), getattr(np, name)(minigrad.tensor(a), x)):
        assert isinstance(y, minigrad.Tensor)
        np.testing.assert_allclose(y.detach().numpy(), getattr(np, name)(a, b), rtol=1e-12)
    if name in ("maximum", "minimum"):
        for y in (getattr(np, name)(x, 1.0), getattr(np, name)(1.0, x)):
            np.testing.assert_allclose(y.detach().numpy(), getattr(np, name)(b, 1.0))


def test_the_rest_of_numpy_gets_arrays() -> None:
    t = minigrad.tensor([0.5, 0.2])
    np.testing.assert_allclose(np.arcsin(t), np.arcsin(t.numpy()))
    np.testing.assert_allclose(np.add.reduce(t), 0.7, rtol=1e-6)
    out = np.zeros(2, dtype=np.float32)
    np.add(t, 1.0, out=out)
    np.testing.assert_allclose(out, [1.5, 1.2])
    a = np.ones(2)
    a += minigrad.tensor([1.0, 2.0], dtype=minigrad.float64)
    assert a.tolist() == [2.0, 3.0]
    np.testing.assert_allclose(np.concatenate([t, t]), [0.5, 0.2, 0.5, 0.2])
    np.testing.assert_allclose(t, [0.5, 0.2])
    with pytest.raises(GraphError, match="detach"):
        np.arcsin(minigrad.ones(2, requires_grad=True))
