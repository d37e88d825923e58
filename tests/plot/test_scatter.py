"""Points and their correlation."""

from __future__ import annotations

import numpy as np
import pytest
from picture_support import labels

import minigrad
from minigrad import plot


def test_scatter():
    x, y = np.array([1.0, 2.0, 4.0, np.nan, 5.0]), minigrad.tensor([2.0, 1.0, 5.0, 3.0, np.inf])
    (axes,) = plot.scatter(x, y, "change", "accuracy", "Title").axes
    (points,) = axes.collections
    assert points.get_offsets().tolist() == [[1, 2], [2, 1], [4, 5]]
    r = np.corrcoef([1, 2, 4], [2, 1, 5])[0, 1]
    assert labels(axes.get_legend()) == [f"r = {r:.2f}, 3 points"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("change", "accuracy", "Title")
    assert plot.scatter([1, 2], [3, 4], correlation=False).axes[0].get_legend() is None
    for few in (([1, 1], [2, 3]), ([1], [2]), ([], [])):
        (axes,) = plot.scatter(*few).axes
        assert labels(axes.get_legend()) == [f"r = not defined, {len(few[0])} points"]
    with pytest.raises(ValueError, match=r"x has shape \(2,\) and y \(3,\), expected both \(N,\)"):
        plot.scatter([1, 2], [1, 2, 3])
