"""Smoothing of noisy curves, as in TensorBoard."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def smooth(values: Any, weight: float) -> np.ndarray[Any, Any]:
    """The exponential moving average of TensorBoard's scalar page, with its start corrected.

        aₜ = w aₜ₋₁ + (1 − w) xₜ,   a₀ = 0,        sₜ = aₜ / (1 − wᵗ)

    a starts at 0, and after t values its weights add up to 1 − wᵗ only; dividing by that makes s₁ = x₁, and sₜ a true
    weighted mean of x₁ … xₜ. Values that are NaN or infinite are passed over: they stand in the result where they
    stood, and the average goes on without them.

    Args:
        values: (N,), an array or a list.
        weight: w, from 0 (no smoothing) to below 1; about 1/(1 − w) values count.
    Returns: (N,), float64.
    Raises ValueError for another shape or weight.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise ValueError(f"smooth: values have shape {x.shape}, expected (N,)")
    if not 0 <= weight < 1:
        raise ValueError(f"smooth: weight is {weight}, expected 0 ≤ weight < 1")
    smoothed = x.copy()
    average, share = 0.0, 1.0  # aₜ and wᵗ
    for i, value in enumerate(x.tolist()):
        if math.isfinite(value):
            average = weight * average + (1 - weight) * value
            share *= weight
            smoothed[i] = average / (1 - share)
    return smoothed
