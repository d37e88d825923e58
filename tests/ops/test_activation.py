"""Activations, softmax and dropout against PyTorch."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from op_suite import Case, OpSuite, agree, away, given, real, torch

import minigrad
import minigrad.nn.functional as F
from minigrad.errors import DtypeError, ShapeError


def functional(name: str, *args: Any, **options: Any) -> Any:
    return lambda lib, *xs: getattr(lib.nn.functional, name)(*xs, *args, **options)


def swish(lib: Any, x: Any, beta: Any) -> Any:
    return x * lib.sigmoid(beta * x) if lib is torch else lib.nn.functional.swish(x, beta)


# fmt: off
ACTIVATIONS = {
    "relu": (away, functional("relu")),
    "leaky_relu": (away, functional("leaky_relu")),
    "leaky_relu 0.2": (away, functional("leaky_relu", 0.2)),
    "elu": (away, functional("elu")),
    "elu 1.5": (away, functional("elu", alpha=1.5)),
    "sigmoid": (real, functional("sigmoid")),
    "silu": (real, functional("silu")),
    "gelu": (real, functional("gelu")),
    "gelu tanh": (real, functional("gelu", approximate="tanh")),
    "softplus": (real, functional("softplus")),
    "softplus beta threshold": (lambda *s: away(*s, kinks=(0.5,)), functional("softplus", beta=2.0, threshold=1.0)),
    "hardswish": (lambda *s: away(*s, kinks=(-3.0, 3.0), scale=4.0), functional("hardswish")),
    "hardtanh": (lambda *s: away(*s, kinks=(-1.0, 1.0)), functional("hardtanh")),
    "hardtanh bounds": (lambda *s: away(*s, kinks=(-0.5, 2.0)), functional("hardtanh", -0.5, 2.0)),
    "hardsigmoid": (lambda *s: away(*s, kinks=(-3.0, 3.0), scale=4.0), functional("hardsigmoid")),
    "relu6": (lambda *s: away(*s, kinks=(0.0, 6.0), scale=5.0), functional("relu6")),
    "logsigmoid": (real, functional("logsigmoid")),
    "tanh": (real, functional("tanh")),
}


class TestActivations(OpSuite):
    cases = [
        # PyTorch computes hardsigmoid's slope with a float32 1/6 even for float64
        Case(f"{name} {shape}", call, [make(*shape)], rtol=1e-5, atol=2e-6, large=[make(70, 67)] if shape else None, second=not name.startswith("hardsigmoid"))
        for name, (make, call) in ACTIVATIONS.items() for shape in [(3, 4), ()] if name != "hardsigmoid"
    ] + [
        Case("swish, number", lambda lib, x: swish(lib, x, 1.7), [real(3, 4)], large=[real(70, 67)]),
        Case("swish, beta 1", lambda lib, x: swish(lib, x, 1.0), [real(3, 4)]),
        Case("swish, trained beta", swish, [real(3, 4), given(0.7)], large=[real(70, 67), given(0.7)], rtol=1e-4, atol=1e-4),
        Case("swish, beta per channel", swish, [real(2, 3, 4), real(3, 1)]),
        Case("swish, beta larger than x", swish, [real(4), real(3, 1)]),
        Case("prelu", functional("prelu"), [away(2, 3, 4), given([0.25])]),
        Case("prelu per channel", functional("prelu"), [away(2, 3, 4), real(3)]),
        Case("prelu of a matrix", functional("prelu"), [away(2, 3), real(3)]),
        Case("glu", functional("glu"), [real(3, 4)], empty=False),
        Case("glu dim=0", functional("glu", dim=0), [real(6, 4)], empty=False),
    ] + [
        Case(f"{name} {shape} dim={dim}", functional(name, dim=dim), [real(*shape)], atol=2e-6, empty=False)
        for name in ("softmax", "log_softmax") for shape, dim in [((3, 4), 1), ((3, 4), 0), ((3, 4), -1), ((2, 3, 4), 1), ((2, 3, 4), -1), ((5,), 0), ((), 0), ((3, 1), 1)]
    ] + [
        Case(f"{name} large", functional(name, dim=-1), [real(3, 4)], large=[real(60, 11)], atol=2e-6, empty=False) for name in ("softmax", "log_softmax")
    ] + [
        Case("softmax method", lambda lib, x: x.softmax(dim=1), [real(3, 4)], empty=False),
        Case("softmax dtype", lambda lib, x: lib.softmax(x, 1, dtype=lib.float64), [real(3, 4)], empty=False),
        Case("log_softmax method", lambda lib, x: lib.log_softmax(x, dim=0), [real(3, 4)], empty=False),
        Case("softmax with -inf", functional("softmax", dim=1), [given([[1.0, -math.inf, 2.0], [-math.inf, 0.0, -math.inf]])], smooth=False),
        Case("log_softmax with -inf", functional("log_softmax", dim=1), [given([[1.0, -math.inf, 2.0], [3.0, 0.0, -math.inf]])], smooth=False),
        Case("softmax of large numbers", functional("softmax", dim=1), [given([[1e4, 1e4 - 1, -1e4], [700.0, -700.0, 0.0]])], smooth=False),
        Case("log_softmax of large numbers", functional("log_softmax", dim=1), [given([[1e4, 1e4 - 1, -1e4], [700.0, -700.0, 0.0]])], smooth=False),
        Case("dropout 0", functional("dropout", 0.0), [real(3, 4)]),
        Case("dropout outside training", functional("dropout", 0.7, training=False), [real(3, 4)]),
        Case("dropout 1", functional("dropout", 1.0), [real(3, 4)], smooth=False),
    ]
# fmt: on


KINKS = [-3.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, 6.0]


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "hardsigmoid"])
def test_slopes_at_the_kinks_are_pytorchs(name: str) -> None:
    agree(lambda lib, x: ACTIVATIONS[name][1](lib, x), given(KINKS))


def test_hardsigmoid() -> None:
    # PyTorch's own slope for float64 is a float32 1/6
    agree(lambda lib, x: lib.nn.functional.hardsigmoid(x), given([-4.0, *KINKS]), rtol=1e-7, atol=1e-7)


def test_prelu_at_zero() -> None:
    agree(lambda lib, x, w: lib.nn.functional.prelu(x, w), given([[0.0, -1.0], [2.0, 0.0]]), given([0.25]))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "silu", "hardswish", "hardtanh", "relu6", "dropout"])
def test_in_place_forms(name: str) -> None:
    options = {"p": 0.0} if name == "dropout" else {}
    x = minigrad.tensor(KINKS, requires_grad=True)
    y = x * 1.0
    z = getattr(F, name)(y, inplace=True, **options)
    assert z is y
    z.backward(minigrad.arange(1.0, 9.0))
    w = minigrad.tensor(KINKS, requires_grad=True)
    v = getattr(F, name)(w, **options)
    v.backward(minigrad.arange(1.0, 9.0))
    assert z.tolist() == v.tolist()
    assert x.grad.tolist() == w.grad.tolist()


def test_integers_become_floats_or_stay() -> None:
    x = minigrad.tensor([-1, 0, 2])
    assert F.relu(x).tolist() == [0, 0, 2]
    assert F.relu(x).dtype == minigrad.int64
    assert F.sigmoid(x).dtype == minigrad.float32
    with pytest.raises(DtypeError, match="dropout"):
        F.dropout(x)


def test_refusals() -> None:
    x = minigrad.ones(2, 3)
    with pytest.raises(TypeError, match="softmax: dim is missing"):
        F.softmax(x)
    with pytest.raises(IndexError, match="log_softmax: dim 2"):
        F.log_softmax(x, 2)
    with pytest.raises(ValueError, match="approximate"):
        F.gelu(x, "erf")
    with pytest.raises(ShapeError, match="odd size"):
        F.glu(x)
    with pytest.raises(ShapeError, match="prelu"):
        F.prelu(x, minigrad.ones(2))
    with pytest.raises(TypeError, match="relu: input must be a Tensor"):
        F.relu([1.0])
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            F.dropout(x, p)


def test_dropout_drops_its_share_and_keeps_the_expectation() -> None:
    for kind in (minigrad.float32, minigrad.float64, minigrad.float16):
        minigrad.manual_seed(0)
        x = minigrad.ones(200, 300, dtype=kind, requires_grad=True)
        y = F.dropout(x, 0.3)
        values = y.detach().numpy()
        assert y.dtype == kind
        assert abs((values == 0).mean() - 0.3) < 0.01
        np.testing.assert_allclose(values[values != 0], 1 / 0.7, rtol=1e-3)
        g = np.random.default_rng(0).standard_normal(x.shape).astype(values.dtype)
        y.backward(minigrad.tensor(g))
        np.testing.assert_allclose(x.grad.numpy(), g * values, rtol=1e-3, atol=1e-6)


def test_dropout_repeats_with_the_seed() -> None:
    x = minigrad.ones(50)
    minigrad.manual_seed(3)
    a, b = F.dropout(x), F.dropout(x)
    minigrad.manual_seed(3)
    assert F.dropout(x).tolist() == a.tolist()
    assert a.tolist() != b.tolist()


def test_dropout_can_be_differentiated_twice() -> None:
    x = minigrad.tensor([1.0, 2.0, 3.0], dtype=minigrad.float64, requires_grad=True)
    minigrad.manual_seed(0)
    y = F.dropout(x * x, 0.5)
    (g,) = minigrad.autograd.grad(y, x, minigrad.ones(3, dtype=minigrad.float64), create_graph=True)
    (h,) = minigrad.autograd.grad(g, x, minigrad.ones(3, dtype=minigrad.float64))
    np.testing.assert_allclose(h.numpy(), 2 * (y.detach() / (x.detach() * x.detach())).numpy())
