"""Confusion matrices as pictures."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import plot


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
