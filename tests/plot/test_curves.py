"""Curves, raw and smoothed, and fitted functions."""

from __future__ import annotations

import numpy as np
import pytest
from picture_support import labels

import minigrad
from minigrad import plot
from minigrad.plot.smoothing import smooth


def test_smoothed_curves_draw_the_values_pale_under_their_average():
    y = np.array([3.0, np.nan, 1.0, 2.0])
    figure = plot.smoothed_curves({"train": ([1, 2, 3, 4], y), "one": ([1], [5])}, 0.8, "epoch", "error", "T", log=True)
    (axes,) = figure.axes
    raw, average, point, _ = axes.lines
    assert np.array_equal(raw.get_ydata(), y, equal_nan=True)
    assert np.array_equal(average.get_ydata(), smooth(y, 0.8), equal_nan=True)
    assert raw.get_color() == average.get_color() != point.get_color()
    assert raw.get_alpha() < 0.5
    assert average.get_alpha() is None
    assert point.get_marker() == "o"
    assert labels(axes.get_legend()) == ["train", "one"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title(), axes.get_yscale()) == ("epoch", "error", "T", "log")
    with pytest.raises(ValueError, match=r"smoothed_curves: line 'a' has x of shape \(2,\)"):
        plot.smoothed_curves({"a": ([1, 2], [1])})
    with pytest.raises(ValueError, match=r"weight is 1, expected 0 ≤ weight < 1"):
        plot.smoothed_curves({"a": ([1], [1])}, weight=1)


def test_curves():
    lines = {"train": ([1, 2, 3], minigrad.tensor([3.0, 2.0, 1.0])), "test": ([1, 2], [0.5, 0.25]), "one": ([1], [1])}
    (axes,) = plot.curves(lines, "step", "loss", "Title", log=True, dashed=["test"]).axes
    assert [line.get_label() for line in axes.lines] == list(lines)
    assert axes.lines[0].get_ydata().tolist() == [3, 2, 1]
    assert axes.lines[1].is_dashed() and not axes.lines[0].is_dashed()  # noqa: PT018
    assert axes.lines[2].get_marker() == "o"
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("step", "loss", "Title")
    assert axes.get_yscale() == "log"
    with pytest.raises(ValueError, match=r"line 'a' has x of shape \(2,\) and y of shape \(3,\)"):
        plot.curves({"a": ([1, 2], [1, 2, 3])})


def test_whole_numbers_have_whole_ticks():
    for draw in (plot.curves, plot.smoothed_curves):
        ticks = [draw({"a": (x, [0, 1, 4])}).axes[0].get_xticks() for x in ([1, 2, 3], [1, 1.5, 2])]
        assert [(t % 1 == 0).all() for t in ticks] == [True, False]


def test_an_empty_curve_and_many_curves_can_be_drawn(tmp_path):
    plot.curves({"nothing yet": ([], [])}, log=True).savefig(tmp_path / "a.png")
    figure = plot.curves({str(i): ([0, 1], [i, i]) for i in range(8)})
    figure.savefig(tmp_path / "b.png")
    assert len(figure.legends[0].get_texts()) == 8


def test_fit_draws_a_panel_each_in_the_order_of_x():
    x, true = minigrad.tensor([[2.0], [0.0], [1.0]]), np.array([[4.0], [0.0], [2.0]])
    figure = plot.fit(x, true + 0.1, true, {"before": 0 * true, "middle": true, "after": true}, "Fit")
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["before", "middle", "after"]
    points, truth, network = panels[2].lines
    assert points.get_ydata().tolist() == [4.1, 0.1, 2.1]
    assert truth.get_xdata().tolist() == network.get_xdata().tolist() == [0, 1, 2]
    assert network.get_ydata().tolist() == [0, 2, 4]
