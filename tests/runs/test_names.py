"""What the name of a metric tells."""

from __future__ import annotations

import pytest

from minigrad.runs.names import mode_of, monitor_of


@pytest.mark.parametrize(
    ("name", "mode"),
    [("test_auc", "max"), ("final loss, manual", "min"), ("Val-Accuracy", "max"), ("lr", None), ("loss_auc", None)],
)
def test_names_tell_what_is_good(name, mode):
    assert mode_of(name) == mode


def test_the_epoch_is_judged_by_validation_if_there_is_one():
    assert monitor_of(["loss", "accuracy", "val_loss", "val_accuracy"]) == "val_accuracy"
    assert monitor_of(["accuracy", "val_loss"]) == "val_loss"
    assert monitor_of(["loss", "accuracy"]) == "accuracy"
    assert monitor_of(["lr"]) is None
