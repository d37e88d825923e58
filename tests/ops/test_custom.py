"""The students' own layers, against the same thing written in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_suite import Case, OpSuite, away, real, torch

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.autograd import gradcheck
from minigrad.errors import DtypeError, ShapeError

rng = np.random.default_rng(0)


class TheirNormalizedSwish(torch.autograd.Function):
    """The layer's definition, word by word."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        y = x * torch.sigmoid(x)
        return y / y.abs().max() if y.numel() and y.abs().max() > 0 else y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        g = dy * (s + x * s * (1 - s))
        return g / g.abs().max() if g.numel() and g.abs().max() > 0 else g


class TestNormalizedSwish(OpSuite):
    cases = [
        Case(
            f"normalized_swish {name}",
            lambda lib, x: lib.nn.functional.normalized_swish(x),
            [given],
            smooth=False,  # it is no gradient, and says so
            large=[real(4, 3, 32, 32)],
            reference=lambda lib, x: TheirNormalizedSwish.apply(x),
        )
        for name, given in {
            "of images": real(2, 3, 4, 4),
            "of a vector": real(7),
            "of a number": real(),
            "far out": away(5, 6, scale=40.0),
        }.items()
    ]


def their(x: Any) -> Any:
    return TheirNormalizedSwish.apply(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("on", [True, False])
def test_the_largest_is_one_both_ways(dtype: str, on: bool) -> None:
    x = minigrad.tensor((rng.standard_normal((4, 3, 32, 32)) * 3).astype(dtype), requires_grad=True)
    upstream = minigrad.tensor(rng.standard_normal(x.shape).astype(dtype))
    with minigrad.no_grad() if on else minigrad.enable_grad():
        y = F.normalized_swish(x)
    assert y.detach().abs().max().item() == 1
    if not on:
        y.backward(upstream * 1e-6)
        assert x.grad is not None
        assert x.grad.abs().max().item() == 1


def test_zeros_stay_zeros_and_nan_is_seen() -> None:
    for n in (3, 300):  # the textbook, the kernel
        x = minigrad.zeros(n, requires_grad=True)
        y = F.normalized_swish(x)
        assert (y == 0).all()
        y.backward(minigrad.zeros(n))
        assert x.grad is not None
        assert (x.grad == 0).all()
        x = minigrad.ones(n)
        x[1] = float("nan")
        assert np.isnan(F.normalized_swish(x).numpy()).all()


def test_gradcheck_refuses_it() -> None:
    x = minigrad.tensor(rng.standard_normal(6), requires_grad=True)
    with pytest.raises(RuntimeError, match=r"gradient of output 0 with respect to input 0 is wrong"):
        gradcheck(F.normalized_swish, x)
    assert gradcheck(lambda x: F.silu(x) / F.silu(x).abs().max(), x)  # what it would be with the true gradient


def test_the_derivation_of_what_the_rule_leaves_out() -> None:
    x = minigrad.tensor(rng.standard_normal(6), requires_grad=True)
    s = F.silu(x)
    dy = rng.standard_normal(6)
    (true,) = minigrad.autograd.grad(s / s.abs().max(), x, minigrad.tensor(dy))
    s = s.detach().numpy()
    j, largest = np.abs(s).argmax(), np.abs(s).max()
    y = s / largest
    sigma = 1 / (1 + np.exp(-x.detach().numpy()))
    slope = sigma * (1 + x.detach().numpy() * (1 - sigma))
    inner = dy - (np.arange(6) == j) * np.sign(s[j]) * (dy @ y)
    np.testing.assert_allclose(true.numpy(), slope * inner / largest, rtol=1e-12)


def test_the_rule_of_the_rule() -> None:
    x = rng.standard_normal((3, 4))
    dy, v = rng.standard_normal((2, 3, 4))
    seconds = []
    for lib, op in ((minigrad, F.normalized_swish), (torch, their)):
        a, b = lib.tensor(x, requires_grad=True), lib.tensor(dy, requires_grad=True)
        (g,) = lib.autograd.grad(op(a), a, b, create_graph=True)
        seconds.append(lib.autograd.grad(g, (a, b), lib.tensor(v)))
    for ours, theirs in zip(*seconds, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10, atol=1e-12)


def test_integers_are_refused() -> None:
    with pytest.raises(DtypeError, match="normalized_swish"):
        F.normalized_swish(minigrad.arange(3))


class TheirAttention(torch.nn.Module):
    def __init__(self, kernel_size: int = 7, bias: bool = True) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=bias)

    def forward(self, x: Any) -> Any:
        seen = torch.cat([x.mean(-3, keepdim=True), x.max(-3, keepdim=True)[0]], -3)
        return x * torch.sigmoid(self.conv(seen))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 2e-5)])
@pytest.mark.parametrize("shape", [(4, 3, 16, 12), (2, 1, 3, 3), (5, 8, 9), (0, 3, 8, 8)])
@pytest.mark.parametrize("options", [{}, {"kernel_size": 3, "bias": False}])
def test_spatial_attention(shape: tuple[int, ...], options: Any, dtype: str, tolerance: float) -> None:
    theirs = TheirAttention(**options).to(getattr(torch, dtype))
    ours = nn.SpatialAttention(**options, dtype=getattr(minigrad, dtype))
    ours.load_state_dict(theirs.state_dict())
    data, upstream = (rng.standard_normal(shape).astype(dtype) for _ in "xy")
    a, b = minigrad.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    y, z = ours(a), theirs(b)
    y.backward(minigrad.tensor(upstream))
    z.backward(torch.tensor(upstream))
    pairs = [(y, z), (a.grad, b.grad)]
    pairs += [(p.grad, q.grad) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)]
    for mine, other in pairs:
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_spatial_attention_is_a_gradient_twice() -> None:
    layer = nn.SpatialAttention(3, dtype=minigrad.float64)
    x = minigrad.tensor(rng.permutation(48).reshape(1, 3, 4, 4) / 10.0, requires_grad=True)
    assert gradcheck(layer, x)
    assert minigrad.autograd.gradgradcheck(layer, x)


def test_spatial_attention_says_what_it_takes() -> None:
    assert sum(p.numel() for p in nn.SpatialAttention().parameters()) == 99
    for size in (2, 0, -3, 3.0, True):
        with pytest.raises(ValueError, match="SpatialAttention: kernel_size must be a positive odd integer"):
            nn.SpatialAttention(size)  # type: ignore[arg-type]
    for shape in ((3, 4), (2, 0, 4, 4), (1, 1, 1, 1, 1)):
        with pytest.raises(ShapeError, match=r"SpatialAttention: expected input \(N, C, H, W\)"):
            nn.SpatialAttention()(minigrad.ones(*shape))
