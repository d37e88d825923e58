"""Pictures: what is drawn is what was given, and nothing global is touched."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import minigrad
from minigrad import plot


def test_no_pyplot_no_display(tmp_path):
    code = (
        "import sys, os; os.environ.pop('DISPLAY', None)\n"
        "from minigrad import plot\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"plot.curves({{'a': ([1, 2], [3, 4])}}).savefig({str(tmp_path / 'a.png')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


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


def test_confusion_matrix():
    counts = minigrad.tensor([[5, 1], [0, 9]])
    (axes,) = plot.confusion_matrix(counts, ["cat", "dog"], "Title").axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "5", (1, 0): "1", (0, 1): "0", (1, 1): "9"}  # (column, row)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    with pytest.raises(ValueError, match=r"\(2, 3\), expected \(K, K\)"):
        plot.confusion_matrix(np.ones((2, 3)))
    with pytest.raises(ValueError, match="3 names for 2 classes"):
        plot.confusion_matrix(np.ones((2, 2)), ["a", "b", "c"])


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
