"""What surrounds a training loop: the loop as events, callbacks, probes, metrics, checkpoints."""

from . import callbacks, probes
from .callback import Callback
from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from .diagnosis import NonFiniteError
from .metrics import accuracy, classification_report, confusion_matrix
from .streaming import AUC, Accuracy, Mean, Metric
from .trainer import Trainer

__all__ = [
    "AUC",
    "Accuracy",
    "Callback",
    "CheckpointError",
    "Mean",
    "Metric",
    "NonFiniteError",
    "Trainer",
    "accuracy",
    "callbacks",
    "classification_report",
    "confusion_matrix",
    "load_checkpoint",
    "probes",
    "save_checkpoint",
]
