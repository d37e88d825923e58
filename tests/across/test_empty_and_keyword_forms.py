"""Empty tensors, tensors without axes, and arguments by keyword: what PyTorch makes of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad

torch = pytest.importorskip("torch")


def x(lib: Any, *shape: int, dtype: str = "float32") -> Any:
    """A leaf with given random numbers."""
    drawn = np.asarray(np.random.default_rng(sum(shape)).standard_normal(shape) * 4)
    t = lib.from_numpy(drawn.astype(dtype))
    return t.requires_grad_() if drawn.astype(dtype).dtype.kind == "f" else t


def ints(lib: Any, values: Any, dtype: str = "int64") -> Any:
    return lib.from_numpy(np.asarray(values, dtype))


Call = Callable[[Any], Any]

FORMS: dict[str, Call] = {
    # empty
    "softmax of an empty axis": lambda lib: x(lib, 5, 0, 0).softmax(-1),
    "softmax beside an empty axis": lambda lib: lib.softmax(x(lib, 0, 3), 1),
    "log_softmax of an empty axis": lambda lib: lib.log_softmax(x(lib, 3, 0), 1),
    "log_softmax in float64": lambda lib: lib.log_softmax(x(lib, 3, 0), 1, dtype=lib.float64),
    "batch_norm of an empty vector": lambda lib: lib.nn.functional.batch_norm(
        x(lib, 0), lib.zeros(0), lib.ones(0), training=True
    ),
    "batch_norm of an empty vector outside training": lambda lib: lib.nn.functional.batch_norm(
        x(lib, 0), lib.zeros(0), lib.ones(0)
    ),
    "gather, empty index": lambda lib: x(lib, 5).gather(0, ints(lib, np.empty((2, 0)))),
    "gather, empty index of many axes": lambda lib: x(lib, 5, 5).gather(1, ints(lib, np.empty((2, 0, 3)))),
    "gather, empty uint8 index": lambda lib: x(lib, 5).gather(0, ints(lib, np.empty(0), "uint8")),
    "scatter, empty index": lambda lib: x(lib, 5, 3).scatter(0, ints(lib, np.empty(0)), lib.ones(5, 3)),
    "scatter of a number, empty index": lambda lib: x(lib, 5).scatter(0, ints(lib, np.empty((2, 0))), 3.0),
    "scatter_add, empty index": lambda lib: x(lib, 5).scatter_add(0, ints(lib, np.empty((2, 0))), lib.ones(5)),
    "index_select, empty index": lambda lib: x(lib, 5, 3).index_select(1, ints(lib, [])),
    "nonzero of nothing": lambda lib: lib.zeros(3).nonzero(as_tuple=True),
    "repeat_interleave no times": lambda lib: x(lib, 3).repeat_interleave(0),
    "repeat_interleave of nothing": lambda lib: x(lib, 0, 2).repeat_interleave(3, dim=0),
    # without axes
    "gather from a number": lambda lib: x(lib).gather(0, ints(lib, [0, 0])),
    "gather a number from a number": lambda lib: x(lib).gather(-1, ints(lib, 0)),
    "gather a number from a vector": lambda lib: x(lib, 5).gather(0, ints(lib, 2)),
    "scatter into a number": lambda lib: x(lib).scatter(0, ints(lib, [0]), 5.0),
    "scatter a number into a number": lambda lib: x(lib).scatter(0, ints(lib, 0), lib.ones(())),
    "scatter_add into a number": lambda lib: x(lib).scatter_add(0, ints(lib, [0, 0]), lib.ones(2)),
    "scatter_add a number into a vector": lambda lib: x(lib, 3).scatter_add(0, ints(lib, 1), lib.ones(())),
    "index_select of a number": lambda lib: x(lib).index_select(0, ints(lib, [0])),
    "index_select by a number": lambda lib: x(lib, 4, 3).index_select(1, ints(lib, 2)),
    "nonzero of a number": lambda lib: x(lib).nonzero(),
    "nonzero of zero": lambda lib: lib.zeros(()).nonzero(),
    "nonzero of a number as_tuple": lambda lib: x(lib).nonzero(as_tuple=True),
    "nonzero of zero as_tuple": lambda lib: lib.zeros(()).nonzero(as_tuple=True),
    "movedim of a number": lambda lib: x(lib).movedim(0, -1),
    "movedim of no axes of a number": lambda lib: x(lib).movedim((), ()),
    "flip of a number": lambda lib: x(lib).flip(0),
    "sort of a number": lambda lib: lib.sort(x(lib)),
    "topk of a number": lambda lib: lib.topk(x(lib), 1),
    "repeat_interleave of a number": lambda lib: x(lib).repeat_interleave(3),
    "softmax of a number": lambda lib: x(lib).softmax(0),
    # keywords
    "flip(dims=)": lambda lib: lib.flip(x(lib, 2, 3), dims=(0, -1)),
    "flip along no axis": lambda lib: x(lib, 2, 3).flip(dims=()),
    "permute(dims=)": lambda lib: lib.permute(x(lib, 2, 3, 4), dims=(2, 0, 1)),
    "reshape(shape=)": lambda lib: lib.reshape(x(lib, 2, 3), shape=(3, -1)),
    "expand(size=)": lambda lib: x(lib, 3).expand(size=(2, 3)),
    "view(size=)": lambda lib: x(lib, 2, 3).view(size=(3, 2)),
    "repeat(repeats=)": lambda lib: x(lib, 3).repeat(repeats=(2, 2)),
    "tile(dims=)": lambda lib: lib.tile(x(lib, 3), dims=(2, 2)),
    "swapaxes(axis0=, axis1=)": lambda lib: lib.swapaxes(x(lib, 2, 3), axis0=0, axis1=1),
    "split(split_size=)": lambda lib: x(lib, 5).split(split_size=2),
    "movedim of lists": lambda lib: x(lib, 4, 3, 2, 1).movedim([0, -1, -2], [-3, -2, 0]),
    "movedim of all axes": lambda lib: lib.movedim(x(lib, 4, 3, 2), (0, 1, 2), (2, 1, 0)),
    "movedim of no axis": lambda lib: x(lib, 4, 3).movedim([], []),
    "nonzero(as_tuple=True)": lambda lib: lib.nonzero(ints(lib, [[0, 3, 0], [1, 0, 2]]), as_tuple=True),
    "nonzero(as_tuple=False)": lambda lib: lib.nonzero(ints(lib, [[0, 3, 0], [1, 0, 2]]), as_tuple=False),
    "var_mean(unbiased=)": lambda lib: lib.var_mean(x(lib, 4, 3), dim=1, unbiased=False, keepdim=True),
    "var_mean(unbiased)": lambda lib: lib.var_mean(x(lib, 4, 3), False),
    "var_mean(correction=)": lambda lib: lib.var_mean(x(lib, 4, 3), dim=None, correction=2),
    "var_mean(correction=None)": lambda lib: lib.var_mean(x(lib, 4, 3), 0, correction=None),
    "var(correction=None)": lambda lib: x(lib, 4, 3).var(correction=None),
    "std(correction=None)": lambda lib: lib.std(x(lib, 4, 3), dim=1, correction=None, keepdim=True),
    "max(other=)": lambda lib: lib.max(x(lib, 4), other=x(lib, 1)),
    "min(other=)": lambda lib: x(lib, 4).min(other=x(lib, 1)),
    "zeros(size=)": lambda lib: lib.zeros(size=(2, 3)),
    "ones(size=)": lambda lib: lib.ones(size=(2, 3), dtype=lib.int64),
    "new_zeros(dtype=)": lambda lib: x(lib, 2).new_zeros((2, 3), dtype=lib.int8),
    "new_zeros(size=)": lambda lib: x(lib, 2, dtype="float64").new_zeros(size=(2,)),
    "new_ones(dtype=)": lambda lib: ints(lib, [1]).new_ones(2, 3, dtype=lib.float64),
    "new_ones(device=)": lambda lib: ints(lib, [1]).new_ones((), device="cpu"),
    "new_ones(requires_grad=)": lambda lib: x(lib, 2).new_ones(3, requires_grad=True) * 2,
    "new_full(dtype=)": lambda lib: x(lib, 2).new_full((2, 3), 4, dtype=lib.uint8),
    "repeat_interleave(output_size=)": lambda lib: x(lib, 4, 2).repeat_interleave(
        ints(lib, [0, 1, 2, 3]), dim=0, output_size=6
    ),
    "repeat_interleave by one number in a tensor": lambda lib: x(lib, 3).repeat_interleave(ints(lib, [2])),
    "repeat_interleave(repeats)": lambda lib: lib.repeat_interleave(ints(lib, [1, 0, 2])),
    "scatter(reduce='add')": lambda lib: x(lib, 3).detach().scatter(0, ints(lib, [0, 0, 2]), lib.ones(3), reduce="add"),
    "scatter(reduce='multiply')": lambda lib: (
        x(lib, 3).detach().scatter(0, ints(lib, [0, 0, 2]), 2.5, reduce="multiply")
    ),
    "scatter_(reduce='add')": lambda lib: ints(lib, [1, 2]).scatter_(0, ints(lib, [0, 0]), 2.5, reduce="add"),
    "div_(rounding_mode=)": lambda lib: (x(lib, 4) * 1).div_(0.7, rounding_mode="floor"),
    "div_(rounding_mode=) of integers": lambda lib: ints(lib, [-7, 7]).div_(2, rounding_mode="trunc"),
    "round_(decimals=)": lambda lib: (x(lib, 4) * 1).round_(decimals=1),
    # integers to negative powers
    "1 / 2, rounded towards 0": lambda lib: ints(lib, [2, -2, -1, -1, 1, 0]) ** ints(lib, [-1, -1, -2, -3, -5, -1]),
    "2 to negative powers": lambda lib: 2 ** ints(lib, [-1, 3]),
    "-1 to negative powers": lambda lib: lib.pow(-1, ints(lib, [-3, -128, 5], "int8")),
    "in place": lambda lib: ints(lib, [3, -1]).pow_(ints(lib, -1)),
    "unsigned": lambda lib: ints(lib, [200], "uint8") ** ints(lib, [2], "uint8"),
}


def flat(out: Any) -> list[Any]:
    return list(out) if isinstance(out, (tuple, list)) else [out]


@pytest.mark.parametrize("name", FORMS)
def test_a_form_gives_what_pytorch_gives(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = flat(FORMS[name](torch))
    got = flat(FORMS[name](minigrad))
    assert len(got) == len(want)
    rng = np.random.default_rng(1)
    for y, w in zip(got, want, strict=True):
        assert str(y.dtype).split(".")[-1] == str(w.dtype).split(".")[-1]
        assert tuple(y.shape) == tuple(w.shape)
        assert y.requires_grad == w.requires_grad
        np.testing.assert_allclose(y.detach().numpy(), w.detach().numpy(), rtol=1e-6, atol=1e-7)
        if w.requires_grad:
            upstream = np.asarray(rng.standard_normal(tuple(w.shape)), w.detach().numpy().dtype)
            y.backward(minigrad.from_numpy(upstream), retain_graph=True)
            w.backward(torch.from_numpy(upstream), retain_graph=True)


@pytest.mark.parametrize(
    ("shape", "call"),
    [
        ((5, 0), lambda lib, t: t.softmax(1)),
        ((4, 3, 2), lambda lib, t: lib.movedim(t, [0, 2], [1, 0])),
        ((2, 3), lambda lib, t: lib.flip(t, dims=(0, 1))),
        ((5,), lambda lib, t: t.gather(0, ints(lib, np.empty((2, 0))))),
        ((), lambda lib, t: t.gather(0, ints(lib, [0, 0]))),
        ((), lambda lib, t: t.scatter_add(0, ints(lib, [0]), lib.ones(1, dtype=lib.float64))),
        ((), lambda lib, t: t.scatter(0, ints(lib, [0]), 2.0)),
        ((), lambda lib, t: t.index_select(0, ints(lib, [0]))),
        ((), lambda lib, t: t.repeat_interleave(3)),
        ((), lambda lib, t: lib.sort(t)[0]),
        ((0,), lambda lib, t: lib.nn.functional.batch_norm(t, None, None, training=True)),
        ((4, 3), lambda lib, t: lib.var_mean(t, 0, unbiased=False)[0]),
        ((3,), lambda lib, t: t.repeat_interleave(ints(lib, [2, 0, 1]))),
    ],
)
def test_the_gradient_of_a_form_is_pytorchs(shape: tuple[int, ...], call: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    values = np.asarray(rng.standard_normal(shape))
    leaves = [lib.from_numpy(values.copy()).requires_grad_() for lib in (minigrad, torch)]
    outs = [call(lib, leaf) for lib, leaf in zip((minigrad, torch), leaves, strict=True)]
    upstream = np.asarray(rng.standard_normal(tuple(outs[1].shape)))
    for lib, y in zip((minigrad, torch), outs, strict=True):
        y.backward(lib.from_numpy(upstream))
    np.testing.assert_allclose(leaves[0].grad.numpy(), leaves[1].grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("dim", [0, 1])
def test_an_empty_tensor_that_is_joined_gets_a_gradient_of_its_shape(dim: int) -> None:
    empty = minigrad.zeros(0, requires_grad=True)
    full = minigrad.ones(2, 3, requires_grad=True)
    y = minigrad.cat([empty, full, empty], dim)
    upstream = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    y.backward(minigrad.from_numpy(upstream))
    assert empty.grad.shape == (0,)
    np.testing.assert_array_equal(full.grad.numpy(), upstream)


def test_joined_empty_tensors_get_gradients() -> None:
    a, b = minigrad.zeros(0, requires_grad=True), minigrad.zeros(0, requires_grad=True)
    minigrad.cat([a, b]).backward(minigrad.zeros(0))
    assert a.grad.shape == b.grad.shape == (0,)


REFUSED: dict[str, tuple[Call, str]] = {
    "split": (lambda lib: lib.ones(()).split(1), "split: .*at least one axis"),
    "chunk": (lambda lib: lib.ones(()).chunk(1), "chunk: .*at least one axis"),
    "unbind": (lambda lib: lib.ones(()).unbind(), "unbind: .*at least one axis"),
    "movedim": (lambda lib: lib.ones(2, 3).movedim([0, 1], [1]), "movedim: 2 axes .* 1 places"),
    "movedim twice": (lambda lib: lib.ones(2, 3).movedim([0, 0], [1, 0]), "movedim: .*twice"),
    "index_select": (lambda lib: lib.ones(()).index_select(0, lib.tensor([0, 0])), "index_select: .*1 element"),
    "gather": (lambda lib: lib.ones(()).gather(0, lib.tensor([1])), "gather: index 1 is out of range"),
    "scatter": (lambda lib: lib.ones(2).scatter(0, lib.tensor([0]), 1.0, reduce="mean"), "reduce must be"),
    "repeat_interleave": (lambda lib: lib.ones(2).repeat_interleave(lib.tensor([1, 2, 3])), "one for each of the 2"),
    "repeat_interleave -1": (lambda lib: lib.ones(2).repeat_interleave(-1), "none of them negative"),
    "output_size": (lambda lib: lib.ones(2).repeat_interleave(2, output_size=5), "output_size is 5"),
    "pow": (lambda lib: lib.tensor([2]) ** -1, "pow: integers to a negative power"),
    "batch_norm": (lambda lib: lib.nn.functional.batch_norm(lib.ones(5), None, None, training=True), "at least 2 axes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_pytorch_refuses_is_refused_with_a_reason(name: str) -> None:
    call, reason = REFUSED[name]
    errors = (RuntimeError, ValueError, IndexError, TypeError)
    with pytest.raises(errors):
        call(torch)
    with pytest.raises(errors, match=reason):
        call(minigrad)
