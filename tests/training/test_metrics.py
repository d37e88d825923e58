"""Metrics against hand-made cases and scikit-learn, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

import minigrad
from minigrad.training import accuracy, classification_report, confusion_matrix


def test_hand_made_case():
    target, predicted = minigrad.tensor([0, 0, 1, 2, 2, 2]), [0, 1, 1, 2, 2, 0]
    assert accuracy(target, predicted) == pytest.approx(4 / 6)
    assert confusion_matrix(target, predicted).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    assert confusion_matrix(target, predicted, classes=4).shape == (4, 4)


def test_against_scikit_learn_on_tensors():
    rng = np.random.default_rng(0)
    target, predicted = rng.integers(0, 4, (2, 200))
    tensors = minigrad.tensor(target), minigrad.tensor(predicted)
    assert accuracy(*tensors) == reference.accuracy_score(target, predicted)
    assert (confusion_matrix(*tensors) == reference.confusion_matrix(target, predicted)).all()
    names = list("abcd")
    expected = reference.classification_report(target, predicted, target_names=names, digits=4)
    assert classification_report(*tensors, names) == expected


def test_report_of_a_class_that_is_absent_or_never_predicted():
    text = classification_report([0, 1, 1], [0, 0, 0], ["cat", "dog", "bird"])
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows["cat"] == ["0.3333", "1.0000", "0.5000", "1"]
    assert rows["dog"] == ["0.0000", "0.0000", "0.0000", "2"]
    assert rows["bird"] == ["0.0000", "0.0000", "0.0000", "0"]


@pytest.mark.parametrize(
    ("target", "predicted", "message"),
    [
        ([0, 1], [[0.1, 0.9], [0.8, 0.2]], r"predicted has shape \(2, 2\).*argmax\(1\)"),
        ([0, 1], [0.0, 1.0], r"predicted has shape \(2,\) and float64"),
        ([0, 1, 1], [0, 1], "target has 3 labels and predicted 2"),
        (np.zeros(0, int), np.zeros(0, int), "N > 0"),
    ],
)
def test_bad_labels_are_refused(target, predicted, message):
    for metric in (accuracy, classification_report, confusion_matrix):
        with pytest.raises(ValueError, match=message):
            metric(target, predicted)


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(ValueError, match="labels run from 0 to 3, expected 0 to 2"):
        confusion_matrix([0, 3], [0, 1], classes=3)
    with pytest.raises(ValueError, match="labels run from -1 to 1"):
        confusion_matrix([0, -1], [0, 1])
    with pytest.raises(ValueError, match="expected 0 to 1 for 2 classes"):
        classification_report([0, 2], [0, 1], ["a", "b"])
