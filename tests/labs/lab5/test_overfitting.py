"""Whether curves tell of overfitting."""

from __future__ import annotations

import pytest
from lab5 import overfitting


@pytest.mark.parametrize(
    ("loss", "val_loss", "accuracy", "val_accuracy", "kind"),
    [
        ([1.0, 0.5, 0.1], [1.1, 0.9, 1.4], [0.6, 0.8, 0.97], [0.55, 0.6, 0.6], "yes"),
        ([1.0, 0.5, 0.4], [1.1, 0.9, 0.91], [0.6, 0.8, 0.85], [0.55, 0.6, 0.62], "begins"),
        ([1.0, 0.9, 0.8], [1.0, 0.8, 0.7], [0.6, 0.65, 0.70], [0.62, 0.7, 0.74], "no"),
        ([1.0, 0.5, 0.9], [1.1, 0.8, 1.3], [0.6, 0.8, 0.66], [0.6, 0.7, 0.62], "begins"),  # both diverge
        ([1.0], [1.0], [0.605], [0.6], "no"),  # half a per cent of 10,000 images is chance
    ],
)
def test_the_verdict_follows_the_curves(loss, val_loss, accuracy, val_accuracy, kind):
    judged = overfitting.verdict(loss, val_loss, accuracy, val_accuracy, 10_000)
    assert judged.kind == kind
    assert f"{accuracy[-1]:.4f}" in str(judged)
    assert f"{val_accuracy[-1]:.4f}" in str(judged)


def test_with_fewer_test_images_more_is_chance():
    curves = [1.0, 0.5], [1.0, 0.7], [0.5, 0.75], [0.5, 0.72]
    assert [overfitting.verdict(*curves, n).kind for n in (100, 10_000)] == ["no", "begins"]


def test_without_an_epoch_there_is_nothing_to_judge():
    assert overfitting.verdict([], [], [], [], 100).kind == "no"
