"""Every test of the profiler leaves the engine as it was, and no profiler running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from profiler_support import network

from minigrad.autograd import Function, Op
from minigrad.autograd.engine import Walk
from minigrad.optim import Optimizer
from minigrad.profiler import profile

ENTRANCES = [
    *((Op, "apply"), (Function, "apply"), (Op, "__init__"), (Walk, "run"), (Walk, "deliver")),
    *((Optimizer, "step"), (Optimizer, "zero_grad")),
]


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    before = [vars(owner).get(name) for owner, name in ENTRANCES]
    yield
    assert [vars(owner).get(name) for owner, name in ENTRANCES] == before
    with profile():
        pass


@pytest.fixture(scope="module")
def recorded() -> profile:
    """Two steps of a small network."""
    _, _, step = network()
    with profile() as p:
        for _ in range(2):
            step()
    return p
