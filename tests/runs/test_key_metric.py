"""The metric by which runs are compared."""

from __future__ import annotations

import pytest
from some_runs import make_run

from minigrad.runs import RunRecord
from minigrad.runs.key_metric import checked_key, key_metric


def test_the_key_figure_is_the_test_set_s(tmp_path):
    results = {"parameters": 7, "train_accuracy": 0.9, "best_val_auc": 0.8, "test_loss": 1.0, "test_auc": 0.7}
    whole = RunRecord.read(make_run(tmp_path, curves={"loss": [1.0]}, results=results))
    part = RunRecord.read(make_run(tmp_path, results={"test_loss": 1.0, "train_accuracy": 0.5}))
    bare = RunRecord.read(make_run(tmp_path, curves={"loss": [1.0], "val_loss": [1.0]}))
    assert key_metric([whole]) == "test_auc"
    assert key_metric([whole, part]) == "test_loss"  # more runs have it
    assert key_metric([bare]) == "val_loss"
    assert key_metric([]) is None
    assert checked_key([whole], "loss", None, "f") == ("loss", "min")
    assert checked_key([whole], "parameters", "min", "f") == ("parameters", "min")
    with pytest.raises(ValueError, match=r"f: no run has the metric 'test_acu'; did you mean test_auc"):
        checked_key([whole], "test_acu", None, "f")
    with pytest.raises(ValueError, match="is a large 'parameters' good or bad"):
        checked_key([whole], "parameters", None, "f")
    with pytest.raises(ValueError, match="mode = 'best', expected 'min' or 'max'"):
        checked_key([whole], "test_auc", "best", "f")
