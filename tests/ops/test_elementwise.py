"""Element-wise ops against PyTorch: arithmetic, functions of one variable, choices, comparisons."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from op_suite import Case, OpSuite, agree, away, between, distinct, given, mask, real, torch

import minigrad
from minigrad.errors import DtypeError, ShapeError

# Functions of one variable: name, what to feed it, name in the library where that differs.
UNARY: dict[str, tuple[Any, Any]] = {
    "exp": (real, lambda lib, x: lib.exp(x)),
    "expm1": (real, lambda lib, x: lib.expm1(x)),
    "log": (lambda *s: between(0.2, 3.0, *s), lambda lib, x: lib.log(x)),
    "log1p": (lambda *s: between(-0.7, 3.0, *s), lambda lib, x: lib.log1p(x)),
    "log2": (lambda *s: between(0.2, 3.0, *s), lambda lib, x: lib.log2(x)),
    "log10": (lambda *s: between(0.2, 3.0, *s), lambda lib, x: lib.log10(x)),
    "sqrt": (lambda *s: between(0.2, 3.0, *s), lambda lib, x: lib.sqrt(x)),
    "rsqrt": (lambda *s: between(0.2, 3.0, *s), lambda lib, x: lib.rsqrt(x)),
    "reciprocal": (lambda *s: away(*s, kinks=(0.0, 0.1, -0.1)), lambda lib, x: lib.reciprocal(x)),
    "square": (real, lambda lib, x: lib.square(x)),
    "sin": (real, lambda lib, x: lib.sin(x)),
    "cos": (real, lambda lib, x: lib.cos(x)),
    "tan": (lambda *s: between(-1.2, 1.2, *s), lambda lib, x: lib.tan(x)),
    "tanh": (real, lambda lib, x: lib.tanh(x)),
    "sigmoid": (real, lambda lib, x: lib.sigmoid(x)),
    "erf": (real, lambda lib, x: lib.erf(x)),
    "neg": (real, lambda lib, x: -x),
    "pos": (real, lambda lib, x: +x * 2.0),
    "abs": (away, lambda lib, x: abs(x)),
    "sign": (away, lambda lib, x: lib.sign(x)),
    "clone": (real, lambda lib, x: x.clone()),
    "floor": (lambda *s: away(*s, kinks=range(-9, 10)), lambda lib, x: lib.floor(x)),
    "ceil": (lambda *s: away(*s, kinks=range(-9, 10)), lambda lib, x: lib.ceil(x)),
    "trunc": (lambda *s: away(*s, kinks=range(-9, 10)), lambda lib, x: lib.trunc(x)),
    "round": (lambda *s: away(*s, kinks=np.arange(-9.5, 10.0)), lambda lib, x: lib.round(x)),
    "clamp": (lambda *s: away(*s, kinks=(-1.0, 0.5)), lambda lib, x: lib.clamp(x, -1.0, 0.5)),
    "clamp below": (lambda *s: away(*s, kinks=(-1.0,)), lambda lib, x: x.clamp(min=-1.0)),
    "clamp above": (lambda *s: away(*s, kinks=(1.0,)), lambda lib, x: x.clip(max=1.0)),
    "clamp crossed": (away, lambda lib, x: x.clamp(1.0, -1.0)),
    "pow 0": (real, lambda lib, x: x**0),
    "pow 1": (real, lambda lib, x: x**1),
    "pow 2": (real, lambda lib, x: x**2),
    "pow 3": (real, lambda lib, x: x**3),
    "pow -1": (lambda *s: between(0.3, 2.0, *s), lambda lib, x: x**-1),
    "pow 0.5": (lambda *s: between(0.3, 2.0, *s), lambda lib, x: lib.pow(x, 0.5)),
    "pow -1.5": (lambda *s: between(0.3, 2.0, *s), lambda lib, x: x.pow(-1.5)),
    "2 pow": (real, lambda lib, x: 2.0**x),
    "3 pow": (real, lambda lib, x: 3**x),
    "plus number": (real, lambda lib, x: x + 2),
    "number plus": (real, lambda lib, x: 2.5 + x),
    "minus number": (real, lambda lib, x: x - 2),
    "number minus": (real, lambda lib, x: 2 - x),
    "times number": (real, lambda lib, x: x * 3),
    "number times": (real, lambda lib, x: -1.5 * x),
    "by number": (real, lambda lib, x: x / 4),
    "number by": (lambda *s: away(*s, kinks=(0.0, 0.1, -0.1)), lambda lib, x: 3 / x),
    "mod number": (lambda *s: away(*s, kinks=np.arange(-12, 13) * 0.7), lambda lib, x: x % 0.7),
    "number mod": (lambda *s: between(1.1, 1.9, *s), lambda lib, x: lib.remainder(lib.full_like(x, 5.0), x)),
    "double": (real, lambda lib, x: x.double()),
    "where number": (away, lambda lib, x: lib.where(x > 0, x, -0.5)),
    "number where": (away, lambda lib, x: lib.where(x > 0, 2.0, x * x)),
    "masked_fill": (away, lambda lib, x: x.masked_fill(x > 0.5, -3.0)),
}

LOOSE = {
    "tan",
    "reciprocal",
    "2 pow",
    "3 pow",
    "pow -1.5",
    "log2",
    "log10",
}  # PyTorch's own float32 is off by more


# fmt: off
class TestFunctionsOfOneVariable(OpSuite):
    cases = [
        Case(
            f"{name} {shape}",
            call,
            [make(*shape)],
            rtol=2e-5 if name in LOOSE else 2e-6,
            atol=1e-5 if name in LOOSE else 1e-6,
            large=[make(97, 53)] if shape else None,
        )
        for name, (make, call) in UNARY.items()
        for shape in [(3, 4), ()]
    ]
# fmt: on


PAIRS = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (3, 4)), ((2, 1, 4), (3, 1)), ((), ())]

BINARY: dict[str, tuple[Any, Any, Any]] = {
    "add": (real, real, operator.add),
    "sub": (real, real, operator.sub),
    "mul": (real, real, operator.mul),
    "div": (real, lambda *s: away(*s, kinks=(0.0, 0.1, -0.1)), operator.truediv),
    "pow": (lambda *s: between(0.3, 2.0, *s), real, operator.pow),
    "mod": (lambda *s: between(3.1, 3.9, *s), lambda *s: between(2.0, 3.0, *s), operator.mod),
}


# fmt: off
class TestTwoOperands(OpSuite):
    cases = [
        Case(f"{name} {a} {b}", lambda lib, x, y, op=op: op(x, y), [left(*a), right(*b)], rtol=2e-5, atol=1e-5)
        for name, (left, right, op) in BINARY.items()
        for a, b in PAIRS
    ] + [
        Case("maximum", lambda lib, x, y: lib.maximum(x, y), [distinct(3, 4), distinct(4, offset=0.05)]),
        Case("minimum", lambda lib, x, y: lib.minimum(x, y), [distinct(3, 1), distinct(3, 4, offset=0.05)]),
        Case("maximum, ties", lambda lib, x, y: lib.maximum(x, y), [given([1.0, 2.0, 3.0]), given([1.0, 5.0, 3.0])], smooth=False),
        Case("max of two", lambda lib, x, y: lib.max(x, y), [distinct(3, 4), distinct(3, 4, offset=0.05)]),
        Case("min of two", lambda lib, x, y: lib.min(x, y), [distinct(3, 4), distinct(3, 4, offset=0.05)]),
        Case("clamp by tensors", lambda lib, x, a, b: x.clamp(a, b), [distinct(3, 4), given([[-0.43], [0.11], [0.5]]), given([0.21, 0.05, 0.4, -0.31])]),
        Case("clamp below by a tensor", lambda lib, x, a: x.clamp(min=a), [distinct(3, 4), distinct(4, offset=0.05)]),
        Case("where", lambda lib, m, x, y: lib.where(m, x, y), [mask(3, 4), real(3, 4), real(4)]),
        Case("where, broadcast mask", lambda lib, m, x, y: lib.where(m, x, y), [mask(4), real(3, 1), real(3, 4)]),
        Case("x.where", lambda lib, m, x, y: x.where(m, y), [mask(3, 4), real(3, 4), real(3, 4)]),
        Case("masked_fill by a tensor", lambda lib, m, x, v: x.masked_fill(m, v), [mask(3, 1), real(3, 4), real()]),
        Case("clamp above by a tensor", lambda lib, x, a: x.clamp(max=a), [distinct(3, 4), distinct(4, offset=0.05)]),
        Case("div floor", lambda lib, x, y: lib.div(x, y, rounding_mode="floor"), [between(3.1, 3.9, 3, 4), between(2.0, 3.0, 4)]),
        Case("div trunc", lambda lib, x, y: x.div(y, rounding_mode="trunc"), [between(-3.9, -3.1, 3, 4), between(2.0, 3.0, 4)]),
        Case("add a number, alpha", lambda lib, x: x.add(2, alpha=3) - lib.sub(x * x, 1.5, alpha=2), [real(3, 4)]),
        Case("add alpha", lambda lib, x, y: lib.add(x, y, alpha=2.5), [real(3, 4), real(4)]),
        Case("sub alpha", lambda lib, x, y: x.sub(y, alpha=-3), [real(3, 4), real(4)]),
        Case("x and x", lambda lib, x: x * x + x / (x * x + 1.0) - x, [real(3, 4)]),
        Case("floor_divide", lambda lib, x, y: x // y, [between(3.1, 3.9, 3, 4).constant(), between(2.0, 3.0, 4).constant()]),
    ]
# fmt: on


shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def broadcastable(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast: some axes of a common shape set to 1 or left out in each."""
    common = draw(shapes)

    def part() -> tuple[int, ...]:
        start = draw(st.integers(0, len(common)))
        return tuple(1 if draw(st.booleans()) else n for n in common[start:])

    return part(), part()


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv], ids=lambda f: f.__name__)
@examples(pair=broadcastable())
def test_any_shapes_that_broadcast(op: Any, pair: Any) -> None:
    a, b = pair
    agree(lambda lib, x, y: op(x, y), real(*a), away(*b, kinks=(0.0, 0.1, -0.1)))


@examples(st.lists(shapes, min_size=2, max_size=2))
def test_shapes_that_do_not_broadcast_are_refused(pair: Any) -> None:
    a, b = pair
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ShapeError, match="do not broadcast"):
            minigrad.zeros(a) + minigrad.zeros(b)


def test_the_refusal_names_axis_and_sizes() -> None:
    for a, b, where in [
        ((2, 3), (4,), "axis -1 has sizes 3 and 4"),
        ((2, 3), (4, 3), "axis -2 has sizes 2 and 4"),
        ((5, 1, 3), (2, 4, 3), "axis -3 has sizes 2 and 5"),
    ]:
        with pytest.raises(ShapeError, match=f"Mul.*{where}"):
            minigrad.ones(a) * minigrad.ones(b)


# --- points where a rule has to choose, and numbers at the edge ------------------------------------------------------

EDGES = [0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 0.5, math.inf, -math.inf]


@pytest.mark.parametrize(
    "name", ["abs", "sign", "relu", "sigmoid", "tanh", "exp", "expm1", "square", "isnan", "isinf", "isfinite"]
)
def test_kinks_and_infinities(name: str) -> None:
    results = []
    for lib in (minigrad, torch):
        x = lib.tensor(EDGES, dtype=lib.float64, requires_grad=True)
        y = getattr(lib, name)(x)
        if y.requires_grad:
            y.backward(lib.ones(len(EDGES), dtype=lib.float64) * 3)
        results.append((y.detach().numpy(), None if x.grad is None else x.grad.numpy()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-12)
    if results[1][1] is not None:
        np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-12)


@pytest.mark.parametrize("call", [
    lambda lib, x: x.clamp(-1.0, 1.0), lambda lib, x: x.clamp(min=0.0), lambda lib, x: x.clamp(max=3.0),
    lambda lib, x: lib.maximum(x, lib.zeros_like(x)), lambda lib, x: lib.minimum(x, lib.ones_like(x)),
    lambda lib, x: x.clamp(min=lib.ones_like(x)), lambda lib, x: x.clamp(max=lib.ones_like(x)),
    lambda lib, x: x.clamp(lib.zeros_like(x), lib.ones_like(x)),
])  # fmt: skip
def test_bounds_reached_exactly(call: Any) -> None:
    results = []
    for lib in (minigrad, torch):
        x = lib.tensor(EDGES[:-2], dtype=lib.float64, requires_grad=True)
        y = call(lib, x)
        y.backward(lib.arange(1, len(EDGES) - 1, dtype=lib.float64))
        results.append((y.tolist(), x.grad.tolist()))
    assert results[0] == results[1]


def test_tensor_bounds_pass_the_gradient_to_the_bound_that_holds() -> None:
    results = []
    for lib in (minigrad, torch):
        x, low, high = (
            lib.tensor(v, dtype=lib.float64, requires_grad=True)
            for v in ([1.0, 2.0, 3.0, 0.0, 0.0, 3.0], [1.0, 5.0, 0.0, 3.0, 1.0, 1.0], [2.0, 6.0, 1.0, 1.0, 1.0, 1.0])
        )
        y = x.clamp(low, high)
        y.backward(lib.tensor([1.0, 10.0, 100.0, 1000.0, 2.0, 20.0], dtype=lib.float64))
        results.append((y.tolist(), x.grad.tolist(), low.grad.tolist(), high.grad.tolist()))
    assert results[0] == results[1]


def test_pow_at_zero_and_below() -> None:
    base, exponent = np.array([0.0, 0.0, 0.0, -2.0, -2.0, 2.0]), np.array([0.0, 2.0, 1.0, 2.0, 3.0, 0.0])
    results = []
    for lib in (minigrad, torch):
        a = lib.tensor(base, requires_grad=True)
        b = lib.tensor(exponent, requires_grad=True)
        y = a**b
        y.backward(lib.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], dtype=lib.float64))
        results.append((y.detach().numpy(), a.grad.numpy(), b.grad.numpy()))
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 0.5, -1, -0.5])
def test_pow_of_zero_by_a_number(exponent: float) -> None:
    results = []
    for lib in (minigrad, torch):
        x = lib.tensor([0.0, 1.0, 4.0], dtype=lib.float64, requires_grad=True)
        y = x**exponent
        y.backward(lib.tensor([2.0, 3.0, 5.0], dtype=lib.float64))
        results.append((y.detach().numpy(), x.grad.numpy()))
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_slopes_that_are_infinite_are_infinite_without_a_warning() -> None:
    x = minigrad.tensor([0.0], requires_grad=True)
    for y in (x.sqrt(), x.log(), 1 / x, x**0.5, x**-2):
        x.grad = None
        y.backward(minigrad.ones_like(y))
        assert not np.isfinite(x.grad.item())


def test_logarithms_near_zero_keep_their_digits() -> None:
    x = minigrad.tensor([1e-12, -1e-12, 1e-300], dtype=minigrad.float64)
    np.testing.assert_allclose(minigrad.log1p(x).numpy(), x.numpy(), rtol=1e-11)
    np.testing.assert_allclose(minigrad.expm1(x).numpy(), x.numpy(), rtol=1e-11)


def test_sigmoid_and_tanh_do_not_overflow() -> None:
    for kind in (minigrad.float32, minigrad.float64):
        x = minigrad.tensor([-1e4, -100.0, 100.0, 1e4], dtype=kind, requires_grad=True)
        (x.sigmoid() + x.tanh()).backward(minigrad.ones(4, dtype=kind))
        np.testing.assert_allclose(x.sigmoid().detach().numpy(), [0, 0, 1, 1], atol=1e-30)
        np.testing.assert_allclose(x.grad.numpy(), 0, atol=1e-30)


# --- division --------------------------------------------------------------------------------------------------------

NUMBERS = [1.0, -1.0, 7.0, 0.3, -7.0, 5.5, 0.0, 2.0]
DIVISORS = [0.1, 0.1, 0.7, 0.1, 2.0, -2.0, 3.0, 0.0]


@pytest.mark.parametrize("mode", [None, "floor", "trunc"])
@pytest.mark.parametrize("kind", ["float32", "float64", "int32", "int64"])
def test_division_and_its_roundings(mode: Any, kind: str) -> None:
    whole = kind.startswith("int")
    a = [int(v * 10) for v in NUMBERS] if whole else NUMBERS
    b = [int(v * 10) or 1 for v in DIVISORS] if whole else DIVISORS
    results = []
    for lib in (minigrad, torch):
        x, y = lib.tensor(a, dtype=getattr(lib, kind)), lib.tensor(b, dtype=getattr(lib, kind))
        results.append(
            [
                lib.div(x, y, rounding_mode=mode),
                x // y,
                x % y,
                lib.div(x, 3, rounding_mode=mode),
                7 // lib.abs(y + 100),
            ]
        )
    for got, want in zip(*results, strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy())
        assert str(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1]


def test_integers_do_not_divide_by_zero() -> None:
    x = minigrad.tensor([1, 2])
    for call in (lambda: x // 0, lambda: x % 0, lambda: x // minigrad.tensor([1, 0])):
        with pytest.raises(ZeroDivisionError):
            call()
    assert minigrad.tensor([1, -1]).div(0).tolist() == [math.inf, -math.inf]


def test_unknown_rounding_mode_is_named() -> None:
    with pytest.raises(ValueError, match="rounding_mode"):
        minigrad.div(minigrad.ones(2), 2, rounding_mode="up")


def test_round_to_decimals() -> None:
    x = [0.125, 1.2345, -2.5, 2.5, 3.14159]
    np.testing.assert_allclose(
        minigrad.tensor(x, dtype=minigrad.float64).round(decimals=2).numpy(),
        torch.tensor(x, dtype=torch.float64).round(decimals=2).numpy(),
        rtol=1e-12,
    )


# --- comparisons and logic -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op",
    [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge],
    ids=lambda f: f.__name__,
)
def test_comparisons(op: Any) -> None:
    a, b = [1.0, 2.0, 3.0, math.nan, math.inf], [1.0, 3.0, 2.0, math.nan, math.inf]
    for x, y in [(a, b), (a, 2.0), (2, a)]:
        pairs = []
        for lib in (minigrad, torch):
            p, q = (lib.tensor(v, requires_grad=True) if isinstance(v, list) else v for v in (x, y))
            pairs.append(op(p, q))
        assert pairs[0].dtype == minigrad.bool
        assert not pairs[0].requires_grad
        assert pairs[0].tolist() == pairs[1].tolist()


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_logic(name: str) -> None:
    a, b = [0.0, 1.0, 0.0, -2.0], [0, 0, 3, 4]
    got, want = (getattr(lib, name)(lib.tensor(a), lib.tensor(b)) for lib in (minigrad, torch))
    assert got.tolist() == want.tolist()
    assert minigrad.logical_not(minigrad.tensor(a)).tolist() == [True, False, True, False]


@pytest.mark.parametrize("op", [operator.and_, operator.or_, operator.xor], ids=lambda f: f.__name__)
def test_bits(op: Any) -> None:
    for a, b in [
        ([True, False, True], [True, True, False]),
        ([5, 6, -7], [3, 255, 8]),
        ([5, 6, -7], 3),
        (4, [1, 5, 6]),
    ]:
        got, want = (op(*[lib.tensor(v) if isinstance(v, list) else v for v in (a, b)]) for lib in (minigrad, torch))
        assert got.tolist() == want.tolist()
        assert str(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1]
    assert (~minigrad.tensor([True, False])).tolist() == [False, True]
    assert (~minigrad.tensor([0, 5])).tolist() == [-1, -6]
    with pytest.raises(DtypeError, match="bool and integer"):
        op(minigrad.tensor([1.0]), 2)


def test_whole_tensor_comparisons() -> None:
    a = minigrad.tensor([1.0, 2.0, math.nan])
    assert minigrad.equal(a[:2], minigrad.tensor([1.0, 2.0]))
    assert not minigrad.equal(a, a)
    assert not minigrad.equal(a[:2], a[:1])
    assert minigrad.allclose(a, a + 1e-7, equal_nan=True)
    assert not minigrad.allclose(a, a)
    assert minigrad.isclose(a, a).tolist() == [True, True, False]
    assert (a == None) is False  # noqa: E711  (as in PyTorch: a tensor is not None)
    assert a != "text"


def test_where_without_values_gives_places() -> None:
    m = np.array([[True, False], [True, True]])
    got, want = minigrad.where(minigrad.tensor(m)), torch.where(torch.tensor(m))
    assert [i.tolist() for i in got] == [i.tolist() for i in want]


def test_refusals_name_the_op() -> None:
    x = minigrad.ones(2)
    with pytest.raises(DtypeError, match="bool"):
        minigrad.tensor([True]) - minigrad.tensor([True])
    with pytest.raises(DtypeError, match="logical_not"):
        -minigrad.tensor([True])
    with pytest.raises(DtypeError, match="negative power"):
        minigrad.tensor([2]) ** -1
    for pair in ((x, "1"), ("1", x), (1, 2), (None, None)):
        with pytest.raises(TypeError, match="add: expected tensors"):
            minigrad.add(*pair)
    with pytest.raises(TypeError):
        x + "1"  # type: ignore[operator]
    with pytest.raises(TypeError, match="exp"):
        minigrad.exp(1.0)
    with pytest.raises(ValueError, match="clamp"):
        x.clamp()
    with pytest.raises(DtypeError, match="condition"):
        minigrad.where(x, x, x)
