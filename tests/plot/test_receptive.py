"""Receptive fields as pictures: each relative to its greatest gradient, zeros blank, a frame where it was computed."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad import plot


def panels(figure):
    return [axes for axes in figure.axes if axes.images]


def test_each_map_is_relative_to_its_greatest_gradient(tmp_path):
    gradients = np.zeros((6, 8))
    gradients[1:4, 2:5] = 0.25
    gradients[2, 3] = 5.0
    figure = plot.receptive_fields({"a": gradients, "b": 1e-20 * gradients}, title="T")
    figure.savefig(tmp_path / "a.png")
    assert [axes.get_title() for axes in panels(figure)] == ["a", "b"]
    for axes in panels(figure):
        shares = axes.images[0].get_array()
        assert (shares.mask == (gradients == 0)).all()
        assert shares[2, 3] == pytest.approx(1)
        assert shares[1, 2] == pytest.approx(0.05)
        assert axes.images[0].get_clim() == (1e-4, 1)
        assert not axes.patches


def test_frames_and_rows(tmp_path):
    maps = {str(i): np.ones((5, 5)) for i in range(5)}
    figure = plot.receptive_fields(maps, {"1": (1, 2, 3, 2), "elsewhere": (0, 0, 1, 1)}, columns=3)
    figure.savefig(tmp_path / "a.png")
    assert [len(axes.patches) for axes in panels(figure)] == [0, 1, 0, 0, 0]
    frame = panels(figure)[1].patches[0]
    assert (frame.get_xy(), frame.get_width(), frame.get_height()) == ((1.5, 0.5), 2, 3)


def test_a_network_that_lets_nothing_through_is_blank(tmp_path):
    figure = plot.receptive_fields({"dead": np.zeros((3, 3))})
    figure.savefig(tmp_path / "a.png")
    assert panels(figure)[0].images[0].get_array().mask.all()


def test_bad_input():
    with pytest.raises(ValueError, match="there is nothing to draw"):
        plot.receptive_fields({})
    for bad in (np.ones(3), np.ones((0, 3)), -np.ones((2, 2)), np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match=r"'a' has shape .*, expected \(H, W\)"):
            plot.receptive_fields({"a": bad})
