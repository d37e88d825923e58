"""Metrics as a table, for TensorBoard, in the folder of a run."""

from __future__ import annotations

import csv

import pytest
from small_training import fit_with, loader, make

import minigrad
from minigrad.runs import Run
from minigrad.training import Accuracy, Callback
from minigrad.training.callbacks import (
    CSVLogger,
    EarlyStopping,
    RunLogger,
    TensorBoardLogger,
)


def test_a_table_of_the_history(tmp_path):
    class Times(Callback):
        def on_epoch_end(self, trainer):
            trainer.log("seconds", 0.5, performance=True)

    path = tmp_path / "new" / "history.csv"
    everything = tmp_path / "all.csv"
    lengths = []

    class Reads(Callback):
        order = 50

        def on_epoch_end(self, trainer):
            lengths.append(len(path.read_text().splitlines()))

    logger = CSVLogger(path)
    trainer = make([Reads(), logger, CSVLogger(everything, performance=True), Times()])
    history = trainer.fit(loader(), loader(), epochs=2)
    with open(path, newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert rows == history
    assert lengths == [2, 3]
    with open(everything, newline="") as file:
        assert [row["seconds"] for row in csv.DictReader(file)] == ["0.5", "0.5"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.csv", "new"]


def test_a_run_logs_the_figures(tmp_path):
    with Run(tmp_path, "base", {}) as run:
        trainer = make([RunLogger(run, every=1, model_input=minigrad.ones(2, 3))], metrics={"count": Accuracy()})
        history = trainer.fit(loader(), loader(), epochs=2)
    assert run.history == history
    assert run.status == "finished"
    assert list((run.folder / "tensorboard" / "batches").glob("events.*"))


def test_a_run_tells_of_an_early_end(tmp_path, capsys):
    with Run(tmp_path, "base", {}) as run:
        fit_with([1, 2, 3], EarlyStopping("figure", mode="min", patience=1), RunLogger(run))
    assert run.notices == [
        "Ended in epoch 2 of 3: figure has not improved on 1 of epoch 1 for an epoch (EarlyStopping)."
    ]


def test_tensorboard_logs(tmp_path):
    logger = TensorBoardLogger(tmp_path, every=1, model_input=minigrad.ones(2, 3), hparams={"lr": 0.05})
    make([logger]).fit(loader(), loader(), epochs=2)
    assert {p.parent.name for p in tmp_path.rglob("events.*")} == {tmp_path.name, "batches", "hparams"}

    class Fails(Callback):
        def on_epoch_end(self, trainer):
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        make([TensorBoardLogger(tmp_path / "again"), Fails()]).fit(loader())
