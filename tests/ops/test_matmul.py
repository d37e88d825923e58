"""Products of matrices against PyTorch, in every shape that ``@`` takes, and einsum in every notation."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from op_suite import Case, OpSuite, agree, away, given, real, torch

import minigrad
from minigrad.errors import ShapeError
from minigrad.ops.fused import LinearActivation

# Every way two operands can meet in ``@``.
SHAPES = [
    ((3, 4), (4, 5)),
    ((4,), (4,)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((7, 1, 3, 4), (2, 4, 5)),
    ((1, 3, 4), (7, 2, 4, 5)),
    ((1, 4), (4, 1)),
    ((3, 1), (1, 5)),
]

# Equations with the shapes of their operands: distinct sizes are distinct labels.
EINSUM: list[tuple[str, list[tuple[int, ...]]]] = [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("ij->ji", [(2, 3)]),
    ("ji", [(2, 3)]),
    ("ij->", [(2, 3)]),
    ("ij->j", [(2, 3)]),
    ("ij,ij->", [(2, 3), (2, 3)]),
    ("i,i", [(3,), (3,)]),
    ("i,j->ij", [(2,), (3,)]),
    ("i,j->ji", [(2,), (3,)]),
    ("ii", [(3, 3)]),
    ("ii->i", [(3, 3)]),
    ("iji->j", [(3, 2, 3)]),
    ("iij->ij", [(3, 3, 2)]),
    ("iii->i", [(3, 3, 3)]),
    ("ij,jj->i", [(2, 3), (3, 3)]),
    ("bij,bjk->bik", [(5, 2, 3), (5, 3, 4)]),
    ("bhid,bhjd->bhij", [(5, 2, 3, 4), (5, 2, 7, 4)]),
    ("...ij,...jk->...ik", [(5, 2, 3), (5, 3, 4)]),
    ("...ij,jk->...ik", [(5, 6, 2, 3), (3, 4)]),
    ("...ij,...jk->...ik", [(6, 1, 2, 3), (5, 3, 4)]),
    ("...i,...i->...", [(5, 3), (3,)]),
    ("...ij,...jk->...ik", [(1, 2, 3), (1, 3, 4)]),
    ("...i->...", [(1, 3)]),
    ("...i,...i->...i", [(1, 3), (5, 1, 3)]),
    ("...ij->...ji", [(5, 2, 3)]),
    ("i...->...", [(5, 2, 3)]),
    ("...", [(2, 3)]),
    ("ij...,jk", [(2, 3, 5), (3, 4)]),
    ("ik,jk->ij", [(2, 4), (3, 4)]),
    ("ijk,l->il", [(2, 3, 4), (5,)]),
    ("i,ij,j->", [(2,), (2, 3), (3,)]),
    ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
    ("ab,cd->abcd", [(2, 3), (4, 5)]),
    ("Ab,bA->bA", [(2, 3), (3, 2)]),
    (" i j , j k -> i k ", [(2, 3), (3, 4)]),
    ("ij,k->i", [(2, 3), (4,)]),
    (",i->i", [(), (3,)]),
]


def layer(activation: str) -> tuple[Any, Any]:
    """A layer and its activation as one op, and as the two that it stands for."""
    return (
        lambda lib, x, w, b: LinearActivation.apply(x, w, b, activation),
        lambda lib, x, w, b: getattr(lib, activation)(lib.nn.functional.linear(x, w, b)),
    )


# fmt: off
class TestProducts(OpSuite):
    cases = [
        Case(f"linear and {name}", layer(name)[0], [real(3, 4), real(5, 4), real(5)], reference=layer(name)[1], large=[real(70, 60), real(50, 60), real(50)], atol=1e-4)
        for name in ("relu", "sigmoid", "tanh")
    ] + [
        Case(f"{a} @ {b}", lambda lib, x, y: x @ y, [real(*a), real(*b)], rtol=1e-5, atol=1e-5) for a, b in SHAPES
    ] + [
        Case(f"einsum {equation} {shapes}", lambda lib, *xs, e=equation: lib.einsum(e, *xs), [real(*s) for s in shapes], rtol=1e-5, atol=1e-5)
        for equation, shapes in EINSUM
    ] + [
        Case("matmul", lambda lib, x, y: lib.matmul(x, y), [real(3, 4), real(4, 5)], large=[real(60, 70), real(70, 50)], atol=1e-4),
        Case("x @ x.T", lambda lib, x: x @ x.T, [real(3, 4)], large=[real(40, 70)], atol=1e-4),
        Case("mm", lambda lib, x, y: lib.mm(x, y), [real(3, 4), real(4, 5)]),
        Case("bmm", lambda lib, x, y: x.bmm(y), [real(2, 3, 4), real(2, 4, 5)], atol=1e-5),
        Case("mv", lambda lib, x, y: lib.mv(x, y), [real(3, 4), real(4)]),
        Case("dot", lambda lib, x, y: x.dot(y), [real(4), real(4)]),
        Case("outer", lambda lib, x, y: lib.outer(x, y), [real(3), real(4)]),
        Case("addmm", lambda lib, b, x, y: lib.addmm(b, x, y), [real(5), real(3, 4), real(4, 5)]),
        Case("addmm, beta, alpha", lambda lib, b, x, y: b.addmm(x, y, beta=0.5, alpha=-2.0), [real(3, 5), real(3, 4), real(4, 5)], atol=1e-5),
        Case("einsum of a list", lambda lib, x, y: lib.einsum("ij,jk->ik", [x, y]), [real(2, 3), real(3, 4)]),
        Case("linear", lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), [real(3, 4), real(5, 4), real(5)], large=[real(70, 60), real(50, 60), real(50)], atol=1e-4),
        Case("linear, no bias", lambda lib, x, w: lib.nn.functional.linear(x, w), [real(3, 4), real(5, 4)], large=[real(70, 60), real(50, 60)], atol=1e-4),
        Case("linear, constant input", lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), [real(3, 4).constant(), real(5, 4), real(5)], large=[real(70, 60).constant(), real(50, 60), real(50)], atol=1e-4),
        Case("linear, constant weight", lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), [real(3, 4), real(5, 4).constant(), real(5)], large=[real(70, 60), real(50, 60).constant(), real(50)], atol=1e-4),
        Case("linear, constant bias", lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), [real(3, 4), real(5, 4), real(5).constant()], large=[real(70, 60), real(50, 60), real(50).constant()], atol=1e-4),
        Case("linear, a vector", lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), [real(4), real(5, 4), real(5)]),
        Case("linear, 4 axes", lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), [real(2, 3, 1, 4), real(5, 4), real(5)], large=[real(4, 9, 3, 20), real(50, 20), real(50)], atol=1e-4),
        Case("linear, vector weight", lambda lib, x, w: lib.nn.functional.linear(x, w), [real(3, 4), real(4)]),
        Case("linear, one input", lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), [real(6, 1), real(5, 1), real(5)], large=[real(256, 1), real(64, 1), real(64)], atol=1e-4),
        Case("linear, two inputs", lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), [real(6, 2), real(5, 2), real(5)], large=[real(250, 2), real(16, 2), real(16)], atol=1e-4),
        Case("linear, one output", lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), [real(6, 5), real(1, 5), real(1)], large=[real(256, 64), real(1, 64), real(1)], atol=1e-4),
        Case("linear, three outputs", lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), [real(6, 5), real(3, 5), real(3)], large=[real(33, 100), real(3, 100), real(3)], atol=1e-4),
        Case("cosine_similarity", lambda lib, x, y: lib.cosine_similarity(x, y), [away(3, 4), away(3, 4)]),
        Case("cosine_similarity dim=0", lambda lib, x, y: lib.nn.functional.cosine_similarity(x, y, dim=0, eps=1e-6), [away(3, 4), away(3, 4)]),
        Case("cosine_similarity of zeros", lambda lib, x, y: lib.cosine_similarity(x, y), [given([[0.0, 0.0]]), given([[3.0, 4.0]])], smooth=False),
    ]
# fmt: on


@st.composite
def products(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    n, k, m = (draw(st.integers(0, 4)) for _ in range(3))
    batch = draw(st.lists(st.integers(0, 3), max_size=2))

    def part() -> tuple[int, ...]:
        start = draw(st.integers(0, len(batch)))
        return tuple(1 if draw(st.booleans()) else size for size in batch[start:])

    left, right = (*part(), n, k), (*part(), k, m)
    return (left if draw(st.integers(0, 3)) else (k,)), (right if draw(st.integers(0, 3)) else (k,))


@examples(products())
def test_any_shapes_that_multiply(pair: Any) -> None:
    a, b = pair
    agree(lambda lib, x, y: x @ y, real(*a), real(*b))


@examples(
    st.lists(st.text("ijkl", max_size=3), min_size=1, max_size=3),
    st.permutations("ijkl"),
    st.integers(0, 4),
    st.booleans(),
)
def test_any_einsum(terms: list[str], order: list[str], length: int, implicit: bool) -> None:
    sizes = {"i": 2, "j": 3, "k": 1, "l": 4}
    output = "".join(c for c in order[:length] if any(c in t for t in terms))
    equation = ",".join(terms) + ("" if implicit else f"->{output}")
    agree(lambda lib, *xs: lib.einsum(equation, *xs), *[real(*[sizes[c] for c in t]) for t in terms])


@pytest.mark.parametrize("kind", ["int32", "int64", "uint8", "float16", "float64"])
def test_dtypes_of_products(kind: str) -> None:
    for a, b in (((2, 3), (3, 2)), ((3,), (3,)), ((2, 3), (3,)), ((1, 2, 3), (3, 1))):
        results = []
        for lib in (minigrad, torch):
            x = lib.arange(int(np.prod(a))).reshape(a).to(getattr(lib, kind))
            y = lib.arange(int(np.prod(b))).reshape(b).to(getattr(lib, kind))
            z = x @ y
            results.append((str(z.dtype).split(".")[-1], z.tolist()))
        assert results[0] == results[1]


def test_products_of_two_dtypes_meet_in_the_wider() -> None:
    # PyTorch refuses; NumPy's users expect it.
    assert (minigrad.ones(2, 2) @ minigrad.ones(2, 2, dtype=minigrad.float64)).dtype == minigrad.float64


def test_arrays_on_either_side() -> None:
    a = np.arange(6.0).reshape(2, 3)
    t = minigrad.tensor(np.arange(12.0).reshape(3, 4), requires_grad=True)
    for y in (a @ t, minigrad.tensor(a) @ t):
        assert isinstance(y, minigrad.Tensor)
        np.testing.assert_array_equal(y.detach().numpy(), a @ t.detach().numpy())
        assert y.requires_grad
    assert isinstance(t.T @ a.T, minigrad.Tensor)


def test_refusals() -> None:
    one = minigrad.ones
    with pytest.raises(ShapeError, match=r"matmul.*\(2, 3\).*\(2, 3\).*\(3\).*\(2\)"):
        one(2, 3) @ one(2, 3)
    with pytest.raises(ShapeError, match="leading axes"):
        one(2, 2, 3) @ one(3, 3, 4)
    with pytest.raises(ShapeError, match="at least one axis"):
        one(2) @ minigrad.tensor(1.0)
    with pytest.raises(ShapeError, match="vectors of sizes"):
        one(2) @ one(3)
    for shapes in (((3,), (2, 3)), ((2, 3), (2,)), ((4, 2, 3), (2, 3)), ((4, 2, 3), (2,))):
        with pytest.raises(ShapeError, match="matmul"):
            one(shapes[0]) @ one(shapes[1])
    with pytest.raises(ShapeError, match="mm: expected two tensors of 2 axes"):
        minigrad.mm(one(2), one(2, 2))
    for pair in ((one(2), one(2, 2)), (one(2, 2), one(2))):
        with pytest.raises(ShapeError, match="outer: expected two vectors"):
            minigrad.outer(*pair)
        with pytest.raises(ShapeError, match="dot: expected two tensors of 1 axes"):
            minigrad.dot(*pair)
    with pytest.raises(ShapeError, match="mv: expected a matrix and a vector"):
        minigrad.mv(one(2, 2), one(2, 2))
    with pytest.raises(ShapeError, match="batches differ"):
        minigrad.bmm(one(2, 2, 2), one(1, 2, 2))
    with pytest.raises(ShapeError, match=r"784 features.*\(64, 784\).*512.*\(256, 512\)"):
        minigrad.nn.functional.linear(one(64, 784), one(256, 512))
    for bias in ((1,), (64, 256), (255,), ()):
        with pytest.raises(ShapeError, match="bias"):
            minigrad.nn.functional.linear(one(64, 512), one(256, 512), one(bias))
    with pytest.raises(TypeError, match=r"matmul: other must be a Tensor"):
        minigrad.matmul(one(2, 2), [1.0, 2.0])


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ij,jk->ik", [(2, 3)], "2 operand"),
        ("ij->ij", [(2, 3, 4)], "labels 2 axes"),
        ("ij,jk->ik", [(2, 3), (4, 5)], "sizes 3 and 4"),
        ("ij->ik", [(2, 3)], "'k'"),
        ("ij->ii", [(2, 3)], "twice"),
        ("i1->i", [(2, 3)], "single letters"),
        ("ii->i", [(2, 3)], "two sizes"),
    ],
)
def test_einsum_refusals(equation: str, shapes: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        minigrad.einsum(equation, *[minigrad.ones(s) for s in shapes])


# --- products that are added to something -----------------------------------------------------------------------------

ADDED: dict[str, list[tuple[int, ...]]] = {
    "addmm": [(2, 5), (2, 3), (3, 5)],
    "addmv": [(2,), (2, 3), (3,)],
    "addr": [(2, 3), (2,), (3,)],
    "addbmm": [(2, 5), (4, 2, 3), (4, 3, 5)],
    "baddbmm": [(4, 2, 5), (4, 2, 3), (4, 3, 5)],
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", ADDED)
def test_a_factor_of_0_leaves_even_nan_out(name: str, dtype: str) -> None:
    rng, kind = np.random.default_rng(0), getattr(minigrad, dtype)
    for beta, alpha in ((0, 2.0), (3.0, 0), (0, 0)):
        arrays = [rng.standard_normal(shape) for shape in ADDED[name]]
        tensors = [minigrad.tensor(a, dtype=kind, requires_grad=True) for a in arrays]
        plain = [torch.tensor(t.detach().numpy(), requires_grad=True) for t in tensors]
        with minigrad.no_grad():
            for t, factor in zip(tensors, (beta, alpha, alpha), strict=True):
                if factor == 0:
                    t.fill_(math.nan)
        results = []
        for lib, given_ in ((minigrad, tensors), (torch, plain)):
            y = getattr(lib, name)(*given_, beta=beta, alpha=alpha)
            up = np.random.default_rng(1).standard_normal(tuple(y.shape))
            y.backward(lib.tensor(up, dtype=getattr(lib, dtype)))
            results.append([y.detach().numpy(), given_[0].grad.numpy()])
        tolerance = {"float16": 2e-2, "float32": 1e-5, "float64": 1e-12}[dtype]
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
        if alpha == 0:
            assert not any(t.grad.numpy().any() for t in tensors[1:])


@pytest.mark.parametrize("name", ADDED)
def test_what_does_not_fit_the_product_is_refused(name: str) -> None:
    _, *factors = [minigrad.ones(shape) for shape in ADDED[name]]
    with pytest.raises(ShapeError, match=name + r".*\(7, 7, 7, 7\)"):
        getattr(minigrad, name)(minigrad.ones(7, 7, 7, 7), *factors)
