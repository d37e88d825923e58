"""Margin losses and likelihoods against PyTorch, and what they refuse."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_suite import Case, OpSuite, away, between, given, index, real, torch

import minigrad
from minigrad.errors import DtypeError, ShapeError

F = minigrad.nn.functional
SIGNS = given(np.array([1.0, -1.0, -1.0, 1.0]), grad=False)
LABELS = given(np.array([[2, 0, -1, 1], [-1, 3, 2, 1], [3, 2, 1, 0]]), grad=False)


def loss(name: str, **options: Any) -> Any:
    return lambda lib, *tensors: getattr(lib.nn.functional, name)(*tensors, **options)


# fmt: off
class TestLosses(OpSuite):
    cases = [
        Case("margin_ranking", loss("margin_ranking_loss", margin=0.3), [real(4), real(4), SIGNS], empty=False),
        Case("hinge_embedding", loss("hinge_embedding_loss", margin=0.8, reduction="none"), [away(4, kinks=(0.8,)), SIGNS], empty=False),
        Case("soft_margin", loss("soft_margin_loss", reduction="sum"), [real(4), SIGNS], empty=False),
        Case("cosine_embedding", loss("cosine_embedding_loss", margin=-0.2), [away(4, 3), away(4, 3), SIGNS], empty=False),
        Case("multi_margin", loss("multi_margin_loss", margin=0.7), [real(3, 5), index(5, 3)], empty=False),
        Case("multi_margin, p = 2", loss("multi_margin_loss", p=2, reduction="none"), [real(3, 5), index(5, 3)], empty=False),
        Case("multi_margin of one sample", lambda lib, x, w: lib.nn.functional.multi_margin_loss(x, lib.tensor(2), weight=w), [real(5), between(0.5, 2.0, 5).constant()], empty=False),
        Case("multilabel_margin", loss("multilabel_margin_loss", reduction="none"), [real(3, 4), LABELS], empty=False),
        Case("multilabel_soft_margin", lambda lib, x, t, w: lib.nn.functional.multilabel_soft_margin_loss(x, t, w), [real(3, 4), between(0.0, 1.0, 3, 4).constant(), between(0.5, 2.0, 4).constant()], empty=False),
        Case("triplet_margin", loss("triplet_margin_loss", margin=2.0, p=3.0), [real(3, 4), real(3, 4), real(3, 4)], empty=False),
        Case("triplet_margin, swapped", loss("triplet_margin_loss", margin=2.0, swap=True, reduction="none"), [real(3, 4), real(3, 4), real(3, 4)], empty=False),
        Case("poisson_nll", loss("poisson_nll_loss", full=True), [real(6), given(np.array([0.0, 1.0, 2.0, 5.0, 9.0, 30.0]), grad=False)], empty=False),
        Case("poisson_nll of means", loss("poisson_nll_loss", log_input=False, reduction="sum"), [between(0.5, 4.0, 6), given(np.array([0.0, 1.0, 2.0, 5.0, 9.0, 30.0]), grad=False)], empty=False),
        Case("gaussian_nll", loss("gaussian_nll_loss", full=True), [real(3, 4), real(3, 4), between(0.5, 2.0, 3, 4)], empty=False),
        Case("gaussian_nll, a variance a row", loss("gaussian_nll_loss", reduction="none"), [real(3, 4), real(3, 4), between(0.5, 2.0, 3)], empty=False),
    ]
# fmt: on


def test_a_variance_that_is_cut_off_still_gets_its_gradient() -> None:
    """PyTorch's choice: the gradient is taken at ε and sent to var as if it were not cut off."""
    var = minigrad.tensor([1e-9], requires_grad=True)
    F.gaussian_nll_loss(minigrad.tensor([1.0]), minigrad.tensor([1.5]), var, eps=0.5).backward(minigrad.tensor(2.0))
    assert var.grad.item() == pytest.approx(2 * 0.5 * (1 / 0.5 - 0.25 / 0.25))


def test_corners_are_pytorchs() -> None:
    """A variance that is infinite or no number; hinge embedding's targets that are neither 1 nor −1."""
    found = []
    for lib in (minigrad, torch):
        x, var = lib.tensor([1.0, 2.0, 3.0]), lib.tensor([np.inf, np.nan, 1e-9])
        terms = lib.nn.functional.gaussian_nll_loss(x, x + 1, var, eps=0.25, reduction="none")
        hinge = lib.nn.functional.hinge_embedding_loss(x, lib.tensor([0.0, 1.0, -1.0]), margin=2.5, reduction="none")
        found.append([terms.numpy(), hinge.numpy()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    x = minigrad.randn(3, 4)
    with pytest.raises(ShapeError, match="must have as many axes"):
        F.margin_ranking_loss(x, x, minigrad.ones(3))
    with pytest.raises(ShapeError, match=r"expected vectors \(N, D\) with targets \(N,\)"):
        F.cosine_embedding_loss(x, x, minigrad.ones(3, 4))
    with pytest.raises(ValueError, match="p must be 1 or 2, got 3"):
        F.multi_margin_loss(x, minigrad.zeros(3, dtype=minigrad.int64), p=3)
    with pytest.raises(DtypeError, match="target must hold class indices"):
        F.multi_margin_loss(x, minigrad.zeros(3))
    with pytest.raises(ShapeError, match=r"expected one per class, \(4,\)"):
        F.multi_margin_loss(x, minigrad.zeros(3, dtype=minigrad.int64), weight=minigrad.ones(3))
    with pytest.raises(ShapeError, match="input and target must both be"):
        F.multilabel_margin_loss(x, minigrad.zeros(3, dtype=minigrad.int64))
    with pytest.raises(ValueError, match="margin must be positive, got 0"):
        F.triplet_margin_loss(x, x, x, margin=0)
    with pytest.raises(ValueError, match="var must not be negative"):
        F.gaussian_nll_loss(x, x, -minigrad.ones(3, 4))
    with pytest.raises(ShapeError, match=r"var has shape \(4,\), expected that of the input, \(3, 4\)"):
        F.gaussian_nll_loss(x, x, minigrad.ones(4))
    with pytest.raises(ValueError, match="reduction must be one of none, mean, sum; got 'average'"):
        F.soft_margin_loss(x, x, reduction="average")
