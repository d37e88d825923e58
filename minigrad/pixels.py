"""Brightness as bytes."""

from __future__ import annotations

import numpy as np


def scaled_to_bytes(values: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """⌊255 · value + shift⌋ in 0 … 255: what lies outside is clipped, not wrapped round, and NaN is 0."""
    with np.errstate(over="ignore"):
        scaled = values.astype(np.promote_types(values.dtype, np.float32)) * 255 + shift
    return np.clip(np.nan_to_num(scaled, copy=False, nan=0.0), 0, 255).astype(np.uint8)
