"""The confusion matrix of each validation."""

from __future__ import annotations

import pytest
from monitor_support import COUNTS, TRUE, Scores, judged

import minigrad
from minigrad import nn
from minigrad.training.callbacks import (
    ConfusionMatrix,
)
from minigrad.training.classes import classes_on_host


def test_the_confusion_matrix_counts_the_validation_set():
    for classes in (None, 3, ["a", "b", "c"]):
        matrix = ConfusionMatrix(classes)
        assert matrix.counts is None
        judged(matrix, epochs=2)
        assert matrix.counts.tolist() == COUNTS
        assert matrix.epoch == 2
    matrix = ConfusionMatrix()
    target = [float(t > 0) for t in TRUE]
    judged(matrix, model=Scores(1), target=target, criterion=lambda y, t: nn.BCEWithLogitsLoss()(y[:, 0], t.float()))
    assert matrix.counts.tolist() == [[2, 1], [0, 4]]
    with pytest.raises(ValueError, match="expected 0 to 1 for 2 classes"):
        judged(ConfusionMatrix(2))
    with pytest.raises(ValueError, match=r"output has shape \(4,\), target \(3,\)"):
        classes_on_host("Here", minigrad.zeros(4), minigrad.zeros(3))
    with pytest.raises(ValueError, match=r"Here: output has shape \(4, 3\), target \(4, 1\)"):
        classes_on_host("Here", minigrad.zeros(4, 3), minigrad.zeros(4, 1))
