"""Attention against PyTorch: masks of every kind, shared heads, rows that see nothing, and what is refused."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from op_suite import Case, OpSuite, given, mask, real, torch

import minigrad
from minigrad import kernels
from minigrad.errors import DtypeError, ShapeError

F = minigrad.nn.functional


def attention(**options: Any) -> Any:
    return lambda lib, q, k, v, m=None: lib.nn.functional.scaled_dot_product_attention(q, k, v, m, **options)


PARTLY = np.array([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]], bool)  # the second query sees no key
LEFT_OUT = np.where(PARTLY, 0.5, -np.inf)


# fmt: off
class TestAttention(OpSuite):
    cases = [
        Case("plain", attention(), [real(2, 2, 3, 4), real(2, 2, 5, 4), real(2, 2, 5, 6)], large=[real(2, 3, 100, 8), real(2, 3, 530, 8), real(2, 3, 530, 20)]),
        Case("without heads", attention(scale=0.3), [real(3, 4), real(5, 4), real(5, 2)], large=[real(97, 33), real(513, 33), real(513, 7)]),
        Case("causal", attention(is_causal=True), [real(2, 4, 3), real(2, 4, 3), real(2, 4, 3)], large=[real(3, 200, 16), real(3, 200, 16), real(3, 200, 16)]),
        Case("causal, more keys than queries", attention(is_causal=True), [real(2, 3, 3), real(2, 5, 3), real(2, 5, 3)], large=[real(2, 100, 16), real(2, 600, 16), real(2, 600, 16)]),
        Case("causal, more queries than keys", attention(is_causal=True), [real(2, 5, 3), real(2, 3, 3), real(2, 3, 3)], large=[real(2, 600, 16), real(2, 100, 16), real(2, 100, 16)]),
        Case("bool mask", attention(), [real(2, 3, 4), real(2, 5, 4), real(2, 5, 4), given(PARTLY, grad=False)], empty=False),
        Case("bool mask a head", attention(), [real(2, 2, 3, 4), real(2, 2, 5, 4), real(2, 2, 5, 4), mask(2, 1, 5)], large=[real(2, 2, 150, 16), real(2, 2, 600, 16), real(2, 2, 600, 16), mask(2, 150, 600)]),
        Case("added mask", attention(), [real(2, 2, 3, 4), real(2, 2, 5, 4), real(2, 2, 5, 4), real(2, 1, 3, 5)], large=[real(2, 2, 100, 16), real(2, 2, 50, 16), real(2, 2, 50, 16), real(2, 1, 100, 50).constant()]),
        Case("added mask with infinities", attention(), [real(2, 3, 4), real(2, 5, 4), real(2, 5, 4), given(LEFT_OUT, grad=False)], empty=False),
        Case("grouped heads", attention(enable_gqa=True), [real(2, 4, 3, 2), real(2, 2, 5, 2), real(2, 2, 5, 2)], empty=False, large=[real(1, 4, 60, 8), real(1, 2, 60, 8), real(1, 2, 60, 8)]),
        Case("leading axes broadcast", attention(), [real(2, 1, 3, 4), real(1, 3, 5, 4), real(5, 4)], empty=False),
    ]
# fmt: on


@pytest.mark.parametrize("lengths", [(1, 1), (95, 511), (96, 512), (97, 513), (200, 1100)])
@pytest.mark.parametrize("causal", [False, True])
def test_the_tiles_at_their_edges(lengths: tuple[int, int], causal: bool) -> None:
    n, keys = lengths
    rng = np.random.default_rng(n)
    arrays = [rng.standard_normal(s) for s in ((2, n, 24), (2, keys, 24), (2, keys, 9))]
    seen = rng.random((n, keys)) < 0.3
    seen[n // 2] = False
    found = []
    for lib, dtype in ((minigrad, np.float32), (torch, np.float64)):
        q, k, v = (lib.tensor(a.astype(dtype), requires_grad=True) for a in arrays)
        y = lib.nn.functional.scaled_dot_product_attention(
            q, k, v, None if causal else lib.tensor(seen), is_causal=causal
        )
        y.backward(lib.tensor(np.random.default_rng(1).standard_normal(y.shape).astype(dtype)))
        found.append([t.detach().numpy() for t in (y, q.grad, k.grad, v.grad)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=3e-6)


@pytest.mark.parametrize("with_kernels", [True, False])
def test_scores_at_the_ends_of_the_range(with_kernels: bool) -> None:
    """Scores of 10,000 whose differences decide; a query that is NaN spoils itself alone."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, n, 16)).astype(np.float32) for n in (80, 700, 700))
    q[0, :, 0], k[0, :, 0], q[0, 7, 3] = 100, 400, np.nan
    tensors = [minigrad.tensor(a, requires_grad=True) for a in (q, k, v)]
    upstream = minigrad.randn(1, 80, 16)
    with contextlib.nullcontext() if with_kernels else kernels.disabled():
        y = F.scaled_dot_product_attention(*tensors, scale=1.0)
        y.backward(upstream)
    expected = torch.nn.functional.scaled_dot_product_attention(
        *(torch.tensor(a).double() for a in (q, k, v)), scale=1.0
    )
    assert y[0, 7].isnan().all()
    others = np.arange(80) != 7
    np.testing.assert_allclose(y.detach().numpy()[0, others], expected.numpy()[0, others], rtol=0.02, atol=5e-3)
    assert np.isfinite(tensors[0].grad.numpy()[0, others]).all()


def test_a_query_that_sees_nothing_sends_nothing_back() -> None:
    q, k, v = (minigrad.randn(2, 40, 16, requires_grad=True) for _ in range(3))
    y = F.scaled_dot_product_attention(q, k, v, minigrad.zeros(40, 40, dtype=minigrad.bool))
    y.backward(minigrad.randn(2, 40, 16))
    assert (y == 0).all()
    assert all((t.grad == 0).all() for t in (q, k, v))


def test_dropout_leaves_the_mean_and_drops_weights() -> None:
    minigrad.manual_seed(0)
    q, k = minigrad.randn(1, 200, 8), minigrad.randn(1, 50, 8)
    v = minigrad.ones(1, 50, 1)
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5)
    assert abs(y.mean().item() - 1) < 0.05
    assert y.std().item() > 0.05
    assert (F.scaled_dot_product_attention(q, k, v, dropout_p=1.0) == 0).all()


def test_what_does_not_fit_is_refused() -> None:
    q, k, v = minigrad.randn(2, 3, 4), minigrad.randn(2, 5, 4), minigrad.randn(2, 5, 6)
    attend = F.scaled_dot_product_attention
    with pytest.raises(ShapeError, match=r"query has 4 features \(shape \(2, 3, 4\)\), key 3"):
        attend(q, minigrad.randn(2, 5, 3), v)
    with pytest.raises(ShapeError, match=r"5 keys \(shape \(2, 5, 4\)\), but 4 values"):
        attend(q, k, minigrad.randn(2, 4, 6))
    with pytest.raises(ShapeError, match="leading axes"):
        attend(q, minigrad.randn(3, 5, 4), minigrad.randn(3, 5, 4))
    with pytest.raises(ShapeError, match=r"attn_mask has shape \(3, 4\), which does not broadcast to \(2, 3, 5\)"):
        attend(q, k, v, minigrad.randn(3, 4))
    with pytest.raises(DtypeError, match=r"attn_mask must be bool or floating, got .*int64"):
        attend(q, k, v, minigrad.ones(3, 5, dtype=minigrad.int64))
    with pytest.raises(DtypeError, match=r"key is .*float64, query .*float32"):
        attend(q, k.double(), v)
    with pytest.raises(ValueError, match="is_causal is a mask of its own"):
        attend(q, k, v, minigrad.randn(3, 5), is_causal=True)
    with pytest.raises(ValueError, match="dropout_p must be a probability, got 2"):
        attend(q, k, v, dropout_p=2)
    with pytest.raises(ShapeError, match="heads of query"):
        attend(minigrad.randn(3, 5, 4), minigrad.randn(2, 5, 4), minigrad.randn(2, 5, 4), enable_gqa=True)
