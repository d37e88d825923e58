"""Charts: what stands in them is what was given, and what cannot be drawn is refused."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import plot
from minigrad.plot.smoothing import smooth


def labels(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_roc_curve(tmp_path):
    fpr, tpr = minigrad.tensor([0.0, 0.2, 1.0]), [0.0, 0.7, 1.0]
    figure = plot.roc_curve({"cat": (fpr, tpr, 0.75), "dog": ([0, 1], [0, 1], np.float64(0.5))}, "Title")
    (axes,) = figure.axes
    guessing, cat, dog = axes.lines
    assert guessing.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert guessing.is_dashed()
    assert np.allclose(cat.get_xydata(), [[0, 0], [0.2, 0.7], [1, 1]])
    assert dog.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert labels(axes.get_legend()) == ["guessing (AUC 0.5)", "cat (AUC 0.750)", "dog (AUC 0.500)"]
    assert axes.get_aspect() == 1
    many = plot.roc_curve({str(i): ([0, 1], [0, 1], 0.5) for i in range(7)})
    many.savefig(tmp_path / "many.png")
    assert len(labels(many.legends[0])) == 8


def test_roc_curve_refuses():
    with pytest.raises(ValueError, match="curves is empty"):
        plot.roc_curve({})
    with pytest.raises(ValueError, match=r"'a' has false positive rates of shape \(2,\) and true ones of shape \(3,\)"):
        plot.roc_curve({"a": ([0, 1], [0, 0.5, 1], 0.5)})
    with pytest.raises(ValueError, match=r"N ≥ 2"):
        plot.roc_curve({"a": ([0], [0], 0.5)})
    with pytest.raises(ValueError, match=r"'a' has true positive rates from nan to nan, expected 0 … 1 \(NaN: one"):
        plot.roc_curve({"a": ([0, 1], [np.nan, np.nan], np.nan)})
    with pytest.raises(ValueError, match=r"'a' has false positive rates from 0\.0 to 1\.5"):
        plot.roc_curve({"a": ([0, 1.5], [0, 1], 0.5)})


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


HOSTILE = [
    "$x$",
    r"$\notmath$",
    "$",
    r"\$5 & \frac",
    "_hidden",
    "a<b>&c</svg>",
    "two\nlines\tand\x07",
    "x" * 300,
    "שלום",
    "{0!r}",
]


def pictures_of(names):
    numbers = {name: float(i + 1) for i, name in enumerate(names)}
    x = [0.0, 1.0]
    images = np.zeros((len(names), 4, 4))
    classes = np.arange(len(names))
    yield plot.curves(dict.fromkeys(names, (x, x)), names[0], names[1], names[0])
    yield plot.curves(dict.fromkeys(names[:3], (x, x)), log=True)
    yield plot.smoothed_curves(dict.fromkeys(names, (x, x)), title=names[0])
    yield plot.fit(x, x, x, dict.fromkeys(names, x), names[0])
    yield plot.bars(numbers, names[0], names[1], form="$ {:.2f} $")
    yield plot.gradient_flow(numbers, names[0], names[1])
    yield plot.roc_curve(dict.fromkeys(names, (x, x, 0.5)), names[0])
    yield plot.confusion_matrix(np.eye(len(names), dtype=int), names, names[0])
    yield plot.predictions(images, classes, classes[::-1], names, title=names[0])
    yield plot.receptive_fields({name: np.ones((3, 3)) for name in names}, title=names[0])
    yield plot.scatter(x, x, names[0], names[1], names[2])
    yield plot.weight_images(np.ones((2, 4)), (2, 2), names[0])
    yield plot.feature_maps(np.ones((2, 4, 4)), title=names[0])
    yield plot.histograms_over_time([([0, 1], [3])], [1], names[0], names[1], names[2])
    yield plot.decision_surface(lambda p: p[:, 0] * 0, np.eye(2), np.array([0, 1]), names[0])


def test_names_are_drawn_as_they_stand(tmp_path):
    """Names from data: nothing in them is a formula, and a class is not left out because of its name."""
    from matplotlib.text import Text

    for figure in pictures_of(HOSTILE):
        figure.savefig(tmp_path / "picture.png")
        texts = figure.findobj(Text)
        formulas = [
            t for t in texts if "$" in t.get_text() and t.get_parse_math() and "mathdefault" not in t.get_text()
        ]
        assert formulas == []
        assert any("$x$" in t.get_text() for t in texts)
    for figure in (plot.curves({"_a": ([0], [1]), "_b": ([0], [1])}), plot.roc_curve({"_a": ([0, 1], [0, 1], 1.0)})):
        assert labels(figure.axes[0].get_legend())[-1].startswith(("_b", "_a"))


def test_a_dollar_sign_is_seen(tmp_path):
    """Between dollar signs a formula would lose its spaces and its dollars: pictures of both names differ then."""
    drawn = []
    for name in ("$a b$", "a b"):
        figure = plot.bars({name: 1.0})
        figure.savefig(tmp_path / "picture.png")
        drawn.append(max(label.get_window_extent().width for label in figure.axes[0].get_yticklabels()))
    assert drawn[0] > drawn[1] * 1.3
