"""The progress of a training, on a terminal and without one."""

from __future__ import annotations

from small_training import fit_with, loader, make

from minigrad.training.callbacks import (
    EarlyStopping,
    ProgressBar,
)


def test_progress_without_a_terminal(capsys):
    make([ProgressBar()]).fit(loader(), loader(), epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2: loss ")
    assert "val_loss" in lines[0]
    fit_with([1, 2, 3], EarlyStopping("figure", mode="min", patience=1), ProgressBar("round"))
    assert (
        capsys.readouterr().out.splitlines()[-1].startswith("Stopped after epoch 2, batch 2: figure has not improved")
    )


def test_progress_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("minigrad.training.callbacks.progress_bar._DRAW_EVERY", 0.0)
    make([ProgressBar()]).fit(loader(), loader(), epochs=2)
    drawn = capsys.readouterr()
    assert drawn.out == ""
    assert "epoch 2/2: 100%" in drawn.err
    assert "val_loss" in drawn.err
