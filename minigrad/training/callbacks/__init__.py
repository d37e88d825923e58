"""Callbacks: what happens at the events of a :class:`minigrad.training.Trainer`."""

from ..callback import Callback, CancelBatch, CancelEpoch, CancelFit, Order
from .activation_monitor import ActivationMonitor
from .best import Best
from .clipping import GradientClipping
from .confusion_matrix import ConfusionMatrix
from .early_stopping import EarlyStopping
from .epoch_timer import EpochTimer
from .example_predictions import ExamplePredictions
from .gradient_monitor import GradientMonitor
from .loggers import CSVLogger, RunLogger, TensorBoardLogger
from .lr_finder import LRFinder
from .memory_monitor import MemoryMonitor
from .model_checkpoint import ModelCheckpoint
from .nan import TerminateOnNaN
from .overfit import OverfitError, OverfitOneBatch
from .progress_bar import ProgressBar
from .schedule import LearningRateMonitor, LRSchedule
from .weight_monitor import WeightMonitor

__all__ = [
    "ActivationMonitor",
    "Best",
    "CSVLogger",
    "Callback",
    "CancelBatch",
    "CancelEpoch",
    "CancelFit",
    "ConfusionMatrix",
    "EarlyStopping",
    "EpochTimer",
    "ExamplePredictions",
    "GradientClipping",
    "GradientMonitor",
    "LRFinder",
    "LRSchedule",
    "LearningRateMonitor",
    "MemoryMonitor",
    "ModelCheckpoint",
    "Order",
    "OverfitError",
    "OverfitOneBatch",
    "ProgressBar",
    "RunLogger",
    "TensorBoardLogger",
    "TerminateOnNaN",
    "WeightMonitor",
]
