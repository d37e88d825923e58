"""What the tests of worker processes share."""

import multiprocessing
import time

import pytest


@pytest.fixture(autouse=True)
def _no_process_left():
    """Every test here ends all its workers, also those whose iterators were dropped."""
    yield
    deadline = time.monotonic() + 5
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert multiprocessing.active_children() == []
