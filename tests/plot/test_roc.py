"""ROC curves."""

from __future__ import annotations

import numpy as np
import pytest
from picture_support import labels

import minigrad
from minigrad import plot


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
