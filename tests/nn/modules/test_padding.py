"""Padding layers against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ShapeError

torch = pytest.importorskip("torch")

rng = np.random.default_rng(0)
KINDS = ["Constant", "Zero", "Reflection", "Replication", "Circular"]
PADDINGS: dict[int, list[Any]] = {1: [1, (2, 0)], 2: [1, (2, 0, 1, 2)], 3: [1, (1, 0, 2, 1, 0, 2)]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("axes", "padding"), [(axes, p) for axes, rows in PADDINGS.items() for p in rows])
@pytest.mark.parametrize("batched", [True, False])
def test_same_as_pytorch(kind: str, axes: int, padding: Any, batched: bool) -> None:
    arguments = (padding, 0.5) if kind == "Constant" else (padding,)
    ours, theirs = (getattr(lib.nn, f"{kind}Pad{axes}d")(*arguments) for lib in (minigrad, torch))
    assert repr(ours) == repr(theirs)
    assert ours.padding == theirs.padding
    data = rng.standard_normal(((2,) if batched else ()) + (3, 4, 5, 3)[: axes + 1])
    a, b = minigrad.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    y, z = ours(a), theirs(b)
    upstream = rng.standard_normal(z.shape)
    y.backward(minigrad.tensor(upstream))
    z.backward(torch.tensor(upstream))
    np.testing.assert_array_equal(y.detach().numpy(), z.detach().numpy())
    assert a.grad is not None
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_a_list_will_do() -> None:
    assert nn.ZeroPad2d([1, 2, 3, 4]).padding == (1, 2, 3, 4)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"ReflectionPad2d: padding must be an integer or 4 of them.*got \(1, 2\)"):
        nn.ReflectionPad2d((1, 2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"ZeroPad1d: padding must be an integer or a tuple of 2, got 1\.5"):
        nn.ZeroPad1d(1.5)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"'circular' takes 2 widths for shapes \(C, W\)"):
        nn.CircularPad1d(1)(minigrad.ones(4))
