"""Activations made of other ops, against PyTorch and at their edges."""

from __future__ import annotations

import numpy as np
import pytest
from op_suite import Case, OpSuite, away, real, torch

import minigrad

F = minigrad.nn.functional


# fmt: off
class TestActivations(OpSuite):
    cases = [
        # α = 2: PyTorch rounds 1/α to float32.
        Case("celu", lambda lib, x: lib.nn.functional.celu(x, 2.0), [away(3, 4)]),
        Case("selu", lambda lib, x: lib.nn.functional.selu(x), [away(3, 4)]),
        Case("mish", lambda lib, x: lib.nn.functional.mish(x), [real(3, 4)]),
        Case("softsign", lambda lib, x: lib.nn.functional.softsign(x), [away(3, 4)]),
        Case("tanhshrink", lambda lib, x: lib.nn.functional.tanhshrink(x), [real(3, 4)]),
        Case("softmin", lambda lib, x: lib.nn.functional.softmin(x, dim=0), [real(3, 4)]),
        Case("threshold", lambda lib, x: lib.nn.functional.threshold(x, 0.5, -2.0), [away(3, 4, kinks=(0.5,))]),
        Case("hardshrink", lambda lib, x: lib.nn.functional.hardshrink(x, 0.7), [away(3, 4, kinks=(0.7, -0.7))]),
        Case("softshrink", lambda lib, x: lib.nn.functional.softshrink(x, 0.7), [away(3, 4, kinks=(0.7, -0.7))]),
        Case("rrelu in evaluation", lambda lib, x: lib.nn.functional.rrelu(x, 0.1, 0.5), [away(3, 4)]),
    ]
# fmt: on


@pytest.mark.parametrize("name", ["celu", "selu", "mish", "softsign", "threshold", "hardshrink", "softshrink"])
def test_special_numbers(name: str) -> None:
    arguments = {"threshold": (0.5, 2.0)}.get(name, ())
    numbers = [0.0, -0.0, 1e-30, -1e-30, 80.0, -80.0, np.inf, np.nan]  # −∞ is no number in PyTorch's Mish
    found = []
    for lib in (minigrad, torch):
        x = lib.tensor(numbers, requires_grad=True)
        y = getattr(lib.nn.functional, name)(x, *arguments)
        y.backward(lib.tensor(np.random.default_rng(1).standard_normal(len(numbers)).astype(np.float32)))
        found.append([y.detach().numpy(), x.grad.numpy()])
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    np.testing.assert_allclose(found[0][1][:6], found[1][1][:6], rtol=1e-6)


def test_rrelu_draws_a_slope_for_each_negative_element() -> None:
    minigrad.manual_seed(1)
    x = (-minigrad.rand(10_000) - 0.5).requires_grad_()
    y = F.rrelu(x, 0.2, 0.4, training=True)
    slopes = (y / x).detach()
    assert slopes.min() >= 0.2
    assert slopes.max() <= 0.4
    assert abs(slopes.mean().item() - 0.3) < 0.002
    upstream = minigrad.randn(10_000)
    y.backward(upstream)
    assert minigrad.allclose(x.grad, slopes * upstream)


def test_what_makes_no_sense_is_refused() -> None:
    x = minigrad.randn(3)
    with pytest.raises(ValueError, match="celu: alpha must not be 0"):
        F.celu(x, 0.0)
    with pytest.raises(ValueError, match="softshrink: lambd must not be negative, got -1"):
        F.softshrink(x, -1)
    with pytest.raises(ValueError, match=r"rrelu: lower and upper must be numbers in order, got 0.5 and 0.1"):
        F.rrelu(x, 0.5, 0.1)
