"""Settings for the whole suite: one hypothesis profile, and the tables of op tests (see ``support/op_suite.py``)."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every run, so that a red run can be repeated; no deadline: a first call may compile.
settings.register_profile(
    "minigrad", deadline=None, max_examples=25, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile("minigrad")

# A shell's background jobs ignore Ctrl-C, and so does what they start: a test's program would not be interrupted then.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each check of an ``OpSuite`` its lines: ``case`` all of them, ``large_case`` those with one."""
    for fixture, wanted in (("case", lambda c: True), ("large_case", lambda c: c.large is not None)):
        if fixture in metafunc.fixturenames and metafunc.cls is not None:
            cases = [c for c in metafunc.cls.cases if wanted(c)]
            metafunc.parametrize(fixture, cases, ids=[c.name for c in cases])
