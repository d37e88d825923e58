"""How tensors read: short, in one look, and back into the same numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad

SAMPLES: list[Any] = [
    3.0, 2, True, [1.0, 2.5], [1, 2, 3], [True, False], [[1.0, -2.0], [3.5, 1e10]], [], [[]], [[], []], [1e-20, 1.0],
    [math.nan, math.inf, -math.inf], np.zeros((2, 0, 3)), np.arange(24.0).reshape(2, 3, 4), [0.1 + 0.2], [1e300],
    [-0.0],
    np.float16(1.5), np.arange(3, dtype=np.uint8), [[[[1.0]]]], 1e-7, [123456789.0], np.arange(6.0).reshape(2, 3).T,
]  # fmt: skip


@pytest.mark.parametrize("i", range(len(SAMPLES)))
def test_what_is_printed_is_what_is_there(i: int) -> None:
    t = minigrad.tensor(SAMPLES[i])
    text = repr(t)
    assert text.startswith("tensor(")
    assert text.endswith(")")
    assert str(t) == text
    names = {"tensor": minigrad.tensor, "minigrad": minigrad, "nan": math.nan, "inf": math.inf}
    if t.numel():
        again = eval(text, names)
        assert again.dtype == t.dtype
        np.testing.assert_allclose(again.numpy(), t.numpy(), rtol=1e-3, atol=1e-4)
    elif t.ndim > 1:
        assert f"size={tuple(t.shape)}" in text


def test_what_stands_beside_the_numbers() -> None:
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 4.], grad_fn=<MulBackward>)"
    assert repr(x.detach()) == "tensor([1., 2.])"
    assert repr(x.double().detach()) == "tensor([1., 2.], dtype=minigrad.float64)"
    assert repr(minigrad.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(minigrad.tensor(True)) == "tensor(True)"
    assert repr(minigrad.tensor([1], dtype=minigrad.int32)) == "tensor([1], dtype=minigrad.int32)"
    assert "size=(2, 0)" in repr(minigrad.zeros(2, 0))
    assert repr(minigrad.zeros(2, 3).shape) == "minigrad.Size([2, 3])"
    assert "Parameter containing:" in repr(minigrad.nn.Parameter(minigrad.ones(1)))


def test_large_tensors_are_shortened() -> None:
    text = repr(minigrad.zeros(300, 300))
    assert "..." in text
    assert len(text) < 1000
    assert len(repr(minigrad.arange(1000))) > 3000 or "..." in repr(minigrad.arange(1001))


def test_options() -> None:
    x = minigrad.tensor([1 / 3, 2.0])
    try:
        minigrad.set_printoptions(precision=2)
        assert repr(x) == "tensor([0.33, 2.  ])"
        minigrad.set_printoptions(threshold=3, edgeitems=1)
        assert repr(minigrad.arange(10)) == "tensor([0, ..., 9])"
    finally:
        minigrad.set_printoptions(precision=4, threshold=1000, edgeitems=3)
    assert repr(x) == "tensor([0.3333, 2.    ])"


def test_format() -> None:
    x = minigrad.tensor(3.14159)
    assert f"{x:.2f}" == "3.14"
    assert f"{minigrad.tensor(7):03d}" == "007"
    assert f"{x}" == repr(x)
    assert f"{minigrad.tensor([1.0])}" == "tensor([1.])"
