"""Measure a network while it trains. Probes work without a Trainer: they read a model, and leave it as it was."""

from .activations import Activation, ActivationProbe
from .gradients import GradientProbe
from .histogram import Histogram
from .memory import gpu_memory, peak_memory, resident_memory
from .receptive_field import ReceptiveField, ReceptiveFieldProbe
from .weights import WeightProbe

__all__ = [
    "Activation",
    "ActivationProbe",
    "GradientProbe",
    "Histogram",
    "ReceptiveField",
    "ReceptiveFieldProbe",
    "WeightProbe",
    "gpu_memory",
    "peak_memory",
    "resident_memory",
]
