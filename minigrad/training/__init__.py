"""What goes round a training loop: the folder of a run, its progress bar, its metrics and its report."""

from .metrics import accuracy, classification_report, confusion_matrix
from .progress import Progress
from .report import Link, Picture, Table, Text
from .run import Run

__all__ = [
    "Link",
    "Picture",
    "Progress",
    "Run",
    "Table",
    "Text",
    "accuracy",
    "classification_report",
    "confusion_matrix",
]
