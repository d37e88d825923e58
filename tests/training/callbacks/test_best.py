"""Whether small or large is good, by the name of a metric."""

from __future__ import annotations

import pytest

from minigrad.training.callbacks import (
    EarlyStopping,
    ModelCheckpoint,
)


def test_the_mode_by_the_name():
    assert EarlyStopping("val_loss").best.mode == "min"
    assert ModelCheckpoint("x", "val_accuracy").best.mode == "max"
    assert EarlyStopping("val_auc").best.mode == "max"
    with pytest.raises(ValueError, match=r"EarlyStopping: is a large 'figure' good or bad\? Say mode="):
        EarlyStopping("figure")
    with pytest.raises(ValueError, match="mode = 'maximum', expected 'min' or 'max'"):
        EarlyStopping("loss", mode="maximum")
    with pytest.raises(ValueError, match="min_delta = -1, expected 0 or more"):
        EarlyStopping("loss", min_delta=-1)
    with pytest.raises(ValueError, match="patience = 0, expected a whole number, 1 or more"):
        EarlyStopping("loss", patience=0)
