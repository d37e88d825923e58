"""Callbacks: what happens around the loop of a :class:`minigrad.training.Trainer`, a file a subject."""

from .base import Callback, CancelBatch, CancelEpoch, CancelFit, Order
from .best import Best
from .clipping import GradientClipping
from .early_stopping import EarlyStopping
from .loggers import CSVLogger, RunLogger, TensorBoardLogger
from .lr_finder import LRFinder
from .model_checkpoint import ModelCheckpoint
from .nan import TerminateOnNaN
from .overfit import OverfitError, OverfitOneBatch
from .progress_bar import ProgressBar
from .schedule import LearningRateMonitor, LRSchedule
