"""What a run leaves behind: its folder, its report, and many runs side by side.

    with Run("runs/lab8", "base", config={"lr": 0.1}) as run:
        ...
    records = find_runs("runs/lab8")
    write_runs_summary(records, "runs/lab8/runs_summary.csv")
    comparison_page(records, "runs/lab8/comparison.html", "Loans: all runs", "test_auc")

``python -m minigrad.runs.compare runs/lab8`` does the last three.
"""

from .comparison import comparison_page
from .find import find_runs
from .progress import Progress
from .record import RunRecord
from .report import Link, Picture, Table, Text
from .run import Run
from .summary import write_runs_summary

__all__ = [
    "Link",
    "Picture",
    "Progress",
    "Run",
    "RunRecord",
    "Table",
    "Text",
    "comparison_page",
    "find_runs",
    "write_runs_summary",
]
