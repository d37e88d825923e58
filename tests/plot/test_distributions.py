"""Histograms over the steps of a training."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import plot


def heat(figure):
    """(column edges, row edges, shares (rows, columns)) of the heat map."""
    (mesh,) = figure.axes[0].collections
    corners = mesh.get_coordinates()
    return corners[0, :, 0], corners[:, 0, 1], mesh.get_array()


def test_histograms_over_time_share_out_what_each_step_has(tmp_path):
    steps = [1, 2, 5]
    histograms = [
        ([-1, 0, 1], [30, 10]),
        (minigrad.tensor([0.0, 1.0, 3.0]), [5, 15]),
        ([-9, -8, 0, 1, 9], [0, 0, 7, 0]),
    ]
    figure = plot.histograms_over_time(histograms, steps, "step", "weight", "Title")
    figure.savefig(tmp_path / "a.png")
    columns, rows, shares = heat(figure)
    assert columns.tolist() == [0.5, 1.5, 3.5, 6.5]
    assert (rows[0], rows[-1]) == (-1, 3)  # empty ends are left out
    assert np.allclose(shares.sum(0), 1)
    middle = (rows[1:] + rows[:-1]) / 2
    assert np.allclose(shares[middle < 0].sum(0), [0.75, 0, 0])
    assert np.allclose(shares[middle > 1].sum(0), [0, 0.75, 0], atol=1e-12)
    inside = (middle > 1.1) & (middle < 2.9)
    assert np.allclose(shares[inside][:, 1], 0.75 / 2 * 4 / 120)  # evenly spread in its bin
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("step", "weight", "Title")


def test_a_single_histogram(tmp_path):
    figure = plot.histograms_over_time([([0, 1], [3])], [7])
    figure.savefig(tmp_path / "a.png")
    assert heat(figure)[0].tolist() == [6.5, 7.5]


def test_histograms_over_time_refuse():
    good = ([0, 1, 2], [1, 1])
    with pytest.raises(ValueError, match=r"0 histograms and steps of shape \(0,\)"):
        plot.histograms_over_time([], [])
    with pytest.raises(ValueError, match=r"1 histograms and steps of shape \(2,\)"):
        plot.histograms_over_time([good], [1, 2])
    with pytest.raises(ValueError, match=r"steps must rise, they are \[2\.0, 1\.0\]"):
        plot.histograms_over_time([good, good], [2, 1])
    with pytest.raises(ValueError, match=r"histogram 1 has edges of shape \(2,\) and counts of shape \(3,\)"):
        plot.histograms_over_time([good, good[::-1]], [1, 2])
    for edges in ([0, 2, 1], [0, 1, np.inf], [0, 0, 1]):
        with pytest.raises(ValueError, match="histogram 0 has edges that are not finite and rising"):
            plot.histograms_over_time([(edges, [1, 1])], [1])
    for counts in ([0, 0], [2, -1], [np.nan, 1]):
        with pytest.raises(ValueError, match="histogram 0 has counts that are negative, not finite, or all 0"):
            plot.histograms_over_time([([0, 1, 2], counts)], [1])
