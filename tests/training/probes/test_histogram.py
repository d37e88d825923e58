"""Histograms: counts, sums, and what TensorBoard gets."""

from __future__ import annotations

import numpy as np
import pytest
from events import values

import minigrad
from minigrad.training.probes import (
    Histogram,
)
from minigrad.utils.tensorboard import SummaryWriter


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(7,), (300, 500), (2, 3, 4, 5)])
def test_a_histogram_counts_like_numpy_and_knows_the_sums(shape):
    x = normal(*shape).T  # not contiguous
    h = Histogram.of(x, bins=13)
    counts, edges = np.histogram(x.astype(np.float64), 13)
    assert h.counts.tolist() == counts.tolist()
    np.testing.assert_allclose(h.edges, edges, rtol=1e-12)
    exact = x.astype(np.float64)
    assert (h.min, h.max, h.number, h.nonfinite) == (x.min(), x.max(), x.size, 0)
    np.testing.assert_allclose(
        [h.total, h.squares, h.mean, h.std, h.norm],
        [exact.sum(), (exact**2).sum(), exact.mean(), exact.std(), np.linalg.norm(exact)],
        rtol=1e-10,
    )


def test_a_value_on_an_edge_belongs_to_the_bin_above_and_the_maximum_to_the_last():
    assert Histogram.of([0, 1, 2, 3, 4], bins=4).counts.tolist() == [1, 1, 1, 2]


def test_a_small_spread_around_a_large_mean_is_not_lost():
    x = 1000 + 0.01 * normal(5000).astype(np.float64)
    assert Histogram.of(x).std == pytest.approx(x.std(), rel=1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_that_are_not_finite_are_counted_apart(dtype):
    h = Histogram.of(np.array([1, np.nan, 3, np.inf, -np.inf, 2, np.nan], dtype), bins=2)
    assert (h.counts.tolist(), h.number, h.nonfinite, h.min, h.max, h.total) == ([1, 2], 3, 4, 1, 3, 6)
    nothing = Histogram.of(np.array([np.nan, np.inf], dtype))
    assert (nothing.number, nothing.nonfinite, nothing.counts.sum()) == (0, 2, 0)


def test_nothing_constants_and_extreme_values():
    nothing = Histogram.of(np.zeros((0, 3), np.float32))
    assert (nothing.number, nothing.counts.sum(), nothing.total, nothing.norm) == (0, 0, 0, 0)
    assert np.isnan([nothing.min, nothing.max, nothing.mean, nothing.std]).all()
    for constant in (0.0, 5.0, -1e20, 1e-30):
        h = Histogram.of(np.full(6, constant, np.float32), bins=3)
        assert h.counts.tolist() == [0, 6, 0]
        assert (np.diff(h.edges) > 0).all()
        assert (h.std, h.min, h.max) == (0, np.float32(constant), np.float32(constant))
    tiny = Histogram.of(np.array([0, 1e-44, 2e-44], np.float32), bins=2)
    assert tiny.counts.tolist() == [1, 2]
    for extreme in ([-3e38, 3e38], [1e200, 1.0], [0, 1e-305], [1.0, 1 + 2e-16]):
        assert Histogram.of(np.array(extreme), bins=2).counts.sum() >= 1


def test_tensors_booleans_and_lists_have_histograms():
    t = minigrad.tensor([1.0, 2.0], requires_grad=True)
    assert Histogram.of(t, 2).counts.tolist() == [1, 1]
    assert Histogram.of(minigrad.tensor([True, False, True]), 2).counts.tolist() == [1, 2]
    assert Histogram.of([[1, 2], [3, 3]], 2).counts.tolist() == [1, 3]
    with pytest.raises(ValueError, match="bins = 0"):
        Histogram.of(t, 0)


def test_tensorboard_gets_the_histogram(tmp_path):
    x = normal(500)
    h = Histogram.of(x, bins=10)
    with SummaryWriter(tmp_path) as writer:
        h.add_to(writer, "weights/fc", 4)
        Histogram.of(np.full(3, 2.0)).add_to(writer, "constant")
        Histogram.of([]).add_to(writer, "empty")
    found = {tag: (step, value.histo) for tag, step, value in values(tmp_path)}
    assert set(found) == {"weights/fc", "constant"}
    step, read = found["weights/fc"]
    assert (step, read.num, read.min, read.max) == (4, 500, x.min(), x.max())
    assert (read.sum, read.sum_squares) == (h.total, h.squares)
    assert list(read.bucket) == h.counts.tolist()
    np.testing.assert_allclose(read.bucket_limit, h.edges[1:])
