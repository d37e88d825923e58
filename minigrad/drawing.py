"""Arrays drawn from the usual distributions: the one place that checks their parameters and keeps their ranges.

:mod:`minigrad.creation` makes tensors of them, :mod:`minigrad.inplace` fills tensors with them. Numbers are drawn in
float32 (float64 for float64 tensors) and rounded to the dtype wanted. Rounding can step over an end of the range:
0.99999 is 1.0 in float16, and 1000.99999 is 1001.0 in float32. What it pushed out is put on the nearest number inside.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from . import dtypes
from .autograd.variable import namespace
from .errors import DistributionError, DtypeError


def least(kind: np.dtype[Any], bound: Any) -> Any:
    """The smallest number of a floating dtype that is not below ``bound``."""
    x = kind.type(bound)
    return x if float(x) >= bound else np.nextafter(x, kind.type(np.inf))


def largest(kind: np.dtype[Any], bound: Any, below: bool = True) -> Any:
    """The largest number of a floating dtype below ``bound`` (``below=False``: not above it).

    Where ``bound`` itself is rounded, that is also below the rounded bound.
    """
    x = kind.type(bound)
    return np.nextafter(x, kind.type(-np.inf)) if below or float(x) > bound else x


def rounded(values: Any, kind: np.dtype[Any], bottom: Any, top: Any) -> Any:
    """``values`` in another floating dtype, kept between two of its numbers (``bottom`` where they exclude all)."""
    with np.errstate(over="ignore"):
        values = values.astype(kind, copy=False)
    return namespace(values).clip(values, bottom, max(bottom, top))


def floating(name: str, kind: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype to draw in for a floating ``kind``. Raises DtypeError for others, which hold no such numbers."""
    if kind.kind != "f":
        raise DtypeError(f"{name}: expected a floating dtype, got {dtypes.as_dtype(kind)}")
    return kind if kind.itemsize >= 4 else np.dtype(np.float32)


def _refusal(name: str, rule: str, got: Any) -> DistributionError:
    return DistributionError(f"{name}: {rule}, got {got}")


def _all(condition: Any) -> bool:
    return bool(condition.all()) if hasattr(condition, "all") else bool(condition)


def probability(name: str, p: Any) -> None:
    """Refuse a number, or an array with an element, outside 0 … 1 (NaN too)."""
    if not _all((p >= 0) & (p <= 1)):
        raise _refusal(name, "expected probabilities between 0 and 1", p)


def spread(name: str, std: Any) -> None:
    """Refuse a standard deviation, or an array with one, that is negative or NaN."""
    if not _all(std >= 0):
        raise _refusal(name, "expected a standard deviation std >= 0", std)


def uniform(name: str, draw: Any, shape: Any, kind: np.dtype[Any], low: float, high: float) -> Any:
    """Draws u from U[0, 1), then low + u (high − low): in [low, high), or all ``low`` where both are equal."""
    native = floating(name, kind)
    limit = float(np.finfo(kind).max)
    if not (-limit <= low <= high <= limit and high - low <= limit):
        rule = f"expected bounds from <= to that {kind} holds, whose largest number is {limit}, and to - from as well"
        raise _refusal(name, rule, f"{low} and {high}")
    values = draw.random(shape, dtype=native)
    if (low, high) == (0, 1):
        if native == kind:
            return values  # in [0, 1) as they are
    else:
        values = values * (high - low) + low
    return rounded(values, kind, least(kind, low), largest(kind, high))


def normal(name: str, draw: Any, shape: Any, kind: np.dtype[Any], mean: float, std: float) -> Any:
    """Draws z from N(0, 1), then mean + z std."""
    spread(name, std)
    values = draw.standard_normal(shape, dtype=floating(name, kind))
    if (mean, std) != (0, 1):
        values = values * std + mean
    with np.errstate(over="ignore"):
        return values.astype(kind, copy=False)


def integers(name: str, draw: Any, shape: Any, kind: np.dtype[Any], low: Any, high: Any) -> Any:
    """Whole numbers from ``low`` to ``high`` − 1, which the dtype must hold."""
    try:
        low, high = operator.index(low), operator.index(high)
    except TypeError:
        raise TypeError(f"{name}: expected whole numbers as bounds, got {low!r} and {high!r}") from None
    if low >= high:
        raise _refusal(name, "high must be greater than low", f"{low} and {high}")
    smallest, greatest = _whole_numbers(kind)
    if low < smallest or high - 1 > greatest:
        raise _refusal(name, f"expected numbers of {kind}, {smallest} to {greatest}", f"bounds {low} and {high}")
    values = draw.integers(low, high, shape)
    if kind.kind != "f":
        return values.astype(kind)
    return rounded(values, kind, least(kind, low), largest(kind, high))


def any_integers(name: str, draw: Any, shape: Any, kind: np.dtype[Any], low: Any = 0) -> Any:
    """Whole numbers from ``low`` on: of an integer dtype all it holds, of a floating one all below 2^digits."""
    top = 2 ** (np.finfo(kind).nmant + 1) if kind.kind == "f" else _whole_numbers(kind)[1] + 1
    return integers(name, draw, shape, kind, low, top)


def _whole_numbers(kind: np.dtype[Any]) -> tuple[int, int]:
    """The range of a dtype."""
    if kind.kind == "b":
        return 0, 1
    info: Any = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    return int(info.min), int(info.max)


def permutation_fits(name: str, n: Any, kind: np.dtype[Any]) -> int:
    """``n`` as an int, if each of 0 … n − 1 is a number of the dtype."""
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(f"{name}: n must be a whole number, got {n!r}") from None
    if n < 0:
        raise _refusal(name, "n must not be negative", n)
    most = 2 ** (np.finfo(kind).nmant + 1) + 1 if kind.kind == "f" else _whole_numbers(kind)[1] + 1
    if n > most:
        raise _refusal(name, f"expected n <= {most}, since {kind} does not hold all of 0 to n - 1", n)
    return n


def exponential(name: str, draw: Any, shape: Any, kind: np.dtype[Any], rate: float) -> Any:
    """Density λ e^(−λx) over x > 0, by inversion: x = −ln(1 − u) / λ."""
    if not rate > 0:
        raise _refusal(name, "expected a rate lambd > 0", rate)
    u = draw.random(shape, dtype=floating(name, kind))
    return rounded(-namespace(u).log1p(-u) / rate, kind, np.finfo(kind).tiny, np.finfo(kind).max)


def geometric(name: str, draw: Any, shape: Any, kind: np.dtype[Any], p: float) -> Any:
    """P(k) = (1 − p)^(k−1) p over k = 1, 2, …, by inversion: k = ⌈ln(1 − u) / ln(1 − p)⌉."""
    if not 0 < p < 1:
        raise _refusal(name, "expected a probability p with 0 < p < 1", p)
    u = draw.random(shape)
    xp = namespace(u)
    return xp.clip(xp.ceil(xp.log1p(-u) / math.log1p(-p)), 1, min(_whole_numbers(kind)[1], 2**53)).astype(kind)


def log_normal(name: str, draw: Any, shape: Any, kind: np.dtype[Any], mean: float, std: float) -> Any:
    """e^z with z from N(mean, std²)."""
    if not std > 0:
        raise _refusal(name, "expected a standard deviation std > 0", std)
    z = normal(name, draw, shape, floating(name, kind), mean, std)
    with np.errstate(over="ignore"):
        return namespace(z).exp(z).astype(kind)


def cauchy(name: str, draw: Any, shape: Any, kind: np.dtype[Any], median: float, sigma: float) -> Any:
    """Density σ / (π (σ² + (x − median)²)), by inversion: x = median + σ tan(π (u − ½))."""
    if not sigma > 0:
        raise _refusal(name, "expected a scale sigma > 0", sigma)
    u = draw.random(shape, dtype=floating(name, kind))
    with np.errstate(over="ignore"):
        return (namespace(u).tan(math.pi * (u - 0.5)) * sigma + median).astype(kind)


def choices(name: str, draw: Any, weights: np.ndarray, count: int, replacement: bool) -> np.ndarray:
    """``count`` indices of each row of ``weights`` (rows, n), with probabilities in proportion to them."""
    if count <= 0:
        raise _refusal(name, "expected num_samples > 0", count)
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise _refusal(name, "expected weights that are finite and not negative", weights)
    totals = weights.sum(axis=-1)
    if not ((totals > 0) & (totals < np.inf)).all():
        raise _refusal(name, "expected weights with a finite sum above 0, so not all 0 in a row", weights)
    usable = np.count_nonzero(weights, axis=-1).min(initial=weights.shape[-1])
    if count > usable and not replacement:
        raise _refusal(name, f"expected num_samples <= {usable}, the weights above 0, since none is taken twice", count)
    rows = [draw.choice(w.size, count, replace=replacement, p=w / w.sum()) for w in weights]
    return np.array(rows, dtype=np.int64).reshape(-1, count)
