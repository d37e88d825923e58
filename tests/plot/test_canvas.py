"""Charts: what stands in them is what was given, and what cannot be drawn is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from picture_support import labels

from minigrad import plot

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
