"""Whether a lab's runs support the conclusions of the student report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from minigrad.runs import Run


class Finding(NamedTuple):
    """A conclusion of the report, what these runs show of it, and whether they agree: yes, no, in part, not clear."""

    conclusion: str
    found: str
    agrees: str


def chance(accuracy: float, images: int) -> float:
    """Two standard errors √(p (1 − p) / n) of an accuracy p on n images: what other images would change by chance."""
    return 2 * math.sqrt(max(accuracy * (1 - accuracy), 1e-9) / images)


def agreement(better: float, worse: float, noise: float) -> str:
    """Whether the one is above the other by more than the noise: yes, no, or not clear."""
    if abs(better - worse) <= noise:
        return "not clear"
    return "yes" if better > worse else "no"


def combined(answers: Sequence[str]) -> str:
    """One answer out of several, each yes, no or not clear, for a conclusion that says several things."""
    kinds = set(answers)
    if len(kinds) == 1:
        return answers[0]
    if kinds == {"yes", "not clear"} or kinds == {"no", "not clear"}:
        return "not clear"
    return f"in part, {answers.count('yes')} of {len(answers)}"


def write(parent: Run, findings: Sequence[Finding], real: bool, noise: str) -> None:
    """Put the findings into a report as a table and, if they are of all the real data, into its results.

    Args: noise: what "not clear" means here.
    """
    if not findings:
        return
    note = noise if real else "These are not all images of the real data, so nothing is said about the report."
    rows = [(f.conclusion, f.found, f.agrees if real else None) for f in findings]
    parent.table("What the report concludes", ("the report", "these runs", "agree"), rows, note)
    if real:
        parent.results["conclusions"] = [f._asdict() for f in findings]
