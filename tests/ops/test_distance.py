"""Angles and distances between vectors, against PyTorch and at the ends of the range."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_suite import Case, OpSuite, away, given, real, torch

import minigrad
from minigrad.errors import ShapeError

F = minigrad.nn.functional


# fmt: off
class TestDistances(OpSuite):
    cases = [
        Case("cosine_similarity, one element broadcast", lambda lib, x, y: lib.cosine_similarity(x, y), [away(2, 3), away(1, 1)]),
        Case("cosine_similarity, both broadcast", lambda lib, x, y: lib.cosine_similarity(x, y), [away(2, 2, 1), away(2, 1, 3)]),
        Case("cosine_similarity, second 1-D", lambda lib, x, y: lib.cosine_similarity(x, y, dim=-1), [away(2, 3), away(3)]),
        Case("cosine_similarity, first 1-D", lambda lib, x, y: lib.cosine_similarity(x, y), [away(3), away(2, 3)]),
        Case("cosine_similarity of vectors", lambda lib, x, y: lib.nn.CosineSimilarity(dim=0, eps=1e-4)(x, y), [away(3), away(3)]),
        Case("pairwise_distance", lambda lib, x, y: lib.nn.functional.pairwise_distance(x, y), [real(4, 3), real(4, 3)]),
        Case("pairwise_distance p=1 keepdim", lambda lib, x, y: lib.nn.PairwiseDistance(p=1, keepdim=True)(x, y), [away(4, 3), away(4, 3) ], smooth=False),
        Case("pairwise_distance p=3, 1-D", lambda lib, x, y: lib.pairwise_distance(x, y, p=3.0), [real(4, 3), real(3)]),
        Case("pairwise_distance p=inf", lambda lib, x, y: lib.pairwise_distance(x, y, p=float("inf")), [real(4, 3), real(4, 3)], smooth=False),
        Case("pairwise_distance of equal vectors", lambda lib, x, y: lib.pairwise_distance(x, y), [given([[1.0, 2.0]]), given([[1.0, 2.0]])], smooth=False),
    ]
# fmt: on


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_angle_of_long_vectors(dtype: str) -> None:
    huge = {"float16": 60000.0, "float32": 1e20, "float64": 1e200}[dtype]
    x = minigrad.tensor([[huge, 0.0], [huge, -huge]], dtype=getattr(minigrad, dtype))
    y = minigrad.tensor([[huge, huge]], dtype=getattr(minigrad, dtype))
    np.testing.assert_allclose(F.cosine_similarity(x, y).numpy(), [np.sqrt(0.5), 0.0], rtol=1e-3)


def test_a_zero_vector_has_the_gradient_that_pytorch_gives_it() -> None:
    found = []
    for lib in (minigrad, torch):
        x = lib.tensor([[0.0, 0.0], [1.0, 2.0]], requires_grad=True)
        y = lib.tensor([[1.0, 1.0], [0.0, 0.0]], requires_grad=True)
        lib.nn.functional.cosine_similarity(x, y).backward(lib.tensor([1.5, 2.0]))
        found.append([x.grad.numpy(), y.grad.numpy()])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


@pytest.mark.parametrize("name", ["cosine_similarity", "pairwise_distance"])
def test_shapes_that_do_not_meet(name: str) -> None:
    function: Any = getattr(F, name)
    with pytest.raises(ShapeError, match=name + r".*\(2, 3\).*\(4, 3\)"):
        function(minigrad.ones(2, 3), minigrad.ones(4, 3))
