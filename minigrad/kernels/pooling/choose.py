"""Pooling of float32 planes on the CPU: one pass over memory each way.

Three families of loops do the work. Windows of 2 × 2 side by side are what most networks have (``pooling_pairs.py``).
Sums over any other windows, for means and p-norms, are one loop for both directions, with tables of where windows
begin and end (``pooling_sum.py``). Maxima remember the tap they came from, in a byte if that can number all taps of a
window (``pooling_max.py``). Each loop is compiled when it is first used.

Planes are shared out over threads, so no two threads write to one place and the numbers do not depend on the threads.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from ..machine.layout import FLOAT32, takes
from ..machine.memory import empty
from ..machine.simd import LANES
from ..machine.threads import shares
from .maximum import max_back, max_spans, max_windows, places
from .pairs import max_pairs, max_pairs_back, mean_pairs, mean_pairs_back
from .sums import (
    ABSOLUTE,
    PLAIN,
    SQUARE,
    Plan,
    line_size,
    plane_sums,
    powers,
    scale_by_powers,
    window_sums,
    window_sums_back,
)

COST = 0.3  # nanoseconds an element of the input takes
IN_A_BYTE = 256  # taps


def _parts(elements: int, planes: int) -> int:
    return shares(COST * elements, planes)


def _floats(g: Any) -> Any:
    """An upstream gradient as the flat array that a kernel walks; None if it is none of float32."""
    if type(g) is not np.ndarray or g.dtype != np.float32:
        return None
    return np.ascontiguousarray(g).reshape(-1)


def _stride(windows: Any) -> Any:
    """None for windows that share the plane out."""
    return getattr(windows, "stride", None)


PAIRS, WHOLE, ANY = 0, 1, 2


@functools.lru_cache(maxsize=256)
def _family(windows: Any) -> int:
    """PAIRS: windows of 2 × 2 without padding, each input in one, or (a last row, column) in none. WHOLE: one window
    that covers the plane."""
    fits = all(2 * o <= n for o, n in zip(windows.out, windows.size, strict=True))
    if _stride(windows) is not None and fits and windows[2:] == ((2, 2), (2, 2), (0, 0), (1, 1)):
        return PAIRS
    covers = windows.out == (1, 1) and all(windows.lengths(axis, False) == [windows.size[axis]] for axis in (0, 1))
    return WHOLE if covers else ANY


def _shape(windows: Any, planes: int) -> tuple[int, ...]:
    return (planes, *windows.size, *windows.out)


# --- the largest -----------------------------------------------------------------------------------------------------


class _MaxTables(NamedTuple):
    spans: tuple[Any, ...]  # where windows begin and how many taps they have: of rows, of columns
    numbers: tuple[int, ...]  # h, w, taps across, dilation
    taps: int


@functools.lru_cache(maxsize=256)
def _max_tables(windows: Any) -> _MaxTables:
    spans = tuple(np.array(table) for a in (0, 1) for table in (windows.starts(a), windows.counts(a)))
    across = int(spans[3].max())
    dilation = (1, 1) if _stride(windows) is None else windows.dilation
    return _MaxTables(spans, (*windows.size, across, *dilation), int(spans[1].max()) * across)


def max_pool(x: Any, windows: Any, return_indices: bool) -> Any:
    if not takes(x, 1):
        return NotImplemented
    spans, numbers, taps = _max_tables(windows)
    out = (*x.shape[:-2], *windows.out)
    y, tap = empty(out), np.empty(out, np.uint8 if taps <= IN_A_BYTE else np.int32)
    planes = y.size // (out[-2] * out[-1])
    arrays, parts = (x.reshape(-1), y.reshape(-1), tap.reshape(-1)), _parts(x.size, planes)
    if _family(windows) == PAIRS:
        max_pairs.launch(*arrays, _shape(windows, planes), parts)
    elif _stride(windows) is not None and windows.stride[1] <= 2 and taps <= IN_A_BYTE:
        max_windows.launch(*arrays, windows.numbers(), parts)
    else:
        max_spans.launch(*arrays, spans, numbers, parts)
    return y, tap, places.launch(arrays[2], spans[0], spans[2], numbers).reshape(out) if return_indices else None


def max_pool_gradients(needs: Any, dy: Any, tap: Any, windows: Any, shape: tuple[int, ...]) -> Any:
    g = _floats(dy)
    if g is None:
        return NotImplemented
    dx = empty(shape)
    planes = dx.size // (windows.size[0] * windows.size[1])
    parts = _parts(dx.size, planes)
    if _family(windows) == PAIRS:
        max_pairs_back.launch(g, tap.reshape(-1), dx.reshape(-1), _shape(windows, planes), parts)
    else:
        spans, numbers, taps = _max_tables(windows)
        max_back.launch(g, tap.reshape(-1), dx.reshape(-1), spans[0], spans[2], (*numbers, taps), parts)
    return dx


# --- sums ------------------------------------------------------------------------------------------------------------


def _factors(windows: Any, means: tuple[bool, int | None] | None) -> tuple[Any, Any]:
    """Of rows and columns. ``means``: whether padding counts, and a divisor; None for p-norms."""
    factors: tuple[Any, Any] = (
        windows.whole_factors(FLOAT32) if means is None else windows.mean_factors(*means, FLOAT32)
    )
    return factors


@functools.lru_cache(maxsize=256)
def _plans(windows: Any, means: tuple[bool, int | None] | None) -> tuple[Plan, Plan]:
    """Forward and backward."""
    factors = _factors(windows, means)
    scales = factors[0], np.append(factors[1], np.zeros(LANES, np.float32))  # which the last block reads
    (tops, bottoms), (lefts, rights) = (_spans(windows, axis) for axis in (0, 1))
    next_to = _stride(windows) is not None and windows.stride[1] == 1
    margin = windows.kernel[1] if next_to else 0
    first, back = (margin - windows.padding[1], windows.padding[1] + 1) if next_to else (-1, -1)
    # Tap j of window q reads column q − padding + j, so column c is in windows c + padding − kernel + 1 … c + padding.
    taps, table = _table(lefts, rights, windows.size[1], margin)
    forward = Plan(tops, bottoms, table, *scales, (*windows.size, *windows.out, margin, margin or taps, first))
    taps, table = _table(*_holders(lefts, rights, windows.size[1]), windows.out[1], margin)
    rows = _holders(tops, bottoms, windows.size[0])
    backward = Plan(*rows, table, *scales, (*windows.out, *windows.size, margin, margin or taps, back))
    return forward, backward


def _spans(windows: Any, axis: int) -> tuple[Any, Any]:
    """The first place of each window, and the one behind the last."""
    starts = np.maximum(windows.starts(axis), 0)
    return starts, starts + windows.lengths(axis, False)


def _holders(starts: Any, ends: Any, size: int) -> tuple[Any, Any]:
    """The first window that holds each place, and the one behind the last: the first that ends behind the place, and
    the first that begins behind it."""
    first, end = (np.searchsorted(limits, np.arange(size), "right") for limits in (ends, starts))
    return first, np.maximum(first, end)


def _table(starts: Any, ends: Any, size: int, margin: int) -> tuple[int, Any]:
    """For a line of ``size`` numbers: the places of each output in turn; where it has fewer than others, of a zero."""
    places = starts + np.arange(max((ends - starts).max(), 1))[:, None]
    table = np.full((len(places), len(starts) + LANES), line_size.dispatcher.py_func(size, margin) - 1, np.int32)
    table[:, : len(starts)] = np.where(places < ends, places + margin, table[0, 0])
    return len(places), table.reshape(-1)


def _sums(x: Any, windows: Any, means: Any, kind: int) -> Any:
    """y = factors · Σ f(x) over each window; for squares its root."""
    y = empty((*x.shape[:-2], *windows.out))
    planes = y.size // (windows.out[0] * windows.out[1])
    flat, into, parts = x.reshape(-1), y.reshape(-1), _parts(x.size, planes)
    family = _family(windows) if kind == PLAIN else ANY
    if family == ANY:
        window_sums.launch(flat, into, *_plans(windows, means)[0], kind, parts)
        return y
    rows, columns = _factors(windows, means)
    if family == PAIRS:
        mean_pairs.launch(flat, into, _shape(windows, planes), rows[0] * columns[0], parts)
    else:
        plane_sums.launch(flat, into, rows[0] * columns[0], parts)
    return y


def _sums_back(g: Any, x: Any, shape: tuple[int, ...], windows: Any, means: Any, kind: int) -> Any:
    """dx = Σ factors · g over the windows that hold x; times x for squares, the sign of x for absolute values."""
    dx = empty(shape)
    planes = g.size // (windows.out[0] * windows.out[1])
    parts = _parts(dx.size, planes)
    family = _family(windows) if kind == PLAIN else ANY
    if family == ANY:
        window_sums_back.launch(g, x.reshape(-1), dx.reshape(-1), *_plans(windows, means)[1], kind, parts)
        return dx
    rows, columns = _factors(windows, means)
    if family == PAIRS:
        mean_pairs_back.launch(g, dx.reshape(-1), _shape(windows, planes), rows[0] * columns[0], parts)
    else:
        dx.reshape(planes, -1)[:] = (g * (rows[0] * columns[0]))[:, None]
    return dx


def avg_pool(x: Any, windows: Any, include_pad: bool = True, divisor: int | None = None) -> Any:
    return _sums(x, windows, (include_pad, divisor), PLAIN) if takes(x, 1) else NotImplemented


def avg_pool_gradients(
    needs: Any, dy: Any, windows: Any, shape: tuple[int, ...], include_pad: bool, divisor: int | None
) -> Any:
    g = _floats(dy)
    return NotImplemented if g is None else _sums_back(g, g, shape, windows, (include_pad, divisor), PLAIN)


def _power(x: Any, p: float) -> Any:
    """|x|ᵖ."""
    y = empty(x.shape)
    powers.launch(x.reshape(-1), np.float32(p), y.reshape(-1), _parts(x.size, x.size))
    return y


def lp_pool(x: Any, windows: Any, p: float) -> Any:
    if not takes(x, 1):
        return NotImplemented
    if p in (ABSOLUTE, SQUARE):
        return _sums(x, windows, None, int(p))
    return _power(_sums(_power(x, p), windows, None, PLAIN), 1.0 / p)


def lp_pool_gradients(needs: Any, dy: Any, x: Any, y: Any, windows: Any, p: float) -> Any:
    g = _floats(dy)
    if g is None:
        return NotImplemented
    flat, unread = y.reshape(-1), windows.unread()
    with np.errstate(all="ignore"):
        if p == ABSOLUTE:
            dx = _sums_back(g, x, x.shape, windows, None, ABSOLUTE)
        elif p == SQUARE:
            g = np.divide(g, flat, np.zeros_like(g), where=flat != 0)
            dx = _sums_back(g, x, x.shape, windows, None, SQUARE)
        else:
            g = np.where(flat == 0, np.float32(0), g * _power(flat, 1.0 - p))
            dx = _sums_back(g, g, x.shape, windows, None, PLAIN)
            scale_by_powers.launch(x.reshape(-1), np.float32(p - 1.0), dx.reshape(-1), _parts(x.size, x.size))
    if unread is not None:
        dx[..., unread] = 0
    return dx


KERNELS = {
    "max_pool2d": (max_pool, max_pool_gradients),
    "adaptive_max_pool2d": (max_pool, max_pool_gradients),
    "avg_pool2d": (avg_pool, avg_pool_gradients),
    "adaptive_avg_pool2d": (avg_pool, avg_pool_gradients),
    "lp_pool2d": (lp_pool, lp_pool_gradients),
}
