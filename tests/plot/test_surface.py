"""Decision surfaces."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import plot


def test_decision_surface_asks_for_the_whole_plane_around_the_samples():
    x = np.array([[0.0, 0.0], [2.0, 1.0]], dtype=np.float32)
    asked = []

    def predict(points):
        asked.append(points)
        return minigrad.tensor(points[:, :1] > 1).float()

    figure = plot.decision_surface(predict, x, minigrad.tensor([[0.0], [1.0]]), resolution=30)
    (points,) = asked
    assert points.shape == (900, 2)
    assert points.dtype == np.float32
    assert (points.min(0) < x.min(0)).all()
    assert (points.max(0) > x.max(0)).all()
    axes = figure.axes[0]
    boundary = axes.collections[1].get_paths()[0].vertices  # the line where the probability is one half
    assert np.abs(boundary[:, 0] - 1).max() < 0.1
    drawn = [c.get_offsets().tolist() for c in axes.collections[2:]]
    assert drawn == [[[0, 0]], [[2, 1]]]


def test_decision_surface_without_a_boundary_and_with_wrong_shapes(tmp_path):
    figure = plot.decision_surface(lambda p: np.full(len(p), 0.9), np.eye(2), [0, 1], resolution=5)
    figure.savefig(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"x has shape \(2, 3\)"):
        plot.decision_surface(lambda p: p, np.ones((2, 3)), [0, 1])
