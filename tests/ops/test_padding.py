"""Padding against PyTorch: every mode, every number of axes, what is refused."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from derivatives import thirds_agree
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st
from op_suite import Case, OpSuite, agree, real, torch

import minigrad
import minigrad.nn.functional as F
from minigrad.errors import ShapeError

OWN = ["reflect", "replicate", "circular"]


# fmt: off
class TestPadding(OpSuite):
    cases = [
        Case(f"pad {mode} {widths}", lambda lib, x, w=widths, m=mode: lib.nn.functional.pad(x, w, mode=m), [real(*shape)])
        for mode, widths, shape in [
            ("constant", (1, 2), (2, 3)),
            ("constant", (0, 1, 2, 0), (2, 3)),
            ("constant", (-1, 2), (2, 3)),
            ("constant", (1, -2, -1, 0), (3, 4)),
            ("constant", (0, 0), (2, 3)),
            ("constant", (), (2, 3)),
            ("constant", (), ()),
            ("reflect", (2, 1), (2, 3, 4)),
            ("reflect", (0, 3), (3, 4)),
            ("reflect", (3, 0), (2, 3, 4)),
            ("reflect", (1, 2, 2, 1), (1, 2, 4, 5)),
            ("reflect", (1, 2, 2, 1), (2, 4, 5)),
            ("reflect", (1, 1, 1, 2, 2, 1), (1, 2, 3, 4, 5)),
            ("reflect", (0, 1, 1, 0, 1, 2), (2, 3, 4, 5)),
            ("reflect", (-1, 3), (2, 3, 4)),
            ("replicate", (2, 1), (3, 1)),
            ("replicate", (2, 5), (2, 3, 4)),
            ("replicate", (1, 2, 0, 3), (1, 2, 4, 5)),
            ("replicate", (1, 1, 1, 2, 2, 1), (1, 2, 3, 4, 5)),
            ("replicate", (0, 2, -1, 1), (2, 3, 5)),
            ("circular", (4, 4), (3, 4)),
            ("circular", (3, 1), (2, 3, 4)),
            ("circular", (0, 0), (2, 3, 4)),
            ("circular", (1, 2, 2, 1), (1, 2, 4, 5)),
            ("circular", (1, 1, 1, 2, 2, 1), (1, 2, 3, 4, 5)),
            ("circular", (-1, 1, 1, -2), (2, 3, 5)),
        ]
    ] + [
        Case("pad with a value", lambda lib, x: lib.nn.functional.pad(x, (1, 1), value=-2.5), [real(2, 3)]),
        Case("pad, a value of 0 for a mode without", lambda lib, x: lib.nn.functional.pad(x, (1, 1), "reflect", 0), [real(2, 3)]),
        Case("pad the same twice", lambda lib, x: lib.nn.functional.pad(lib.nn.functional.pad(x, (1, 2), "reflect"), (2, 3), "circular"), [real(2, 4)]),
    ]
# fmt: on


@examples(st.lists(st.integers(-2, 3), min_size=6, max_size=6))
def test_any_constant_padding(widths: list[int]) -> None:
    agree(lambda lib, x: lib.nn.functional.pad(x, widths), real(4, 5, 4))


@settings(max_examples=60)
@examples(st.sampled_from(OWN), st.integers(1, 3), st.booleans(), st.data())
def test_any_padding_with_own_elements(mode: str, axes: int, batched: bool, data: Any) -> None:
    sizes = [data.draw(st.integers(1, 4)) for _ in range(axes)]
    top = {"reflect": -1, "circular": 0, "replicate": 3}[mode]
    widths = [data.draw(st.integers(0, n + top)) for n in reversed(sizes) for _ in "ab"]
    shape = (*([2] if batched else []), 2, *sizes)
    agree(lambda lib, x: lib.nn.functional.pad(x, widths, mode=mode), real(*shape))


@pytest.mark.parametrize("mode", ["constant", *OWN])
def test_the_third_derivative(mode: str) -> None:
    thirds_agree(lambda lib, x: lib.nn.functional.pad(x, (2, 1, 0, 2), mode=mode), (2, 3, 4))


@pytest.mark.parametrize("mode", OWN)
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float16"])
def test_dtypes_stay(mode: str, dtype: str) -> None:
    x = (np.arange(24).reshape(2, 3, 4) % 5).astype(dtype)
    y = F.pad(minigrad.from_numpy(x), (2, 1), mode=mode)
    want = np.pad(x, ((0, 0), (0, 0), (2, 1)), mode={"replicate": "edge", "circular": "wrap"}.get(mode, mode))
    np.testing.assert_array_equal(y.numpy(), want)
    assert y.numpy().dtype == x.dtype


@pytest.mark.parametrize("mode", OWN)
def test_the_result_has_memory_of_its_own(mode: str) -> None:
    x = minigrad.rand(2, 3, 4)
    before = x.numpy().copy()
    F.pad(x, (0, 0), mode=mode).zero_()
    np.testing.assert_array_equal(x.numpy(), before)


WRONG = [
    ((4,), (1, 1), "reflect"),
    ((2, 3, 4, 4), (1, 1), "replicate"),
    ((3, 4), (1, 1, 1, 1), "circular"),
    ((1, 1, 1, 1, 4, 4), (1, 1, 1, 1), "reflect"),
    ((2, 2, 2, 2), (0,) * 8, "circular"),
    ((1, 1, 4), (), "circular"),
    ((1, 1, 4), (1,), "reflect"),
    ((1, 1, 4), (1, 1, 1), "constant"),
    ((4,), (1, 1, 1, 1), "constant"),
    ((1, 1, 4), (4, 0), "reflect"),
    ((1, 1, 4), (0, 4), "reflect"),
    ((1, 1, 3, 4), (0, 0, 3, 0), "reflect"),
    ((1, 1, 4), (5, 0), "circular"),
    ((1, 1, 4), (0, 5), "circular"),
    ((1, 1, 0), (1, 1), "circular"),
    ((1, 1, 0), (0, 0), "replicate"),
    ((2, 0, 4), (1, 1), "reflect"),
    ((0, 4), (1, 1), "replicate"),
    ((1, 1, 4), (-3, -2), "replicate"),
    ((1, 1, 4), (-3, -2), "circular"),
    ((4,), (-3, -2), "constant"),
]


@pytest.mark.parametrize(("shape", "widths", "mode"), WRONG)
def test_what_pytorch_refuses(shape: Any, widths: Any, mode: str) -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.nn.functional.pad(torch.ones(shape), widths, mode=mode)
    with pytest.raises(ShapeError, match="pad: "):
        F.pad(minigrad.ones(*shape), widths, mode=mode)


def test_errors_say_what_came_and_what_fits() -> None:
    x = minigrad.ones(2, 3, 4)
    with pytest.raises(ValueError, match="mode must be 'constant', 'reflect', 'replicate' or 'circular', got 'mirror'"):
        F.pad(x, (1, 1), mode="mirror")
    with pytest.raises(ShapeError, match=r"widths from 0 to 3 on axis 2 of shape \(2, 3, 4\).*got \(4, 0\)"):
        F.pad(x, (4, 0), mode="reflect")
    with pytest.raises(ShapeError, match=r"widths from 0 to 4 .*got \(0, 5\)"):
        F.pad(x, (0, 5), mode="circular")
    with pytest.raises(ShapeError, match=r"got 3: \(1, 1, 1\)"):
        F.pad(x, (1, 1, 1))
    with pytest.raises(ValueError, match=r"mode 'reflect' .* no value; got value=2"):
        F.pad(x, (1, 1), mode="reflect", value=2)
    with pytest.raises(TypeError, match="integers"):
        F.pad(x, (1.5, 1))
