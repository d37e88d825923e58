"""Reading and writing by index, against PyTorch."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from op_suite import Case, OpSuite, agree, distinct, given, index, mask, quiet, real, torch

import minigrad
from minigrad.errors import DtypeError, ShapeError

# Indices into a (3, 4, 5) tensor; ``lib`` makes the tensors among them.
INDICES: dict[str, Any] = {
    "2": lambda lib: 2,
    "-1": lambda lib: -1,
    "1, -2": lambda lib: (1, -2),
    "0, 1, 2": lambda lib: (0, 1, 2),
    "1:": lambda lib: slice(1, None),
    "::2, 1:3": lambda lib: (slice(None, None, 2), slice(1, 3)),
    "-2:, :, ::3": lambda lib: (slice(-2, None), slice(None), slice(None, None, 3)),
    "1:1": lambda lib: slice(1, 1),
    "..., 0": lambda lib: (..., 0),
    "0, ..., 1": lambda lib: (0, ..., 1),
    "None": lambda lib: None,
    ":, None, 1": lambda lib: (slice(None), None, 1),
    "..., None": lambda lib: (..., None),
    "()": lambda lib: (),
    "list": lambda lib: [0, 2, 0],
    "list and list": lambda lib: ([0, 2, 0], [1, 1, 3]),
    "tensor": lambda lib: lib.tensor([2, 0, 2, 1]),
    "negative tensor": lambda lib: lib.tensor([-1, 0, -3]),
    "tensor of 2 axes": lambda lib: lib.tensor([[0, 1], [2, 0]]),
    "tensor without axes": lambda lib: lib.tensor(1),
    "empty tensor": lambda lib: lib.tensor([], dtype=lib.int64),
    "int32 tensor": lambda lib: lib.tensor([2, 0], dtype=lib.int32),
    "tensors that broadcast": lambda lib: (lib.tensor([[0], [2]]), lib.tensor([1, 3, 0])),
    ":, tensor": lambda lib: (slice(None), lib.tensor([3, 0, 3])),
    "..., tensor": lambda lib: (..., lib.tensor([4, 0, 4])),
    "tensor, :, tensor": lambda lib: (lib.tensor([0, 2]), slice(None), lib.tensor([4, 1])),
    "1:, tensor, None": lambda lib: (slice(1, None), lib.tensor([0, 3]), None),
    "0, :, tensor": lambda lib: (0, slice(None), lib.tensor([4, 0, 2, 0])),
    "tensor, :, 0": lambda lib: (lib.tensor([2, 0, 2]), slice(None), 0),
    "0, None, tensor": lambda lib: (0, None, lib.tensor([3, 0, 3])),
    "-1, tensor": lambda lib: (-1, lib.tensor([3, 0, 3])),
    "tensor, 1": lambda lib: (lib.tensor([2, 0, 2]), 1),
    "tensor without axes, :, tensor": lambda lib: (lib.tensor(1), slice(None), lib.tensor([4, 0, 2])),
    "0, ..., list": lambda lib: (0, ..., [1, 2, 1]),
    "array": lambda lib: np.array([2, 0, 2]),
    "mask": lambda lib: lib.arange(60).reshape(3, 4, 5) % 7 == 0,
    "mask of one axis": lambda lib: lib.tensor([True, False, True]),
    "mask of two axes": lambda lib: lib.arange(12).reshape(3, 4) % 5 == 1,
    ":, mask": lambda lib: (slice(None), lib.tensor([True, False, True, True])),
    "0, :, mask": lambda lib: (0, slice(None), lib.tensor([True, False, True, True, False])),
    "mask, 1:": lambda lib: (lib.tensor([True, False, True]), slice(1, None)),
    "mask, tensor": lambda lib: (lib.tensor([True, False, True]), lib.tensor([0, 3])),
    "empty mask": lambda lib: lib.zeros(3, 4, dtype=lib.bool),
    "list of bools": lambda lib: [True, False, True],
    "True": lambda lib: True,
}
REPEATS = {name for name in INDICES if name in ("list", "tensor", "negative tensor", "tensor of 2 axes", ":, tensor", "..., tensor", "0, :, tensor",
           "tensor, :, 0", "0, None, tensor", "-1, tensor", "tensor, 1", "0, ..., list", "array")}  # fmt: skip
# where a place is named twice the last value written should stay, which PyTorch does not promise


def _assign(lib: Any, x: Any, place: Any, value: Any) -> Any:
    y = x * 1.0
    y[place] = value
    return y


# fmt: off
class TestReadingAndWriting(OpSuite):
    cases = [
        Case(f"x[{name}]", lambda lib, x, i=i: x[i(lib)], [real(3, 4, 5)]) for name, i in INDICES.items()
    ] + [
        Case(f"x[{name}] = number", lambda lib, x, i=i: _assign(lib, x, i(lib), 2.5), [real(3, 4, 5)])
        for name, i in INDICES.items()
    ] + [
        Case(f"x[{name}] = tensor", lambda lib, x, v, i=i: _assign(lib, x, i(lib), v), [real(3, 4, 5), real()], smooth=name not in REPEATS)
        for name, i in INDICES.items()
    ] + [
        Case(f"x[{name}] = tensor of its shape", lambda lib, x, v, i=i: _assign(lib, x, i(lib), v),
             [real(3, 4, 5), real(*torch.zeros(3, 4, 5)[i(torch)].shape)])
        for name, i in INDICES.items() if name not in REPEATS
    ] + [
        Case("value broadcast", lambda lib, x, v: _assign(lib, x, (slice(None), 1), v), [real(3, 4, 5), real(5)]),
        Case("value with a leading axis of 1", lambda lib, x, v: _assign(lib, x, 1, v), [real(3, 4), real(1, 4)]),
        Case("constant gets a value", lambda lib, x, v: _assign(lib, x, 1, v), [real(3, 4).constant(), real(4)]),
        Case("value read from itself", lambda lib, x: _assign(lib, x, 0, x[1] * 2.0), [real(3, 4)]),
        Case("gather", lambda lib, x, i: lib.gather(x, 1, i), [real(3, 4), index(4, 3, 6)]),
        Case("gather dim=0, shorter", lambda lib, x, i: x.gather(0, i), [real(3, 4), index(3, 5, 2)]),
        Case("gather, 3 axes", lambda lib, x, i: x.gather(-1, i), [real(2, 3, 4), index(4, 2, 3, 5)]),
        Case("scatter_add", lambda lib, x, i, s: x.scatter_add(1, i, s), [real(3, 4), index(4, 3, 6), real(3, 6)]),
        Case("scatter_add, shorter index", lambda lib, x, i, s: lib.scatter_add(x, 0, i, s), [real(3, 4), index(3, 2, 3), real(5, 4).constant()], empty=False),
        Case("scatter", lambda lib, x, i, s: x.scatter(1, i, s), [real(2, 4), given([[3, 0], [1, 2]]), real(2, 2)]),
        Case("scatter, shorter index", lambda lib, x, i, s: x.scatter(0, i, s), [real(3, 4), given([[2, 0, 1]]), real(2, 4).constant()]),
        Case("scatter a number", lambda lib, x, i: lib.scatter(x, 1, i, 3.5), [real(3, 4), index(4, 3, 2)]),
        Case("scatter value=", lambda lib, x, i: x.scatter(0, i, value=-1.0), [real(3, 4), index(3, 1, 4)]),
        Case("index_select", lambda lib, x, i: lib.index_select(x, 1, i), [real(3, 4, 2), index(4, 6)]),
        Case("index_select dim=-1", lambda lib, x, i: x.index_select(-1, i), [real(3, 4), index(4, 2)]),
        Case("masked_select", lambda lib, x, m: lib.masked_select(x, m), [real(3, 4), mask(3, 4)]),
        Case("masked_select, broadcast", lambda lib, x, m: x.masked_select(m), [real(3, 4), mask(4)]),
        Case("sort", lambda lib, x: x.sort(), [distinct(3, 5)]),
        Case("sort down, dim=0", lambda lib, x: lib.sort(x, 0, descending=True), [distinct(3, 5)]),
        Case("sort, stable", lambda lib, x: lib.sort(x, dim=1, stable=True), [given([[1.0, 0.0, 1.0, 0.0]])], smooth=False),
        Case("sort down, stable", lambda lib, x: lib.sort(x, stable=True, descending=True), [given([1.0, 0.0, 1.0, 0.0])], smooth=False),
        Case("argsort", lambda lib, x: x.argsort(dim=0), [distinct(3, 5)]),
        Case("argsort down", lambda lib, x: lib.argsort(x, descending=True), [distinct(3, 5)]),
        Case("topk", lambda lib, x: x.topk(2), [distinct(3, 5)]),
        Case("topk smallest, dim=0", lambda lib, x: lib.topk(x, 3, dim=0, largest=False), [distinct(4, 5)]),
        Case("topk 0", lambda lib, x: x.topk(0), [distinct(3, 5)]),
        Case("embedding", lambda lib, i, w: lib.nn.functional.embedding(i, w), [index(7, 2, 3), real(7, 4)]),
        Case("embedding, padding_idx", lambda lib, i, w: lib.nn.functional.embedding(i, w, padding_idx=-2), [index(4, 3, 3), real(4, 2)], smooth=False, empty=False),
        Case("sort of no axes", lambda lib, x: x.sort(), [real()]),
        Case("gather of no axes", lambda lib, x: x.gather(0, lib.tensor(0)), [real()]),
    ]
# fmt: on


@st.composite
def numpy_indices(draw: Any) -> Any:
    """A random mixture of integers, slices, None, Ellipsis and index arrays for a (3, 4, 5, 2) array."""
    shape, parts, axis = (3, 4, 5, 2), [], 0
    length = draw(st.integers(1, 3))
    ellipsis = False
    while axis < 4 and len(parts) < 5 and draw(st.integers(0, 9)) > 0:
        n = shape[axis]
        kind = draw(st.sampled_from(["int", "slice", "none", "array", "ellipsis"]))
        if kind == "int":
            parts.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            parts.append(
                slice(
                    draw(st.none() | st.integers(-n, n)),
                    draw(st.none() | st.integers(-n, n)),
                    draw(st.none() | st.integers(1, 3)),
                )
            )
        elif kind == "none":
            parts.append(None)
            continue
        elif kind == "array":
            parts.append(draw(st.lists(st.integers(0, n - 1), min_size=length, max_size=length)))
        elif not ellipsis:
            parts.append(...)
            ellipsis = True
            axis = max(axis, 2)
            continue
        axis += 1
    if ellipsis and sum(p is not None and p is not ... for p in parts) > 4:
        parts = parts[:2]
    return tuple(parts)


@examples(numpy_indices())
def test_any_mixture_of_indices(parts: Any) -> None:
    def place(lib: Any) -> Any:
        return tuple(lib.tensor(p) if isinstance(p, list) else p for p in parts)

    def read(lib: Any, x: Any) -> Any:
        return x[place(lib)]

    try:
        torch.zeros(3, 4, 5, 2)[place(torch)]
    except (IndexError, ValueError):
        return
    agree(read, real(3, 4, 5, 2))
    agree(lambda lib, x: _assign(lib, x, place(lib), 1.5), real(3, 4, 5, 2))


def test_a_place_named_twice_keeps_the_last_value() -> None:
    x = minigrad.zeros(3)
    x[[0, 0, 1]] = minigrad.tensor([1.0, 2.0, 3.0])
    assert x.tolist() == [2.0, 3.0, 0.0]


def test_setitem_converts_the_value() -> None:
    for kind, value in [
        ("int64", 2.7),
        ("float32", 3),
        ("bool", 2),
        ("uint8", True),
        ("int32", [1.9, -1.9]),
        ("float64", 0.1),
    ]:
        with quiet():
            got, want = (lib.zeros(2, dtype=getattr(lib, kind)) for lib in (minigrad, torch))
            got[:] = minigrad.tensor(value) if isinstance(value, list) else value
            want[:] = torch.tensor(value) if isinstance(value, list) else value
        assert got.tolist() == want.tolist(), kind
        assert str(got.dtype).split(".")[-1] == kind
    x = minigrad.zeros(2, 2)
    x[0] = np.array([1.0, 2.0])
    x[1] = [3, 4]
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]


BYTES = {
    "mask": lambda lib: byte(lib, [1, 0, 1]),
    "any number but 0": lambda lib: byte(lib, [2, 0, 255]),
    "an axis further on": lambda lib: (slice(None), byte(lib, [0, 1, 1, 0])),
    "beside an integer": lambda lib: (byte(lib, [1, 1, 0]), 2),
    "beside rows": lambda lib: (byte(lib, [1, 0, 1]), lib.tensor([1, 3])),
    "two axes": lambda lib: byte(lib, [[1, 0, 0, 1], [0] * 4, [0, 1, 1, 1]]),
    "nothing": lambda lib: byte(lib, [0, 0, 0]),
    "without axes": lambda lib: lib.tensor(1, dtype=lib.uint8),
    "array": lambda lib: np.array([1, 0, 1], np.uint8),
}


def byte(lib: Any, values: Any) -> Any:
    return lib.tensor(values, dtype=lib.uint8)


@pytest.mark.parametrize("name", BYTES)
def test_bytes_are_a_mask(name: str) -> None:
    """As PyTorch wrote masks before it had bools."""
    values = np.random.default_rng(0).standard_normal((3, 4, 2))
    results = []
    with quiet():
        for lib in (minigrad, torch):
            x = lib.tensor(values, requires_grad=True)
            y = x[BYTES[name](lib)]
            y.backward(lib.tensor(np.random.default_rng(1).standard_normal(y.shape)))
            results.append([y.detach().numpy(), x.grad.numpy()])
    for got, want in zip(*results, strict=True):
        np.testing.assert_array_equal(got, want)
    place = BYTES[name](minigrad)
    bools = tuple(
        p.bool() if isinstance(p, minigrad.Tensor) and p.dtype == minigrad.uint8 else p
        for p in (place if isinstance(place, tuple) else (minigrad.as_tensor(place),))
    )
    written, want = minigrad.tensor(values), minigrad.tensor(values)
    written[place] = 7.0
    want[bools] = 7.0
    np.testing.assert_array_equal(written.numpy(), want.numpy())


def test_where_takes_bytes_and_masked_fill_refuses_them() -> None:
    x = minigrad.tensor([1.0, 2.0, 3.0])
    mask = byte(minigrad, [1, 0, 3])
    assert minigrad.where(mask, x, 0.0).tolist() == [1.0, 0.0, 3.0]
    for call in (lambda: x.masked_fill(mask, 0.0), lambda: x.masked_select(mask)):
        with pytest.raises(DtypeError, match=r"mask has dtype minigrad\.uint8, expected bool"):
            call()
    with pytest.raises(IndexError):
        x[byte(minigrad, [1, 0])]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bool"])
def test_masked_fill_keeps_the_dtype(dtype: str) -> None:
    for value in (2, 0.0, True):
        results = []
        for lib in (minigrad, torch):
            x = lib.tensor([1, 0, 1], dtype=getattr(lib, dtype))
            results.append([x.masked_fill(lib.tensor([True, True, False]), v) for v in (value, lib.tensor(value))])
        for got, want in zip(*results, strict=True):
            assert (got.tolist(), str(got.dtype).split(".")[1]) == (want.tolist(), dtype)
    with pytest.raises(ShapeError, match=r"value must be a number or have no axes, got shape \(1,\)"):
        minigrad.ones(2).masked_fill(minigrad.tensor(True), minigrad.ones(1))


@pytest.mark.parametrize("reduce", ["add", "multiply"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_scatter_that_combines(reduce: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, src, places = rng.integers(1, 9, (4, 3)), rng.integers(1, 9, (5, 3)), rng.integers(0, 4, (5, 2))
    with quiet():
        for source in (lambda lib: lib.tensor(src, dtype=getattr(lib, dtype)), lambda lib: 2.5):
            results = []
            for lib in (minigrad, torch):
                t = lib.tensor(x, dtype=getattr(lib, dtype))
                results.append(t.scatter(0, lib.tensor(places), source(lib), reduce=reduce).tolist())
                t.scatter_(0, lib.tensor(places), source(lib), reduce=reduce)
                assert t.tolist() == results[-1]
            assert results[0] == results[1]


def test_the_gradients_of_scatter_that_combines() -> None:
    places = minigrad.tensor([[0, 0, 2, 1], [1, 1, 0, 1], [0, 2, 2, 1]])

    def combined(reduce: str, *tensors: Any) -> Any:
        return minigrad.scatter(tensors[0], 0, places, tensors[1], reduce=reduce)

    x, src = (minigrad.tensor(np.random.default_rng(i).standard_normal((3, 4)), requires_grad=True) for i in (0, 1))
    assert minigrad.autograd.gradcheck(lambda x, src: combined("add", x, src), (x, src))
    assert minigrad.autograd.gradgradcheck(lambda x: combined("multiply", x, src.detach()), (x,))
    with pytest.raises(NotImplementedError, match="no gradient with respect to src"):
        combined("multiply", x, src)
    with pytest.raises(ValueError, match="reduce must be 'add' or 'multiply' if given, got 'mean'"):
        combined("mean", x, src)


def test_a_table_has_two_axes() -> None:
    for weight in (minigrad.tensor(1.0), minigrad.ones(2), minigrad.ones(2, 3, 4)):
        with pytest.raises(ShapeError, match="embedding: weight must be a table"):
            minigrad.nn.functional.embedding(minigrad.tensor([0]), weight)


def test_one_hot() -> None:
    for values, classes in (([0, 2, 1], -1), ([[1, 0], [3, 1]], 5), (2, 4)):
        got, want = (lib.nn.functional.one_hot(lib.tensor(values), classes) for lib in (minigrad, torch))
        assert got.dtype == minigrad.int64
        assert got.tolist() == want.tolist()


def test_nonzero() -> None:
    x = np.array([[0, 1, 0], [2, 0, 3]])
    assert minigrad.nonzero(minigrad.tensor(x)).tolist() == torch.nonzero(torch.tensor(x)).tolist()
    assert minigrad.tensor([0, 0]).nonzero().shape == (0, 1)


def test_refusals() -> None:
    x = minigrad.zeros(2, 3)
    for place in (2, (0, 3), minigrad.tensor([0, 5]), (0, 0, 0), -3):
        with pytest.raises(IndexError):
            x[place]
        with pytest.raises(IndexError):
            x[place] = 1.0
    with pytest.raises(IndexError, match="integers or bools"):
        x[minigrad.tensor([0.0])]
    with pytest.raises(TypeError, match="cannot index with str"):
        x["rows"]
    with pytest.raises(ShapeError, match=r"setitem.*\(2,\).*\(3,\)"):
        x[0] = minigrad.ones(2)
    with pytest.raises(TypeError, match="value must be"):
        x[0] = "a"
    with pytest.raises(IndexError, match="gather: index 3 is out of range"):
        x.gather(1, minigrad.tensor([[0, 3]]))
    with pytest.raises(ShapeError, match="as many axes"):
        x.gather(1, minigrad.tensor([0]))
    with pytest.raises(DtypeError, match="expected int64"):
        x.gather(1, minigrad.tensor([[0.0]]))
    with pytest.raises(DtypeError, match="src is"):
        x.scatter_add(1, minigrad.tensor([[0]]), minigrad.ones(1, 1, dtype=minigrad.float64))
    for src in (minigrad.ones(1, 1), minigrad.ones(3)):
        with pytest.raises(ShapeError, match="src has shape"):
            x.scatter_add(1, minigrad.tensor([[0, 1]]), src)
    with pytest.raises(ShapeError, match="longer than input"):
        x.gather(1, minigrad.tensor([[0], [0], [0]]))
    for places in (minigrad.tensor([[0]]), minigrad.tensor([0.0])):
        with pytest.raises(ShapeError, match="index_select: index must be 1-D"):
            x.index_select(0, places)
    with pytest.raises(ShapeError, match="topk"):
        x.topk(4)
    with pytest.raises(IndexError, match="embedding: index 9"):
        minigrad.nn.functional.embedding(minigrad.tensor([9]), x)
    with pytest.raises(IndexError, match="classes run from 0 to 3"):
        minigrad.nn.functional.one_hot(minigrad.tensor([0, 3]), 3)
    assert x.tolist() == [[0.0] * 3] * 2
