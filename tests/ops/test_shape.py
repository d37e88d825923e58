"""Ops that move elements, against PyTorch: values, gradients, and whether the result shows the same memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from op_suite import Case, OpSuite, agree, real, torch

import minigrad
from minigrad.errors import ShapeError

X = real(2, 3, 4)


# fmt: off
class TestShapes(OpSuite):
    cases = [
        Case("reshape", lambda lib, x: x.reshape(4, 6), [X]),
        Case("reshape to a tuple, -1", lambda lib, x: lib.reshape(x, (-1, 8)), [X]),
        Case("reshape of a transpose", lambda lib, x: x.transpose(0, 2).reshape(6, 4), [X]),
        Case("reshape to no axes", lambda lib, x: x.reshape(()), [real(1, 1)]),
        Case("view", lambda lib, x: (x * 1.0).contiguous().view(3, -1), [X]),
        Case("view_as", lambda lib, x, y: (x * 1.0).contiguous().view_as(y), [X, real(6, 4).constant()]),
        Case("flatten", lambda lib, x: x.flatten(), [X]),
        Case("flatten from 1", lambda lib, x: lib.flatten(x, 1), [X]),
        Case("flatten to -2", lambda lib, x: x.flatten(0, -2), [X]),
        Case("flatten no axes", lambda lib, x: x.flatten(), [real()]),
        Case("unflatten", lambda lib, x: x.unflatten(2, (2, -1)), [X]),
        Case("squeeze", lambda lib, x: x.squeeze(), [real(1, 3, 1, 2)]),
        Case("squeeze 0", lambda lib, x: lib.squeeze(x, 0), [real(1, 3, 1)]),
        Case("squeeze -1", lambda lib, x: x.squeeze(-1), [real(1, 3, 1)]),
        Case("squeeze (0, 1)", lambda lib, x: x.squeeze((0, 1)), [real(1, 3, 1)]),
        Case("squeeze ()", lambda lib, x: x.squeeze(()), [real(1, 3, 1)]),
        Case("unsqueeze", lambda lib, x: x.unsqueeze(1), [X]),
        Case("unsqueeze -1", lambda lib, x: lib.unsqueeze(x, -1), [X]),
        Case("transpose", lambda lib, x: x.transpose(0, 2), [X], large=[real(17, 9, 30)]),
        Case("transpose -1 -2", lambda lib, x: lib.transpose(x, -1, -2), [X]),
        Case("swapaxes", lambda lib, x: lib.swapaxes(x, 0, 1), [X]),
        Case("t", lambda lib, x: x.t(), [real(3, 4)]),
        Case("T", lambda lib, x: x.T, [real(3, 4)]),
        Case("mT", lambda lib, x: x.mT, [X]),
        Case("permute", lambda lib, x: x.permute(2, 0, 1), [X]),
        Case("permute, tuple of negatives", lambda lib, x: lib.permute(x, (-1, -3, -2)), [X]),
        Case("movedim", lambda lib, x: lib.movedim(x, 0, -1), [X]),
        Case("movedim back", lambda lib, x: x.movedim(2, 0), [X]),
        Case("expand", lambda lib, x: x.expand(5, 3, 4), [real(3, 1)]),
        Case("expand -1", lambda lib, x: x.expand(2, -1, 4), [real(1, 3, 1)]),
        Case("expand no axes", lambda lib, x: x.expand(2, 3), [real()]),
        Case("expand_as", lambda lib, x, y: x.expand_as(y), [real(3, 1), real(2, 3, 4).constant()]),
        Case("broadcast_to", lambda lib, x: lib.broadcast_to(x, (2, 3)), [real(3)]),
        Case("repeat", lambda lib, x: x.repeat(2, 3), [real(2, 3)]),
        Case("repeat with new axes", lambda lib, x: x.repeat(2, 1, 3), [real(3)]),
        Case("repeat 0 times", lambda lib, x: x.repeat(0, 2), [real(2, 3)]),
        Case("tile", lambda lib, x: x.tile(2, 2), [real(2, 3)]),
        Case("tile, fewer numbers than axes", lambda lib, x: x.tile(2), [real(2, 3)]),
        Case("repeat_interleave", lambda lib, x: x.repeat_interleave(3, dim=1), [real(2, 3)]),
        Case("repeat_interleave, flattened", lambda lib, x: lib.repeat_interleave(x, 2), [real(2, 3)]),
        Case("cat", lambda lib, x, y: lib.cat([x, y]), [real(2, 3), real(4, 3)]),
        Case("cat, dim=-1, one twice", lambda lib, x, y: lib.cat((x, y, x), dim=-1), [real(2, 3), real(2, 1)]),
        Case("concatenate", lambda lib, x, y: lib.concatenate([x, y], 1), [real(2, 3), real(2, 1)]),
        Case("cat with an empty vector", lambda lib, x, y: lib.cat([y, x], 1), [real(2, 3), real(0)]),
        Case("stack", lambda lib, x, y: lib.stack([x, y]), [real(2, 3), real(2, 3)]),
        Case("stack, dim=-1", lambda lib, x, y: lib.stack([x, y, x], dim=-1), [real(2, 3), real(2, 3)]),
        Case("stack numbers", lambda lib, x, y: lib.stack([x, y]), [real(), real()]),
        Case("hstack", lambda lib, x, y: lib.hstack([x, y]), [real(2, 3), real(2, 1)]),
        Case("hstack vectors", lambda lib, x, y: lib.hstack([x, y]), [real(2), real(3)]),
        Case("vstack", lambda lib, x, y: lib.vstack([x, y]), [real(3), real(2, 3)]),
        Case("split", lambda lib, x: x.split(2, dim=2), [real(2, 3, 5)]),
        Case("split into sizes", lambda lib, x: lib.split(x, [1, 0, 3], dim=-1), [X]),
        Case("chunk", lambda lib, x: x.chunk(3, 1), [real(2, 7)]),
        Case("chunk into too many", lambda lib, x: lib.chunk(x, 5), [real(3, 2)]),
        Case("unbind", lambda lib, x: x.unbind(1), [X]),
        Case("iteration", lambda lib, x: tuple(row * (i + 1.0) for i, row in enumerate(x)), [real(3, 4)]),
        Case("flip", lambda lib, x: x.flip(0), [X]),
        Case("flip two", lambda lib, x: lib.flip(x, (0, -1)), [X]),
        Case("flip none", lambda lib, x: x.flip(()), [X]),
        Case("flip no axes", lambda lib, x: x.flip(0), [real()]),
        Case("roll", lambda lib, x: x.roll(2, 1), [X]),
        Case("roll two", lambda lib, x: lib.roll(x, (1, -2), (0, 2)), [X]),
        Case("roll, flattened", lambda lib, x: x.roll(5), [X]),
        Case("tril", lambda lib, x: x.tril(), [real(4, 3)]),
        Case("triu, batch", lambda lib, x: lib.triu(x, 1), [real(2, 3, 4)]),
        Case("tril, -1", lambda lib, x: lib.tril(x, -1), [real(3, 4)]),
        Case("diagonal", lambda lib, x: x.diagonal(), [real(3, 4)]),
        Case("diagonal above", lambda lib, x: x.diagonal(1), [real(3, 4)]),
        Case("diagonal below", lambda lib, x: x.diagonal(-2), [real(3, 4)]),
        Case("diagonal outside", lambda lib, x: x.diagonal(4), [real(3, 4)]),
        Case("diagonals of a batch", lambda lib, x: x.diagonal(1, -2, -1), [real(2, 3, 4)]),
        Case("diagonals of outer axes", lambda lib, x: lib.diagonal(x, offset=-1, dim1=2, dim2=0), [real(2, 3, 4)]),
        Case("diag of a matrix", lambda lib, x: x.diag(), [real(3, 3)]),
        Case("diag of a vector", lambda lib, x: x.diag(), [real(3)]),
        Case("contiguous", lambda lib, x: x.transpose(0, 1).contiguous(), [X]),
    ]
# fmt: on


@st.composite
def reshapes(draw: Any) -> Any:
    factors = draw(st.lists(st.sampled_from([1, 2, 3]), max_size=4))
    order = draw(st.permutations(factors))
    target = []
    while order:
        taken = draw(st.integers(1, len(order)))
        target.append(int(np.prod(order[:taken])))
        order = order[taken:]
    if target and draw(st.booleans()):
        target[draw(st.integers(0, len(target) - 1))] = -1
    return tuple(factors), tuple(target)


@examples(reshapes(), st.randoms(use_true_random=False))
def test_any_reshape_of_any_permutation(pair: Any, random: Any) -> None:
    shape, target = pair
    axes = list(range(len(shape)))
    random.shuffle(axes)
    agree(lambda lib, x: (x.permute(axes) if axes else x).reshape(target), real(*shape))


def test_views_show_the_same_memory_and_copies_do_not() -> None:
    x = minigrad.arange(24.0).reshape(2, 3, 4).clone()
    views = [
        x.reshape(6, 4),
        x.view(24),
        x.flatten(),
        x.transpose(0, 1),
        x.permute(2, 1, 0),
        x.T,
        x.mT,
        x[0],
        x[:, 1:],
        x[..., None],
        x[1, 2, 3],
        x.unsqueeze(0),
        x[:, :1].squeeze(1),
        x.split(2, 1)[0],
        x.chunk(2)[1],
        x.unbind(0)[0],
        x[:, :1].expand(2, 3, 4),
        x.detach(),
        x.movedim(0, 2),
        x.diagonal(1, 1, 2),
        minigrad.einsum("ijk->kji", x),
        x.contiguous(),
        next(iter(x)),
    ]
    copies = [
        x.clone(),
        x.flip(0),
        x.roll(1, 0),
        x.repeat(1, 1, 1),
        x[[0, 1]],
        x[x > -1],
        minigrad.cat([x]),
        x.transpose(0, 1).reshape(24),
        x.transpose(0, 1).contiguous(),
        x.double().float(),
        x.clamp(min=-9),
        x.tril(),
        x.round(),
        x.sum(()),
        x.cumsum(0),
        minigrad.nn.functional.pad(x, (0, 0)),
    ]
    for i, v in enumerate(views):
        assert np.shares_memory(v._array, x._array), f"view {i}"
    for i, c in enumerate(copies):
        assert not np.shares_memory(c._array, x._array), f"copy {i}"


def test_view_refuses_what_needs_a_copy() -> None:
    x = minigrad.zeros(2, 3)
    with pytest.raises(ShapeError, match=r"view.*contiguous"):
        x.T.view(6)
    with pytest.raises(ShapeError, match="6 elements"):
        x.view(4)
    assert x.T.view(3, 2).shape == (3, 2)
    assert minigrad.zeros(0, 3).T.view(0).shape == (0,)


def test_refusals() -> None:
    x = minigrad.zeros(2, 3)
    with pytest.raises(ShapeError, match="cannot hold the 6 elements"):
        x.reshape(4, 2)
    with pytest.raises(ShapeError, match="only one size may be -1"):
        x.reshape(-1, -1)
    for sizes in ((-2,), (-2, 3), (2, -3)):
        with pytest.raises(ShapeError, match="negative"):
            x.reshape(*sizes)
    with pytest.raises(ShapeError, match="only axes of size 1"):
        x.expand(4, 3)
    with pytest.raises(ShapeError, match="fewer axes"):
        x.expand(3)
    with pytest.raises(ShapeError, match="permute"):
        x.permute(0, 0)
    with pytest.raises(ShapeError, match="at most 2 axes"):
        minigrad.zeros(2, 2, 2).t()
    with pytest.raises(ShapeError, match="add up to 4"):
        x.split([1, 3], 1)
    with pytest.raises(ShapeError, match=r"cat.*\(2, 3\).*\(2, 2\)"):
        minigrad.cat([x, minigrad.zeros(2, 2)])
    with pytest.raises(ShapeError, match="one shape"):
        minigrad.stack([x, minigrad.zeros(2, 2)])
    with pytest.raises(TypeError, match="non-empty list"):
        minigrad.cat([])
    with pytest.raises(TypeError, match=r"tensors\[1\]"):
        minigrad.cat([x, [1.0]])
    with pytest.raises(ShapeError, match="repeat"):
        x.repeat(2)
    with pytest.raises(IndexError, match="flip"):
        x.flip(2)
    with pytest.raises(TypeError, match="sizes must be integers"):
        x.reshape(2.0, 3)


def test_cat_finds_the_common_dtype() -> None:
    for kinds in (("int32", "float32"), ("int64", "uint8"), ("float64", "float32"), ("bool", "int32")):
        got, want = (
            lib.cat([lib.ones(2, dtype=getattr(lib, kinds[0])), lib.zeros(1, dtype=getattr(lib, kinds[1]))])
            for lib in (minigrad, torch)
        )
        assert str(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1]
        assert got.tolist() == want.tolist()


def test_roll_that_names_no_axis() -> None:
    with pytest.raises(IndexError, match="roll: dims"):
        minigrad.tensor(1.0).roll(0, 0)
    assert minigrad.tensor(1.0).roll(3).item() == 1.0
    for shifts in ((), (1, 2)):
        with pytest.raises(ShapeError, match="need dims"):
            minigrad.ones(3).roll(shifts)


@pytest.mark.parametrize("name", ["tril", "triu"])
@pytest.mark.parametrize("dtype", ["bool", "int64", "uint8", "float16"])
def test_a_triangle_keeps_the_dtype(name: str, dtype: str) -> None:
    got, want = (getattr(lib, name)(lib.ones(2, 3, 4, dtype=getattr(lib, dtype)), 1) for lib in (minigrad, torch))
    assert (got.tolist(), str(got.dtype).split(".")[1]) == (want.tolist(), dtype)
