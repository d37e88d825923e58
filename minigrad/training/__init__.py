"""What goes round a training loop: the loop itself as events, callbacks, probes, metrics, runs and their reports."""

from . import callbacks, probes
from .callbacks.base import Callback
from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from .diagnosis import NonFiniteError
from .metrics import accuracy, classification_report, confusion_matrix
from .progress import Progress
from .report import Link, Picture, Table, Text
from .run import Run
from .runs import RunRecord, comparison_page, find_runs, write_runs_summary
from .streaming import AUC, Accuracy, Mean, Metric
from .trainer import Trainer

__all__ = [
    "AUC",
    "Accuracy",
    "Callback",
    "CheckpointError",
    "Link",
    "Mean",
    "Metric",
    "NonFiniteError",
    "Picture",
    "Progress",
    "Run",
    "RunRecord",
    "Table",
    "Text",
    "Trainer",
    "accuracy",
    "callbacks",
    "classification_report",
    "comparison_page",
    "confusion_matrix",
    "find_runs",
    "load_checkpoint",
    "probes",
    "save_checkpoint",
    "write_runs_summary",
]
