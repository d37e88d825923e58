"""The labs are scripts that import one another from their own folder, as `python labs/<name>.py` makes it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import minigrad
from minigrad.runs import Run

LABS = Path(__file__).parents[2] / "labs"
sys.path.insert(0, str(LABS))


@pytest.fixture(autouse=True)
def _no_data_at_hand(tmp_path, monkeypatch):
    """No test sees data sets that happen to be on this machine."""
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "no-data-here"))


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Steps this small gain nothing from threads, and lose much by them where other work keeps the cores busy.

    A lab that a test starts as a process has as many, since sums on more threads may round otherwise.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = minigrad.get_num_threads()
    minigrad.set_num_threads(1)
    yield
    minigrad.set_num_threads(before)


@pytest.fixture
def no_pictures(monkeypatch):
    """Captions alone, {name: caption}: drawing takes most of the time of a run as short as a test's."""
    captions = {}
    monkeypatch.setattr(Run, "picture", lambda run, figure, name, caption, **kind: captions.update({name: caption}))
    return captions
