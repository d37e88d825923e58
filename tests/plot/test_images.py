"""Weights, examples and activations as pictures."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import plot


def test_weight_images():
    weight = np.zeros((3, 12))
    weight[1, :4], weight[2, 8:] = 1.0, -1.0  # all of red, none of blue
    weight = minigrad.tensor(weight, requires_grad=True)
    panels = [axes for axes in plot.weight_images(weight, (3, 2, 2)).axes if axes.images]
    pictures = [axes.images[0].get_array() for axes in panels]
    assert [picture.shape for picture in pictures] == [(2, 2, 3)] * 3
    assert (pictures[0] == 0.5).all()
    assert pictures[1][0, 0].tolist() == [1, 0.5, 0.5]
    assert pictures[2][0, 0].tolist() == [0.5, 0.5, 0]


def test_weight_images_shows_the_strongest_of_many_and_refuses_what_is_no_image():
    weight = np.arange(12.0).reshape(6, 1, 2) * np.array([1, -1, 1, -1, 1, -1]).reshape(6, 1, 1)
    panels = [axes for axes in plot.weight_images(weight, limit=2).axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["4", "5"]
    for shape in ((2, 2), (4, 1, 3), (12,)):
        with pytest.raises(ValueError, match=r"weight has shape \(6, 1, 2\)"):
            plot.weight_images(weight, shape)


def panels(figure):
    return [axes for axes in figure.axes if axes.images]


def pixels(axes):
    return np.asarray(axes.images[0].get_array())


def test_predictions_name_both_classes_and_mark_the_wrong_ones(tmp_path):
    images = minigrad.rand(3, 4, 5)
    figure = plot.predictions(
        images, minigrad.tensor([0, 1, 1]), [0, 0, 1], ["cat", "dog"], [0.9, 0.55, 1.0], title="T"
    )
    figure.savefig(tmp_path / "a.png")
    assert [axes.get_title() for axes in panels(figure)] == ["cat → cat\n90%", "dog → cat\n55%", "dog → dog\n100%"]
    right, wrong, also_right = (axes.title.get_color() for axes in panels(figure))
    assert right == also_right != wrong == "#b5202c"
    assert np.allclose(pixels(panels(figure)[1]), images[1].numpy())
    assert panels(figure)[0].images[0].get_clim() == (0, 1)


def test_predictions_without_names_and_with_long_ones():
    images = np.zeros((5, 1, 2, 2))
    figure = plot.predictions(images, [7] * 5, [3] * 5, limit=2)
    assert [axes.get_title() for axes in panels(figure)] == ["7 → 3", "7 → 3"]
    figure = plot.predictions(images, [0] * 5, [1] * 5, ["skyscraper", "motorcycle"])
    assert panels(figure)[0].get_title() == "skyscraper\n→ motorcycle"


def test_predictions_in_colour_bytes_and_normalized():
    images = np.zeros((1, 3, 2, 2), dtype=np.uint8)
    images[0, 0] = 255
    (axes,) = panels(plot.predictions(images, [0], [0]))
    assert pixels(axes)[0, 0].tolist() == [1, 0, 0]
    (axes,) = panels(plot.predictions(np.array([[[-2.0, 0.0], [1.0, 2.0]]]), [0], [0]))
    assert pixels(axes).tolist() == [[0, 0.5], [0.75, 1]]
    (axes,) = panels(plot.predictions(np.array([[[0.25, 0.5], [0.5, 0.75]]]), [0], [0]))
    assert pixels(axes).tolist() == [[0.25, 0.5], [0.5, 0.75]]  # already in 0 … 1: not stretched
    (axes,) = panels(plot.predictions(np.array([[[np.nan, -1.0], [np.inf, 3.0]]]), [0], [0]))
    assert pixels(axes)[:, 1].tolist() == [0, 1]


def test_predictions_refuse():
    images = np.zeros((2, 4, 4))
    for bad in (np.zeros((2, 2, 4, 4)), np.zeros((4, 4)), np.zeros((0, 4, 4))):
        with pytest.raises(ValueError, match=r"images has shape \(.*\), expected \(N, H, W\)"):
            plot.predictions(bad, [0], [0])
    for name, arguments in {
        "true": ([0], [0, 1]),
        "predicted": ([0, 1], [[0, 1]]),
        "confidence": ([0, 1], [0, 1], None, [1.0]),
    }.items():
        with pytest.raises(ValueError, match=rf"{name} has shape \(.*\), expected \(2,\): one per image"):
            plot.predictions(images, *arguments)
    with pytest.raises(ValueError, match="classes run from 0 to 2, but names has 2"):
        plot.predictions(images, [0, 1], [0, 2], ["a", "b"])
    with pytest.raises(ValueError, match="limit is 0, expected at least 1"):
        plot.predictions(images, [0, 1], [0, 1], limit=0)


def test_feature_maps_share_one_scale():
    activations = np.zeros((4, 10, 10))
    activations[1], activations[2], activations[3] = 2.0, -1.0, 9.0
    figure = plot.feature_maps(minigrad.tensor(activations, requires_grad=True), limit=3, title="conv1")
    assert [axes.get_title() for axes in panels(figure)] == ["0", "1", "2"]
    assert [pixels(axes)[0, 0] for axes in panels(figure)] == [0, 2, -1]
    assert {axes.images[0].get_clim() for axes in panels(figure)} == {(-1.0, 2.0)}
    assert any(axes.get_ylabel() == "activation" for axes in figure.axes)


def test_feature_maps_of_a_dead_layer_and_of_wrong_shapes(tmp_path):
    plot.feature_maps(np.zeros((2, 3, 3))).savefig(tmp_path / "a.png")
    for bad in (np.zeros((1, 2, 3, 3)), np.zeros((3, 3)), np.zeros((0, 3, 3))):
        with pytest.raises(
            ValueError, match=r"expected \(C, H, W\), not empty; of a batch, take one: activations\[0\]"
        ):
            plot.feature_maps(bad)
    with pytest.raises(ValueError, match="limit is -1"):
        plot.feature_maps(np.zeros((2, 3, 3)), limit=-1)
