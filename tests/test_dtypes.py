"""Which dtype comes out: promotion against PyTorch for every pair, Python scalars, and what cannot be a gradient."""

from __future__ import annotations

import copy
import operator
import pickle
from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad.errors import DtypeError

NAMES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
FLOATS = NAMES[-3:]


def of(lib: Any, name: str, shape: tuple[int, ...] = (2,)) -> Any:
    return lib.ones(shape, dtype=getattr(lib, name))


def name_of(t: Any) -> str:
    return str(t.dtype).split(".")[-1]


@pytest.mark.parametrize("left", NAMES)
@pytest.mark.parametrize("right", NAMES)
def test_two_tensors(left: str, right: str) -> None:
    for a in ((2,), ()):
        for b in ((2,), ()):
            for op in (operator.add, operator.mul, operator.truediv, operator.eq):
                got, want = (op(of(lib, left, a), of(lib, right, b)) for lib in (minigrad, torch))
                assert name_of(got) == name_of(want), (op, a, b)
                assert got.tolist() == want.tolist()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scalar", [True, 2, 2.5], ids=["bool", "int", "float"])
def test_a_tensor_and_a_python_number(name: str, scalar: Any) -> None:
    ops: list[Any] = [operator.add, operator.mul, operator.truediv, operator.lt]
    if not (name == "bool" and scalar is True):
        ops += [operator.sub] if name != "bool" and scalar is not True else []
        ops += [operator.pow] if scalar is not True else []
    for shape in ((2,), ()):
        for op in ops:
            for swap in (False, True):
                results = []
                for lib in (minigrad, torch):
                    t = of(lib, name, shape)
                    results.append(op(scalar, t) if swap else op(t, scalar))
                got, want = results
                assert name_of(got) == name_of(want), (op, swap, shape)
                np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-3)


def test_a_python_number_never_widens_a_tensor() -> None:
    for name in FLOATS:
        x = of(minigrad, name).requires_grad_()
        y = ((x * 2.5 + 1) / 3 - 1e-3) ** 2 % 7
        y = y.clamp(0, 1.5).maximum(y * 0.5)
        y = minigrad.where(y > 0.1, y, 0.0)
        y.backward(of(minigrad, name))
        assert name_of(y) == name_of(x.grad) == name


def test_numpy_numbers_count_as_python_numbers() -> None:
    x = of(minigrad, "float32")
    for number in (np.float64(2.0), np.float32(2.0), np.int64(2), np.bool_(True)):
        assert name_of(x * number) == "float32"
        assert name_of(number * x) == "float32"
        assert isinstance(number * x, minigrad.Tensor)
        assert name_of(x + number) == name_of(number - x) == "float32"
    assert name_of(of(minigrad, "int32") * np.int64(2)) == "int32"


UNARY = ["exp", "log1p", "sqrt", "sin", "tanh", "sigmoid", "abs", "sign", "floor", "neg", "square", "erf", "expm1"]
UNARY += ["rsqrt", "reciprocal", "round", "relu"]


@pytest.mark.parametrize("op", UNARY)
@pytest.mark.parametrize("name", NAMES)
def test_functions_keep_floats_and_make_floats(op: str, name: str) -> None:
    try:
        want = getattr(torch, op)(of(torch, name))
    except (RuntimeError, TypeError):
        return
    got = getattr(minigrad, op)(of(minigrad, name))
    assert name_of(got) == name_of(want)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=2e-3)


@pytest.mark.parametrize(
    "op",
    ["relu", "leaky_relu", "elu", "silu", "gelu", "softplus", "hardswish", "sigmoid", "logsigmoid", "relu6", "tanh"],
)
@pytest.mark.parametrize("name", FLOATS)
def test_activations_and_their_gradients_keep_the_dtype(op: str, name: str) -> None:
    x = of(minigrad, name, (3, 4)).requires_grad_()
    y = getattr(minigrad.nn.functional, op)(x)
    y.backward(of(minigrad, name, (3, 4)))
    assert name_of(y) == name_of(x.grad) == name


@pytest.mark.parametrize("name", FLOATS)
def test_layers_losses_and_reductions_keep_the_dtype(name: str) -> None:
    F = minigrad.nn.functional
    x, w = of(minigrad, name, (3, 4)).requires_grad_(), of(minigrad, name, (5, 4)).requires_grad_()
    h = F.linear(x, w, of(minigrad, name, (5,)))
    t = minigrad.tensor([0, 1, 2])
    losses = [F.cross_entropy(h, t), F.mse_loss(h, h * 0.5), F.l1_loss(h, h * 0.5), F.huber_loss(h, h * 0.5)]
    losses += [F.binary_cross_entropy_with_logits(h, h.detach() * 0 + 0.5), F.nll_loss(F.log_softmax(h, 1), t)]
    parts = [h.sum(), h.mean(), h.var(), h.std(), h.max(), h.norm(), h.norm(3), h.logsumexp((0, 1)), h.softmax(1)[0, 0]]
    parts += [h.prod(), h.cumsum(0)[0, 0], h.sort(1).values[0, 0], F.softmax(h, 0).sum(), (h @ h.T).sum()]
    for y in losses + parts:
        assert name_of(y) == name
    total = sum(losses[1:], losses[0]) + sum(parts[1:], parts[0])
    total.backward()
    assert name_of(x.grad) == name_of(w.grad) == name


def test_integers_carry_no_gradient() -> None:
    for name in NAMES[:6]:
        with pytest.raises(DtypeError, match=rf"requires_grad.*{name}"):
            of(minigrad, name).requires_grad_()
        with pytest.raises(DtypeError, match="requires_grad=True"):
            minigrad.zeros(2, dtype=getattr(minigrad, name), requires_grad=True)
    x = of(minigrad, "float32").requires_grad_()
    assert not x.long().requires_grad
    with pytest.raises(DtypeError, match="float64"):
        x.grad = of(minigrad, "float64")


def test_conversion_is_part_of_the_graph() -> None:
    x = minigrad.tensor([1.0, 2.0], dtype=minigrad.float64, requires_grad=True)
    y = x.float().half().to(minigrad.float32) * 2
    y.backward(minigrad.tensor([1.0, 10.0]))
    assert name_of(x.grad) == "float64"
    assert x.grad.tolist() == [2.0, 20.0]
    assert x.to(minigrad.float64) is x
    assert x.double() is x


@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("target", NAMES)
def test_every_conversion(source: str, target: str) -> None:
    values = [0, 1, 3] if source != "bool" else [False, True, True]
    got, want = (lib.tensor(values, dtype=getattr(lib, source)).to(getattr(lib, target)) for lib in (minigrad, torch))
    assert name_of(got) == target
    assert got.tolist() == want.tolist()
    assert minigrad.dtypes.can_cast(source, target) == torch.can_cast(getattr(torch, source), getattr(torch, target))


def test_numbers_that_do_not_fit_wrap_or_compare_as_numbers() -> None:
    x = minigrad.tensor([3, 250], dtype=minigrad.uint8)
    assert (x + (-1)).tolist() == [2, 249]
    assert (x + 10).tolist() == [13, 4]
    assert (x > -1).tolist() == [True, True]
    assert (x < 300).tolist() == [True, True]
    assert (x == 506).tolist() == [False, False]


def test_the_default_dtype() -> None:
    assert minigrad.get_default_dtype() is minigrad.float32
    try:
        minigrad.set_default_dtype(minigrad.float64)
        assert minigrad.tensor([1.0]).dtype == minigrad.float64
        assert minigrad.zeros(2).dtype == minigrad.float64
        assert (minigrad.tensor([1]) * 0.5).dtype == minigrad.float64
        assert (minigrad.tensor([1]) / 2).dtype == minigrad.float64
        assert minigrad.tensor([1], dtype=float).dtype == minigrad.float64
        with pytest.raises(DtypeError, match="floating"):
            minigrad.set_default_dtype(minigrad.int64)
    finally:
        minigrad.set_default_dtype(minigrad.float32)
    assert minigrad.tensor([1.0]).dtype == minigrad.float32


def test_dtype_objects() -> None:
    assert minigrad.float is minigrad.float32
    assert minigrad.long is minigrad.int64
    assert minigrad.int is minigrad.int32
    assert minigrad.half is minigrad.float16
    assert repr(minigrad.float32) == "minigrad.float32"
    assert minigrad.float32 == np.float32
    assert minigrad.float32 == "float32"
    assert minigrad.float32 != minigrad.float64
    assert minigrad.float32 != "no such thing"
    assert minigrad.float32.is_floating_point
    assert not minigrad.int64.is_floating_point
    assert (minigrad.float16.itemsize, minigrad.int64.itemsize, minigrad.bool.itemsize) == (2, 8, 1)
    for name in NAMES:
        ours, theirs = getattr(minigrad, name), getattr(torch, name)
        assert (ours.is_signed, ours.is_complex) == (theirs.is_signed, theirs.is_complex)
        assert (ours.is_floating_point, ours.itemsize) == (theirs.is_floating_point, theirs.itemsize)
    assert copy.deepcopy(minigrad.int8) is minigrad.int8
    assert pickle.loads(pickle.dumps(minigrad.int8)) is minigrad.int8
    assert {minigrad.float32: 1}[minigrad.tensor([1.0]).dtype] == 1
    assert np.zeros(1, dtype=minigrad.float16).dtype == np.float16
    for unknown in (complex, "U5", object):
        with pytest.raises(DtypeError, match="has no element type"):
            minigrad.zeros(1, dtype=unknown)
