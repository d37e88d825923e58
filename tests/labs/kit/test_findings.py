"""Whether figures agree with a conclusion, by more than chance."""

from __future__ import annotations

import pytest
from kit import findings


def test_agreement_asks_for_more_than_noise():
    assert [findings.agreement(a, 0.5, 0.01) for a in (0.52, 0.505, 0.48)] == ["yes", "not clear", "no"]
    assert findings.chance(0.9, 10_000) == pytest.approx(2 * 0.003)


@pytest.mark.parametrize(
    ("answers", "one"),
    [
        (["yes", "yes"], "yes"),
        (["no", "no"], "no"),
        (["yes", "not clear"], "not clear"),
        (["yes", "no"], "in part, 1 of 2"),
    ],
)
def test_several_answers_become_one(answers, one):
    assert findings.combined(answers) == one
