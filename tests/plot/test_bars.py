"""Bars, and the flow of gradients."""

from __future__ import annotations

import pytest

import minigrad
from minigrad import plot


def test_bars(tmp_path):
    figure = plot.bars({"batch 32": 1.5, "batch 64": minigrad.tensor(2.25), "worse": -1}, "ms", "Title", "{:.2f} ms")
    figure.savefig(tmp_path / "a.png")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [1.5, 2.25, -1]
    assert [text.get_text() for text in axes.texts] == ["1.50 ms", "2.25 ms", "-1.00 ms"]
    assert [text.get_ha() for text in axes.texts] == ["left", "left", "right"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["batch 32", "batch 64", "worse"]
    low, high = axes.get_ylim()
    assert low > high  # the first on top
    assert (axes.get_xlabel(), axes.get_title()) == ("ms", "Title")
    right = max(text.get_window_extent().x1 for text in axes.texts)
    assert right <= axes.get_window_extent().x1 + 1  # the longest number lies inside
    assert plot.bars({"a": 1.0}, log=True).axes[0].get_xscale() == "log"


def test_bars_refuse():
    with pytest.raises(ValueError, match=r"bars: there is nothing to draw"):
        plot.bars({})
    with pytest.raises(ValueError, match=r"bars: 'a' is nan, expected a finite number"):
        plot.bars({"a": float("nan")})
    with pytest.raises(ValueError, match=r"bars: 'b' is 0\.0, expected a positive number, for a logarithmic axis"):
        plot.bars({"a": 1.0, "b": 0}, log=True)


@pytest.mark.parametrize(("first", "note"), [(1e-5, "= 1e-05: vanishing"), (1e4, "= 1e+04: exploding"), (0.5, "= 0.5")])
def test_gradient_flow(first, note):
    (axes,) = plot.gradient_flow({"conv1": first, "conv2": 0.02, "fc": 1.0}, "norm", "Title").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["conv1", "conv2", "fc"]
    assert [bar.get_width() for bar in axes.patches] == [first, 0.02, 1.0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == f"norm\nfirst layer / last layer {note}"
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_gradient_flow_names_gradients_that_no_logarithm_can_show(tmp_path):
    figure = plot.gradient_flow({"dead": 0.0, "broken": float("nan"), "fc": 0.1})
    figure.savefig(tmp_path / "a.png")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["0", "nan", "0.1"]
    red, also_red, normal = (text.get_color() for text in axes.texts)
    assert red == also_red != normal
    assert axes.get_xlabel() == "mean |gradient|"  # no ratio without a first layer
    plot.gradient_flow({"a": 0.0}).savefig(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"'a' is -1\.0, expected a size"):
        plot.gradient_flow({"a": -1})
    with pytest.raises(ValueError, match="nothing to draw"):
        plot.gradient_flow({})
