"""Convolutions, their transposes, their gradients as functions, unfold and fold, against PyTorch."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from op_suite import Case, Input, OpSuite, agree, quiet, real, torch

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels
from minigrad.autograd import gradcheck, gradgradcheck
from minigrad.errors import DtypeError, ShapeError
from minigrad.ops.conv import Conv2d, ConvTranspose2d, ConvWeight2d

# Shapes and settings of conv2d: every setting, alone and with others, square and not, on images that leave a rest.
CONV2D: dict[str, tuple[list[tuple[int, ...]], dict[str, Any]]] = {
    "plain": ([(2, 3, 5, 6), (4, 3, 3, 3), (4,)], {}),
    "1×1": ([(2, 3, 4, 5), (6, 3, 1, 1), (6,)], {}),
    "not square": ([(2, 3, 5, 7), (4, 3, 2, 3), (4,)], {}),
    "stride": ([(2, 3, 7, 8), (4, 3, 3, 3), (4,)], {"stride": 2}),
    "stride, 1×1": ([(2, 3, 7, 8), (4, 3, 1, 1), (4,)], {"stride": 3}),
    "strides": ([(2, 3, 7, 8), (4, 3, 3, 2), (4,)], {"stride": (3, 2)}),
    "padding": ([(2, 3, 5, 4), (4, 3, 3, 3), (4,)], {"padding": 1}),
    "paddings": ([(2, 3, 5, 4), (6, 3, 3, 2), (6,)], {"padding": (2, 1)}),
    "padding beyond the kernel": ([(2, 3, 4, 5), (6, 3, 2, 1), (6,)], {"padding": (3, 2), "stride": (1, 2)}),
    "dilation": ([(2, 3, 7, 8), (4, 3, 3, 3), (4,)], {"dilation": 2}),
    "dilations": ([(2, 3, 7, 9), (4, 3, 2, 3), (4,)], {"dilation": (3, 2), "padding": (0, 1)}),
    "groups": ([(2, 4, 5, 3), (6, 2, 3, 3), (6,)], {"groups": 2}),
    "depthwise": ([(2, 4, 5, 6), (4, 1, 3, 3), (4,)], {"groups": 4, "padding": 1}),
    "depthwise, two kernels each": ([(2, 3, 5, 4), (6, 1, 3, 3), (6,)], {"groups": 3}),
    "all at once": ([(2, 4, 9, 8), (6, 2, 3, 2), (6,)], {"stride": (2, 3), "padding": (2, 1), "dilation": (2, 3), "groups": 2}),
    "same": ([(2, 3, 5, 6), (4, 3, 3, 3), (4,)], {"padding": "same"}),
    "same, even kernel": ([(2, 3, 5, 6), (4, 3, 2, 4), (4,)], {"padding": "same"}),
    "same, odd on one axis, dilation": ([(2, 3, 5, 6), (4, 3, 2, 3), (4,)], {"padding": "same", "dilation": (3, 2)}),
    "valid": ([(2, 3, 5, 6), (4, 3, 3, 3), (4,)], {"padding": "valid"}),
    "without bias": ([(2, 3, 5, 6), (4, 3, 3, 3)], {"padding": 1, "stride": 2}),
    "one sample": ([(3, 5, 6), (4, 3, 3, 3), (4,)], {"padding": 1}),
    "one place": ([(2, 3, 3, 2), (4, 3, 3, 2), (4,)], {}),
    "one channel": ([(2, 1, 5, 6), (3, 1, 4, 3), (3,)], {}),
}  # fmt: skip

CONV1D: dict[str, tuple[list[tuple[int, ...]], dict[str, Any]]] = {
    "plain": ([(2, 3, 7), (4, 3, 3), (4,)], {}),
    "all at once": ([(2, 4, 11), (6, 2, 3), (6,)], {"stride": 2, "padding": 3, "dilation": 2, "groups": 2}),
    "same, even kernel": ([(2, 3, 5), (4, 3, 2), (4,)], {"padding": "same"}),
    "one sample": ([(3, 7), (4, 3, 2), (4,)], {"stride": (2,)}),
    "without bias": ([(2, 3, 7), (4, 3, 3)], {"padding": (1,)}),
}  # fmt: skip

TRANSPOSE2D: dict[str, tuple[list[tuple[int, ...]], dict[str, Any]]] = {
    "plain": ([(2, 3, 4, 5), (3, 6, 3, 2), (6,)], {}),
    "stride": ([(2, 3, 4, 5), (3, 6, 3, 2), (6,)], {"stride": (2, 3)}),
    "padding": ([(2, 3, 4, 5), (3, 6, 3, 3), (6,)], {"padding": (1, 2)}),
    "padding beyond the kernel": ([(2, 3, 4, 5), (3, 6, 2, 1), (6,)], {"padding": (2, 1)}),
    "padding beyond the kernel, stride": ([(2, 3, 5, 4), (3, 6, 2, 1), (6,)], {"padding": (4, 2), "stride": (3, 2)}),
    "output_padding": ([(2, 3, 4, 5), (3, 6, 3, 2), (6,)], {"stride": (2, 3), "output_padding": (1, 2)}),
    "output_padding beyond the stride": ([(2, 3, 4, 5), (3, 6, 3, 2), (6,)], {"stride": (2, 1), "dilation": (4, 3), "output_padding": (3, 2)}),
    "the same without bias": ([(2, 3, 4, 5), (3, 6, 3, 2)], {"dilation": 3, "output_padding": (1, 2)}),
    "dilation": ([(2, 3, 4, 5), (3, 6, 3, 2), (6,)], {"dilation": (2, 3)}),
    "groups": ([(2, 4, 3, 5), (4, 3, 3, 2), (6,)], {"groups": 2}),
    "depthwise": ([(2, 3, 4, 5), (3, 1, 3, 2), (3,)], {"groups": 3, "stride": 2}),
    "all at once": ([(2, 4, 3, 5), (4, 3, 3, 2), (6,)], {"stride": (2, 3), "padding": (1, 2), "dilation": (2, 1), "output_padding": (1, 2), "groups": 2}),
    "one sample": ([(3, 4, 5), (3, 6, 3, 2), (6,)], {"stride": 2}),
}  # fmt: skip

TRANSPOSE1D: dict[str, tuple[list[tuple[int, ...]], dict[str, Any]]] = {
    "plain": ([(2, 3, 5), (3, 6, 3), (6,)], {}),
    "all at once": ([(2, 4, 5), (4, 3, 3), (6,)], {"stride": 3, "padding": 1, "dilation": 2, "output_padding": 2, "groups": 2}),
    "output_padding beyond the stride": ([(2, 3, 5), (3, 6, 2), (6,)], {"dilation": 3, "output_padding": 2}),
    "one sample": ([(3, 5), (3, 6, 2)], {"stride": 2}),
}  # fmt: skip

# Sizes at which kernels take over, in the same settings.
LARGE: dict[str, list[tuple[int, ...]]] = {
    "conv2d, plain": [(3, 5, 20, 22), (17, 5, 3, 3), (17,)],
    "conv2d, 1×1": [(3, 40, 9, 11), (33, 40, 1, 1), (33,)],
    "conv2d, not square": [(4, 3, 14, 17), (9, 3, 2, 5), (9,)],
    "conv2d, stride": [(3, 5, 21, 18), (12, 5, 3, 3), (12,)],
    "conv2d, padding": [(3, 32, 10, 8), (20, 32, 3, 3), (20,)],
    "conv2d, paddings": [(2, 6, 14, 12), (16, 6, 5, 3), (16,)],
    "conv2d, padding beyond the kernel": [(2, 6, 14, 12), (16, 6, 2, 1), (16,)],
    "conv2d, dilation": [(2, 5, 17, 18), (12, 5, 3, 3), (12,)],
    "conv2d, groups": [(3, 12, 13, 16), (18, 6, 3, 3), (18,)],
    "conv2d, depthwise": [(3, 4, 17, 16), (4, 1, 3, 3), (4,)],
    "conv2d, all at once": [(3, 8, 19, 18), (12, 4, 3, 2), (12,)],
    "conv2d, same, even kernel": [(3, 8, 19, 18), (12, 8, 2, 4), (12,)],
    "conv2d, without bias": [(2, 16, 15, 15), (24, 16, 3, 3)],
    "conv2d, one channel": [(5, 1, 28, 28), (6, 1, 5, 5), (6,)],
    "conv1d, all at once": [(3, 8, 90), (12, 4, 3), (12,)],
    "conv_transpose2d, stride": [(3, 12, 9, 8), (12, 10, 4, 3), (10,)],
    "conv_transpose2d, all at once": [(3, 8, 9, 8), (8, 6, 3, 2), (12,)],
    "conv_transpose2d, plain": [(3, 12, 9, 8), (12, 10, 3, 3), (10,)],
    "conv_transpose1d, plain": [(3, 12, 40), (12, 10, 3), (10,)],
}  # fmt: skip


def line(function: str, name: str, shapes: list[tuple[int, ...]], settings: dict[str, Any]) -> Case:
    title = f"{function}, {name}"
    large = LARGE.get(title)
    return Case(
        title,
        lambda lib, *xs: getattr(lib.nn.functional, function)(*xs, **settings),
        [real(*s) for s in shapes],
        large=[real(*s) for s in large] if large else None,
        rtol=1e-4,
        atol=1e-4,
        empty=False,  # PyTorch does odd things without channels; what matters has a test of its own
    )


def lines(**tables: Any) -> list[Case]:
    return [line(function, name, *rest) for function, table in tables.items() for name, rest in table.items()]


class TestConv2d(OpSuite):
    cases = lines(conv2d=CONV2D)


class TestOthers(OpSuite):
    cases = [
        *lines(conv1d=CONV1D, conv_transpose2d=TRANSPOSE2D, conv_transpose1d=TRANSPOSE1D),
        Case("conv2d, constant input", lambda lib, x, w, b: lib.conv2d(x, w, b, 2, 1), [real(2, 3, 5, 6).constant(), real(4, 3, 3, 2), real(4)], empty=False),
        Case("conv2d, constant weight", lambda lib, x, w, b: lib.conv2d(x, w, b, 2, 1), [real(2, 3, 5, 6), real(4, 3, 3, 2).constant(), real(4)], empty=False),
        Case("conv2d, constant bias", lambda lib, x, w, b: lib.conv2d(x, w, b, 2, 1), [real(2, 3, 5, 6), real(4, 3, 3, 2), real(4).constant()], empty=False),
        Case("conv_transpose2d, constant input", lambda lib, x, w, b: lib.conv_transpose2d(x, w, b, 2, 1), [real(2, 3, 5, 4).constant(), real(3, 6, 2, 3), real(6)], empty=False),
        Case("conv_transpose2d, constant weight", lambda lib, x, w, b: lib.conv_transpose2d(x, w, b, 2, 1), [real(2, 3, 5, 4), real(3, 6, 2, 3).constant(), real(6)], empty=False),
        Case("conv1d", lambda lib, x, w: lib.conv1d(x, w, stride=2), [real(2, 3, 7), real(4, 3, 2)], empty=False),
        Case("conv_transpose1d", lambda lib, x, w: lib.conv_transpose1d(x, w, stride=2), [real(2, 3, 7), real(3, 4, 2)], empty=False),
        Case("unfold", lambda lib, x: lib.nn.functional.unfold(x, 3), [real(2, 4, 5, 6)], empty=False),
        Case("unfold, all at once", lambda lib, x: lib.nn.functional.unfold(x, (2, 3), (2, 1), (1, 2), (3, 2)), [real(2, 4, 5, 6)], empty=False),
        Case("unfold, one sample", lambda lib, x: lib.nn.functional.unfold(x, (3, 2), stride=2), [real(4, 5, 6)], empty=False),
        Case("fold", lambda lib, x: lib.nn.functional.fold(x, (4, 5), 3), [real(2, 18, 6)], empty=False),
        Case("fold, all at once", lambda lib, x: lib.nn.functional.fold(x, (5, 7), (2, 3), (2, 1), (1, 2), (3, 2)), [real(2, 12, 10)], empty=False),
        Case("fold, one sample", lambda lib, x: lib.nn.functional.fold(x, [4, 5], (3, 2), padding=(1, 0)), [real(12, 16)], empty=False),
        Case("conv1d_input", lambda lib, w, dy: lib.nn.grad.conv1d_input((2, 4, 8), w, dy, 2, 1, 2, 2), [real(6, 2, 3), real(2, 6, 3)], empty=False),
        Case("conv1d_weight", lambda lib, x, dy: lib.nn.grad.conv1d_weight(x, (6, 2, 3), dy, 2, 1, 2, 2), [real(2, 4, 8), real(2, 6, 3)], empty=False),
        Case("conv2d_input", lambda lib, w, dy: lib.nn.grad.conv2d_input((2, 4, 8, 7), w, dy, (2, 1), (1, 2), (2, 1), 2), [real(6, 2, 3, 2), real(2, 6, 3, 10)], empty=False),
        Case("conv2d_weight", lambda lib, x, dy: lib.nn.grad.conv2d_weight(x, (6, 2, 3, 2), dy, (2, 1), (1, 2), (2, 1), 2), [real(2, 4, 8, 7), real(2, 6, 3, 10)], empty=False),
    ]  # fmt: skip


@st.composite
def convolutions(draw: Any) -> tuple[list[Input], tuple[Any, ...]]:
    """Inputs and settings (stride, padding, dilation, groups) of a conv2d in which at least one window fits."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    n, c, o = draw(st.integers(0, 3)), groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kernel, stride, dilation = draw(pair), draw(pair), draw(pair)
    padding = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = [m + draw(st.integers(0, 4)) for m in least]
    inputs = [real(n, c, *size), real(o, c // groups, *kernel), real(o)]
    return inputs, (stride, padding, dilation, groups)


@examples(convolutions(), st.sampled_from(["float64", "float32"]))
def test_any_convolution(drawn: Any, dtype: str) -> None:
    inputs, settings = drawn
    tolerance = {"float64": 1e-10, "float32": 1e-4}[dtype]
    agree(lambda lib, *xs: lib.conv2d(*xs, *settings), *inputs, dtype=dtype, rtol=tolerance, atol=tolerance)


@examples(convolutions(), st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_any_transpose(drawn: Any, rest: Any) -> None:
    (y, w, _), (stride, padding, dilation, groups) = drawn
    rest = tuple(min(r, max(s, d) - 1) for r, s, d in zip(rest, stride, dilation, strict=True))
    n, _, h, v = y.shape
    o, c, *kernel = w.shape
    size = [
        (m - 1) * s - 2 * p + d * (k - 1) + r + 1
        for m, k, s, p, d, r in zip((h, v), kernel, stride, padding, dilation, rest, strict=True)
    ]
    if min(size) < 1:
        return
    inputs = [real(n, o, h, v), real(o, c, *kernel), real(c * groups)]
    agree(lambda lib, *xs: lib.conv_transpose2d(*xs, stride, padding, rest, groups, dilation), *inputs)


def derivatives(lib: Any, arrays: list[Any], settings: Any) -> list[Any]:
    """y, then the gradients of (x, w, b), then the gradients of these by (x, w, dy): all with random weights."""
    rng = np.random.default_rng(5)
    x, w, b = (lib.tensor(a, requires_grad=True) for a in arrays)
    y = lib.conv2d(x, w, b, *settings)
    dy = lib.tensor(rng.standard_normal(tuple(y.shape)), dtype=y.dtype, requires_grad=True)
    first = lib.autograd.grad(y, (x, w, b), dy, create_graph=True)
    upstream = [lib.tensor(rng.standard_normal(tuple(g.shape)), dtype=y.dtype) for g in first]
    second = lib.autograd.grad(first, (x, w, dy), upstream, create_graph=True)
    upstream = [lib.tensor(rng.standard_normal(tuple(g.shape)), dtype=y.dtype) for g in second]
    third = lib.autograd.grad(second, (x, w, dy), upstream, materialize_grads=True)
    return [t.detach().numpy() for t in (y, *first, *second, *third)]


@examples(convolutions())
def test_derivatives_of_any_order(drawn: Any) -> None:
    inputs, settings = drawn
    if not inputs[0].shape[0]:
        return
    rng = np.random.default_rng(0)
    arrays = [i.draw(rng, i.shape) for i in inputs]
    with quiet():
        want = derivatives(torch, arrays, settings)
    for got, expected in zip(derivatives(minigrad, arrays, settings), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("shapes", "settings"),
    [
        ([(3, 12, 10, 12), (16, 12, 3, 3), (16,)], (1, 1)),
        ([(3, 12, 11, 12), (16, 12, 3, 2), (16,)], (2, (1, 0))),
        ([(3, 8, 11, 12), (8, 1, 3, 3), (8,)], (1, 1, 1, 8)),
        ([(2, 8, 13, 12), (12, 4, 3, 3), (12,)], ((2, 1), 2, 2, 2)),
    ],
    ids=["plain", "stride", "depthwise", "groups"],
)
def test_derivatives_of_any_order_go_through_kernels(shapes: Any, settings: Any) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    fast = derivatives(minigrad, arrays, settings)
    with kernels.disabled():
        textbook = derivatives(minigrad, arrays, settings)
    for got, want in zip(fast, textbook, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * abs(want).max())


OPTIONS = ((2, 1), (1, 2), (1, 2), 2)


@pytest.mark.parametrize("op", ["conv", "transpose", "weight"])
def test_each_op_is_the_slope_of_the_others(op: str) -> None:
    rng = np.random.default_rng(1)
    x, w, y, b, c = (
        minigrad.tensor(rng.standard_normal(s), requires_grad=True)
        for s in ((2, 4, 5, 4), (6, 2, 2, 3), (2, 6, 3, 4), (6,), (4,))
    )
    functions: dict[str, tuple[Any, Any]] = {
        "conv": (lambda *t: Conv2d.apply(*t, *OPTIONS), (x, w, b)),
        "transpose": (lambda *t: ConvTranspose2d.apply(*t, (5, 4), *OPTIONS), (y, w, c)),
        "weight": (lambda *t: ConvWeight2d.apply(*t, (2, 3), *OPTIONS), (x, y)),
    }
    function, arguments = functions[op]
    assert gradcheck(function, arguments)
    assert gradgradcheck(function, arguments)


def test_the_three_ops_are_one_trilinear_form() -> None:
    """⟨y, w ⋆ x⟩ = ⟨x, transpose(y, w)⟩ = ⟨w, weight(x, y)⟩, in the kernels' dtype and the textbook's."""
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((3, 8, 13, 12), (12, 4, 2, 3), (3, 12, 7, 12))]
    x, w, y = map(minigrad.tensor, arrays)

    def forms() -> list[float]:
        return [
            (y * Conv2d.apply(x, w, None, *OPTIONS)).sum().item(),
            (x * ConvTranspose2d.apply(y, w, None, (13, 12), *OPTIONS)).sum().item(),
            (w * ConvWeight2d.apply(x, y, (2, 3), *OPTIONS)).sum().item(),
        ]

    with kernels.disabled():
        textbook = forms()
    for found in (textbook, forms()):
        np.testing.assert_allclose(found, textbook[0], rtol=1e-4, atol=1e-2)


def test_a_convolution_is_the_kernel_times_the_unfolded_image() -> None:
    rng = np.random.default_rng(3)
    x, w = minigrad.tensor(rng.standard_normal((2, 3, 6, 7))), minigrad.tensor(rng.standard_normal((4, 3, 3, 2)))
    settings = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}
    y = F.conv2d(x, w, **settings)
    columns = F.unfold(x, (3, 2), **settings)
    np.testing.assert_allclose(y.numpy(), (w.reshape(4, -1) @ columns).reshape(y.shape).numpy(), atol=1e-12)
    # The way back is the product with the transpose, laid onto the image: another road to the flipped kernel's result.
    dy = minigrad.tensor(rng.standard_normal(y.shape))
    back = F.fold(w.reshape(4, -1).T @ dy.reshape(2, 4, -1), (6, 7), (3, 2), **settings)
    np.testing.assert_allclose(
        back.numpy(), minigrad.nn.grad.conv2d_input(x.shape, w, dy, **settings).numpy(), atol=1e-12
    )


def test_fold_of_unfold_counts_windows() -> None:
    x = minigrad.tensor(np.random.default_rng(4).standard_normal((1, 1, 4, 5)))
    y = F.fold(F.unfold(x, 2), (4, 5), 2)
    counts = np.outer([1, 2, 2, 1], [1, 2, 2, 2, 1])
    np.testing.assert_allclose(y.numpy()[0, 0], x.numpy()[0, 0] * counts)


def test_no_samples() -> None:
    agree(lambda lib, *xs: lib.conv2d(*xs, padding=1), real(0, 3, 5, 6), real(4, 3, 3, 3), real(4))
    agree(lambda lib, *xs: lib.conv1d(*xs, padding="same"), real(0, 3, 5), real(4, 3, 2), real(4))
    agree(lambda lib, *xs: lib.conv_transpose2d(*xs, stride=2), real(0, 3, 4, 5), real(3, 2, 3, 3), real(2))
    agree(lambda lib, x: lib.nn.functional.unfold(x, 3), real(0, 3, 5, 6))
    agree(lambda lib, x: lib.nn.functional.fold(x, (4, 5), 3), real(0, 18, 6))


def test_no_channels_leave_the_bias() -> None:
    b = minigrad.tensor([1.0, 2.0], requires_grad=True)
    y = F.conv2d(minigrad.ones(3, 0, 5, 6), minigrad.ones(2, 0, 3, 3, requires_grad=True), b)
    assert y.shape == (3, 2, 3, 4)
    assert (y == b.reshape(2, 1, 1)).all()
    dy = minigrad.randn(*y.shape)
    y.backward(dy)
    assert b.grad is not None
    np.testing.assert_allclose(b.grad.numpy(), dy.numpy().sum((0, 2, 3)), rtol=1e-5)


def test_settings_as_lists_and_numpys_integers() -> None:
    x, w = minigrad.rand(1, 2, 6, 7), minigrad.rand(3, 2, 3, 2)
    want = F.conv2d(x, w, stride=(2, 1), padding=(1, 1)).numpy()
    np.testing.assert_array_equal(F.conv2d(x, w, stride=[np.int64(2), 1], padding=np.int32(1)).numpy(), want)


def test_two_steps_with_the_same_graph() -> None:
    x, w = minigrad.rand(1, 2, 5, 5, requires_grad=True), minigrad.rand(3, 2, 3, 3, requires_grad=True)
    y = F.conv2d(x, w)
    dy = minigrad.randn(*y.shape)
    y.backward(dy, retain_graph=True)
    assert w.grad is not None
    once = w.grad.numpy().copy()
    y.backward(dy)
    np.testing.assert_allclose(w.grad.numpy(), 2 * once, rtol=1e-6)


one = minigrad.ones


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 7, 7)), ShapeError, r"conv2d: an input of 5×5 with padding 0×0.*kernel_size 7×7.*⌊\(size \+ 2·padding.*= -1×-1"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), dilation=3), ShapeError, r"dilation 3×3.*= -1×-1"),
        (lambda: F.conv2d(one(1, 3, 0, 5), one(4, 3, 1, 1), padding=2), ShapeError, r"input of 0×5"),
        (lambda: F.conv2d(one(1, 2, 5, 5), one(4, 3, 3, 3)), ShapeError, r"input has 2 channels \(shape \(1, 2, 5, 5\)\), weight of shape \(4, 3, 3, 3\) with groups=1 expects 3·1 = 3"),
        (lambda: F.conv2d(one(1, 4, 5, 5), one(4, 4, 3, 3), groups=2), ShapeError, r"groups=2 expects 4·2 = 8"),
        (lambda: F.conv2d(one(1, 4, 5, 5), one(5, 2, 3, 3), groups=2), ShapeError, r"first axis of weight \(shape \(5, 2, 3, 3\)\) is not divisible by groups=2"),
        (lambda: F.conv2d(one(5, 5), one(4, 3, 3, 3)), ShapeError, r"input must have axes \(N, C, H, W\) or \(C, H, W\), got shape \(5, 5\)"),
        (lambda: F.conv1d(one(1, 3, 5, 5), one(4, 3, 3)), ShapeError, r"conv1d: input must have axes \(N, C, L\)"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3)), ShapeError, r"weight must have axes \(O, C/groups, KH, KW\).*\(4, 3, 3\)"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(0, 3, 3, 3)), ShapeError, r"weight must.*\(0, 3, 3, 3\)"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 0, 3)), ShapeError, r"weight must.*\(4, 3, 0, 3\)"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), one(3)), ShapeError, r"bias has shape \(3,\).*expects \(4,\)"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), one(4, 1)), ShapeError, r"bias has shape \(4, 1\)"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), stride=0), ShapeError, r"stride must be positive, got 0"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), stride=(1, -1)), ShapeError, r"stride must be positive, got \(1, -1\)"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), dilation=0), ShapeError, r"dilation must be positive, got 0"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), padding=-1), ShapeError, r"padding must not be negative, got -1"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), groups=0), ShapeError, r"groups must be positive, got 0"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), stride=1.0), TypeError, r"stride must be an integer or 2 of them, got 1\.0"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), stride=True), TypeError, r"stride must be an integer"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), groups=1.5), TypeError, r"groups must be an integer, got 1\.5"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), dilation=(1, 1, 1)), ShapeError, r"dilation must be an integer or 2 of them, got \(1, 1, 1\)"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), 2, "same"), TypeError, r"bias must be a Tensor, got int"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), stride=2, padding="same"), ShapeError, r"padding='same'.*stride \(2, 2\)"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), padding="full"), ValueError, r"padding must be 'same', 'valid' or integers, got 'full'"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3).double()), DtypeError, r"weight has dtype minigrad\.float64 \(shape \(4, 3, 3, 3\)\), input minigrad\.float32"),
        (lambda: F.conv2d(one(1, 3, 5, 5), one(4, 3, 3, 3), one(4).double()), DtypeError, r"bias has dtype minigrad\.float64"),
        (lambda: F.conv2d(one(1, 3, 5, 5).long(), one(4, 3, 3, 3)), DtypeError, r"input has dtype minigrad\.int64"),
        (lambda: F.conv2d(np.ones((1, 3, 5, 5)), one(4, 3, 3, 3)), TypeError, r"conv2d: input must be a Tensor, got ndarray"),
        (lambda: F.conv_transpose2d(one(1, 2, 5, 5), one(3, 4, 3, 3)), ShapeError, r"conv_transpose2d: input has 2 channels.*weight of shape \(3, 4, 3, 3\) takes 3"),
        (lambda: F.conv_transpose2d(one(1, 3, 5, 5), one(3, 4, 3, 3), one(3)), ShapeError, r"bias has shape \(3,\).*\(4,\)"),
        (lambda: F.conv_transpose2d(one(1, 3, 5, 5), one(3, 4, 3, 3), groups=2), ShapeError, r"not divisible by groups=2"),
        (lambda: F.conv_transpose2d(one(1, 3, 5, 5), one(3, 4, 3, 3), output_padding=1), ShapeError, r"output_padding \(1, 1\) must be smaller than stride \(1, 1\) or dilation"),
        (lambda: F.conv_transpose2d(one(1, 3, 1, 1), one(3, 4, 3, 3), padding=2), ShapeError, r"output of -1×-1: \(size − 1\)·stride"),
        (lambda: F.conv_transpose2d(one(1, 3, 0, 1), one(3, 4, 3, 3)), ShapeError, r"input of 0×1"),
        (lambda: F.conv_transpose2d(one(1, 3, 2, 1), one(3, 0, 3, 3)), ShapeError, r"\(3, 0, 3, 3\)"),
        (lambda: F.conv_transpose1d(one(1, 3, 5), one(3, 4, 3), padding="same"), TypeError, r"padding must be an integer, got 'same'"),
        (lambda: F.unfold(one(5, 5), 3), ShapeError, r"unfold: input must have axes \(N, C, H, W\)"),
        (lambda: F.unfold(one(1, 2, 5, 5), 6), ShapeError, r"unfold: an input of 5×5.*kernel_size 6×6"),
        (lambda: F.unfold(one(1, 2, 5, 5), 0), ShapeError, r"kernel_size must be positive, got 0"),
        (lambda: F.unfold(one(1, 2, 5, 5).long(), 2), DtypeError, r"unfold: input has dtype"),
        (lambda: F.fold(one(1, 9, 4), (3, 3), 2), ShapeError, r"fold: input has 9 rows.*multiple of 4"),
        (lambda: F.fold(one(1, 8, 5), (3, 3), 2), ShapeError, r"fold: input has 5 columns.*2·2 = 4"),
        (lambda: F.fold(one(1, 1, 8, 5), (3, 3), 2), ShapeError, r"fold: input must have axes"),
        (lambda: F.fold(one(1, 8, 4), (3, 3, 3), 2), ShapeError, r"output_size must be an integer or 2"),
        (lambda: minigrad.nn.grad.conv2d_input((1, 3, 5, 5), one(4, 3, 3, 3), one(1, 4, 5, 5)), ShapeError, r"conv2d_input: grad_output has shape \(1, 4, 5, 5\).*\(1, 4, 3, 3\)"),
        (lambda: minigrad.nn.grad.conv2d_weight(one(1, 3, 5, 5), (4, 2, 3, 3), one(1, 4, 3, 3)), ShapeError, r"conv2d_weight: input has 3 channels"),
        (lambda: minigrad.nn.grad.conv2d_weight(one(3, 5, 5), (4, 3, 3, 3), one(1, 4, 3, 3)), ShapeError, r"input must have axes \(N, C, H, W\), got"),
        (lambda: minigrad.nn.grad.conv2d_weight(one(1, 3, 5, 5), (4, 3, 3), one(1, 4, 3, 3)), ShapeError, r"weight_size must be an integer or 4"),
        (lambda: minigrad.nn.grad.conv1d_input((1, 3, 5), one(4, 3, 3), one(1, 4, 3), padding="same"), TypeError, r"padding must be an integer, got 'same'"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
