"""Histograms: counts in bins of equal width, with the sums that give mean and standard deviation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...nested import on_host

_BLOCK = 1 << 16  # elements of a pass; in float64 they stay in a core's cache
_HUGE = 1e150  # beyond it, squares overflow


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of values in B bins of equal width between their minimum and maximum.

        h = Histogram.of(layer.weight)
        h.mean, h.std
        h.add_to(writer, "weights/fc1", epoch)

    Attributes:
        edges: the bounds of the bins, (B + 1,), rising. For a constant c they span c ± |c|/2; for 0, or without values,
            ± 0.5.
        counts: the number of values in each bin, (B,); the last bin includes its upper bound.
        min, max: NaN without any value.
        number: of values counted.
        total, squares: Σx and Σx², in float64.
        nonfinite: the number of values that were NaN or infinite (or beyond ±1e150), which are not counted above.
    """

    edges: np.ndarray[Any, np.dtype[np.float64]]
    counts: np.ndarray[Any, np.dtype[np.int64]]
    min: float
    max: float
    number: int
    total: float
    squares: float
    nonfinite: int = 0

    @classmethod
    def of(cls, values: Any, bins: int = 64) -> Histogram:
        """The histogram of a tensor's or array's elements, of any shape and on any device.

        A value within float64 rounding of an edge may be counted on either side of it.
        Raises ValueError if ``bins`` is below 1.
        """
        if bins < 1:
            raise ValueError(f"Histogram.of: bins = {bins!r}, expected 1 or more")
        flat = np.asarray(on_host(values)).reshape(-1)
        nonfinite = 0
        low, high = _bounds(flat)
        if flat.size and not -_HUGE < low <= high < _HUGE:  # false for NaN, too
            finite = flat[abs(flat) < _HUGE if flat.dtype == np.float64 else np.isfinite(flat)]
            nonfinite = flat.size - finite.size
            flat = finite
            low, high = _bounds(flat)
        first, last = (low, high) if high - low > 1e-300 else _around(low if flat.size else 0.0)
        counts = np.zeros(bins + 1, np.int64)
        total = squares = 0.0
        scale = bins / (last - first)
        for start in range(0, flat.size, _BLOCK):
            x = flat[start : start + _BLOCK].astype(np.float64)
            total += float(x.sum())
            squares += float(x.dot(x))
            x -= first
            x *= scale
            counts += np.bincount(x.astype(np.int64), minlength=bins + 1)
        counts[-2] += counts[-1]  # the maximum itself
        edges = np.linspace(first, last, bins + 1)
        return cls(edges, counts[:-1], low, high, int(flat.size), total, squares, int(nonfinite))

    @property
    def mean(self) -> float:
        """Σx / n; NaN without any value."""
        return self.total / self.number if self.number else math.nan

    @property
    def std(self) -> float:
        """√(Σ(x − mean)² / n), the population's standard deviation; NaN without any value."""
        return math.sqrt(max(0.0, self.squares / self.number - self.mean**2)) if self.number else math.nan

    @property
    def norm(self) -> float:
        """√Σx²."""
        return math.sqrt(self.squares)

    def add_to(self, writer: Any, tag: str, step: int | None = None) -> None:
        """Write it for TensorBoard; nothing if there is no value. ``writer``: a SummaryWriter, ours or PyTorch's."""
        if not self.number:
            return
        writer.add_histogram_raw(
            tag,
            # TensorBoard takes these two as the outer bounds of the bins; for a constant, min and max are not.
            min=float(self.edges[0]),
            max=float(self.edges[-1]),
            num=self.number,
            sum=self.total,
            sum_squares=self.squares,
            bucket_limits=self.edges[1:].tolist(),
            bucket_counts=self.counts.tolist(),
            global_step=step,
        )


def squared_norm(array: Any) -> float:
    """Σx² of an array, summed in float64, so that gradients of 1e-25 do not underflow, nor large ones overflow."""
    x = array.reshape(-1).astype(np.float64)
    return float(x.dot(x))


def _bounds(flat: Any) -> tuple[float, float]:
    return (float(flat.min()), float(flat.max())) if flat.size else (math.nan, math.nan)


def _around(value: float) -> tuple[float, float]:
    pad = abs(value) / 2 if abs(value) > 1e-290 else 0.5
    return value - pad, value + pad
