"""Where the windows of a pool lie, and how a sum over windows is taken and undone.

A window slides over the plane of one channel. Rows and columns are treated alike and apart: along each axis, window o
has taps k = 0, 1, …, and tap k reads one place of the input. :class:`Taps` is the table of these places. Everything
that a pool does in the textbook is gathering by that table, and sending gradients back is gathering by the table seen
from the other side (:attr:`Taps.back`).

    windows of 3, stride 2, padding 1, over 5 places      seen from the places
    window   0        1        2                          place   0    1      2    3      4
    reads    ·,0,1    1,2,3    3,4,·                       is in   0    0,1    1    1,2    2
"""

from __future__ import annotations

import functools
import operator
from typing import Any, NamedTuple

import numpy as np

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from ..errors import ShapeError
from .sums import SHORT

Pair = tuple[int, int]


class Taps:
    """What windows read along one axis: tap k of window o reads place ``at[k, o]`` if ``inside[k, o]``, else padding.

    ``size`` is the number of places. Where a tap is not inside, ``at`` is 0, so that it may be used as an index.
    """

    def __init__(self, reads: list[list[int | None]], size: int) -> None:
        """``reads``: for each window, the place that each of its taps reads; None for padding."""
        most = max((len(window) for window in reads), default=0)
        padded = [window + [None] * (most - len(window)) for window in reads]
        table = np.array([[-1 if place is None else place for place in window] for window in padded], np.int64)
        table = table.reshape(len(reads), most).T  # (O, K) → (K, O)
        self.inside = table >= 0
        self.at = np.where(self.inside, table, 0)
        self.size = size

    @functools.cached_property
    def back(self) -> Taps:
        """The same seen from the input: tap k of place i reads the k-th of the windows that hold i."""
        holders: list[list[int | None]] = [[] for _ in range(self.size)]
        for o, (places, inside) in enumerate(zip(self.at.T.tolist(), self.inside.T.tolist(), strict=True)):
            for place, counts in zip(places, inside, strict=True):
                if counts:
                    holders[place].append(o)
        return Taps(holders, len(self.at.T))


class Windows(NamedTuple):
    """Windows of one size at equal distances; every entry is a pair (rows, columns).

    Window o reads the places o · stride − padding + k · dilation for k = 0 … kernel − 1; ``out`` of them fit.
    """

    size: Pair
    out: Pair
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    def taps(self) -> tuple[Taps, Taps]:
        """The tables of the rows and of the columns."""
        rows, columns = (_sliding_taps(*axis) for axis in zip(*self, strict=True))
        return rows, columns

    def starts(self, axis: int) -> list[int]:
        """Where each window begins: before 0 if in the padding."""
        return [o * self.stride[axis] - self.padding[axis] for o in range(self.out[axis])]

    def counts(self, axis: int) -> list[int]:
        """How many taps each window has."""
        return [self.kernel[axis]] * self.out[axis]

    def lengths(self, axis: int, include_pad: bool) -> list[int]:
        """How many places each window covers; with ``include_pad`` the padding counts, what lies beyond it does not."""
        n, k, p = self.size[axis], self.kernel[axis], self.padding[axis]
        if include_pad:
            return [min(a + k, n + p) - a for a in self.starts(axis)]
        return [min(a + k, n) - max(a, 0) for a in self.starts(axis)]

    def mean_factors(self, include_pad: bool, divisor: int | None, dtype: Any) -> tuple[Any, Any]:
        """See :func:`_mean_factors`."""
        return _mean_factors(self, include_pad, divisor, dtype)

    def whole_factors(self, dtype: Any) -> tuple[Any, Any]:
        """By what the sum of each window that reaches beyond the input grows to that of a whole one: KH/h, KW/w."""
        return _whole_factors(self, dtype)

    def unread(self) -> Any:
        """Which places (H, W) no window reads; None if there are none."""
        return _unread(self)

    def numbers(self) -> tuple[int, ...]:
        """All twelve numbers in a row, as kernels take them."""
        return (*self[0], *self[1], *self[2], *self[3], *self[4], *self[5])


class Parts(NamedTuple):
    """Windows that share a plane out over a given number of outputs: of O windows over n places, window o reads
    ⌊o n / O⌋ … ⌈(o + 1) n / O⌉ − 1."""

    size: Pair
    out: Pair

    def taps(self) -> tuple[Taps, Taps]:
        """The tables of the rows and of the columns."""
        rows, columns = (_sharing_taps(n, out) for n, out in zip(*self, strict=True))
        return rows, columns

    def starts(self, axis: int) -> list[int]:
        """Where each window begins."""
        return [a for a, _ in parts(self.size[axis], self.out[axis])]

    def counts(self, axis: int) -> list[int]:
        """How many taps each window has."""
        return [b - a for a, b in parts(self.size[axis], self.out[axis])]

    def lengths(self, axis: int, include_pad: bool = True) -> list[int]:
        """How many places each window covers: all its taps."""
        return self.counts(axis)

    def mean_factors(self, include_pad: bool, divisor: int | None, dtype: Any) -> tuple[Any, Any]:
        """See :func:`_mean_factors`."""
        return _mean_factors(self, include_pad, divisor, dtype)


def parts(n: int, out: int) -> list[Pair]:
    """Start and end of ``out`` windows that together cover n places."""
    return [(o * n // out, -(-(o + 1) * n // out)) for o in range(out)]


@functools.lru_cache(maxsize=256)
def _sliding_taps(n: int, out: int, k: int, s: int, p: int, d: int) -> Taps:
    windows = [[o * s - p + i * d for i in range(k)] for o in range(out)]
    return Taps([[place if 0 <= place < n else None for place in window] for window in windows], n)


@functools.lru_cache(maxsize=256)
def _sharing_taps(n: int, out: int) -> Taps:
    return Taps([list(range(a, b)) for a, b in parts(n, out)], n)


@functools.lru_cache(maxsize=256)
def _mean_factors(windows: Windows | Parts, include_pad: bool, divisor: int | None, dtype: Any) -> tuple[Any, Any]:
    """What the sum of window (o, q) is multiplied with, in two factors: of its row (OH,) and of its column (OW,).

    For a mean that is 1 / (height · width) of the window; a divisor given by the user counts alone.
    """
    if divisor is not None:
        return np.ones(windows.out[0], dtype), np.full(windows.out[1], 1.0 / divisor, dtype)
    rows, columns = (1.0 / np.array(windows.lengths(axis, include_pad), np.float64) for axis in (0, 1))
    return rows.astype(dtype), columns.astype(dtype)


@functools.lru_cache(maxsize=256)
def _whole_factors(windows: Windows, dtype: Any) -> tuple[Any, Any]:
    rows, columns = (windows.kernel[axis] / np.array(windows.lengths(axis, True), np.float64) for axis in (0, 1))
    return rows.astype(dtype), columns.astype(dtype)


@functools.lru_cache(maxsize=256)
def _unread(windows: Windows) -> Any:
    rows, columns = (np.asarray(taps.back.inside.any(axis=0)) for taps in windows.taps())
    read = rows[:, None] & columns
    return None if read.all() else ~read


def gather_sum(x: Any, taps: Taps, axis: int) -> Any:
    """Σₖ x[at[k]] along ``axis`` (−1 or −2):  (…, n, …) → (…, O, …)."""
    xp, dtype = namespace(x), x.dtype
    if len(taps.at) > SHORT:
        x = x.astype(np.float64)
    y = None
    for at, inside in zip(taps.at, taps.inside, strict=True):
        read = xp.take(x, xp.asarray(at), axis=axis)
        if not inside.all():
            read = xp.where(xp.asarray(inside if axis == -1 else inside[:, None]), read, x.dtype.type(0))
        y = read if y is None else y + read
    if y is not None:
        return y.astype(dtype, copy=False)
    shape = list(x.shape)  # windows without taps
    shape[axis] = taps.at.shape[1]
    return xp.zeros(tuple(shape), x.dtype)


class SumWindows(Op):
    """y[o, q] = Σ x[h, w] over the rows h of window o and the columns w of window q:  (…, H, W) → (…, OH, OW).

    x[h, w] is part of y[o, q] for each window that holds it, once: dx[h, w] = Σ dy[o, q] over these windows. That is
    the same op, with the tables seen from the other side; so its rule is itself, and so is the rule's rule.
    The sum over a window is a sum over its columns, then over its rows.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, rows: Taps, columns: Taps) -> Any:
        ctx.rows, ctx.columns = rows, columns
        return gather_sum(gather_sum(x, columns, -1), rows, -2)  # (…, H, W) → (…, H, OW) → (…, OH, OW)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return sum_windows(dy, ctx.rows.back, ctx.columns.back)


def sum_windows(x: Any, rows: Taps, columns: Taps) -> Any:
    """:class:`SumWindows` of an array or a Tensor."""
    if isinstance(x, Variable):
        return SumWindows.apply(x, rows, columns)
    return SumWindows.forward(Op(), x, rows, columns)


# --- from arguments to windows ---------------------------------------------------------------------------------------


def sizes(value: Any, count: int, name: str, argument: str) -> tuple[int, ...]:
    """``value`` as ``count`` integers: one for all axes, or one for each."""
    if type(value) is int:
        return (value,) * count
    items = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    try:
        if any(isinstance(n, bool) for n in items):
            raise TypeError
        integers = tuple(operator.index(n) for n in items)
    except TypeError:
        raise TypeError(f"{name}: {argument} must be an integer or a tuple of {count}, got {value!r}") from None
    if len(integers) == 1:
        return integers * count
    if len(integers) != count:
        raise ShapeError(f"{name}: {argument} must be an integer or a tuple of {count}, got {value!r}")
    return integers


def stride_of(stride: Any, kernel: tuple[int, ...], name: str) -> tuple[int, ...]:
    """The stride for each axis; unless given, the kernel's size, so that windows stand side by side."""
    return kernel if stride is None or stride in ((), []) else sizes(stride, len(kernel), name, "stride")


AXES = {1: ("length",), 2: ("height", "width")}


def check_planes(name: str, shape: tuple[int, ...], count: int) -> None:
    """Raise unless ``shape`` is (N, C, …) or (C, …) with ``count`` axes to slide over; only N may be 0."""
    last = "L" if count == 1 else "H, W"
    if len(shape) not in (count + 1, count + 2):
        raise ShapeError(f"{name}: input must have shape (N, C, {last}) or (C, {last}), got {shape}")
    if 0 in shape[-count - 1 :]:
        raise ShapeError(f"{name}: only the batch of (N, C, {last}) may be empty, got shape {shape}")


def check_settings(
    name: str, count: int, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> None:
    """Raise unless the settings of a layer are integers, as many as it needs, and not too small."""
    kernel = sizes(kernel_size, count, name, "kernel_size")
    given = sizes(padding, count, name, "padding"), sizes(dilation, count, name, "dilation")
    check_values(name, kernel, stride_of(stride, kernel, name), *given)


def check_values(
    name: str, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...]
) -> None:
    """Raise unless kernel, stride and dilation are at least 1 and padding at least 0."""
    settings = (("kernel_size", kernel, 1), ("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1))
    for argument, values, least in settings:
        if min(values) < least:
            given = values[0] if len(set(values)) == 1 else values
            raise ShapeError(f"{name}: {argument} must be at least {least}, got {given}")


@functools.lru_cache(maxsize=1024)
def sliding(
    name: str,
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> Windows:
    """The windows of a pool over an input of ``shape``. One axis (1-D pools) is taken as a plane with a single row.

    Raises:
        ShapeError: settings that make no windows; the message shows how the output size comes about.
    """
    count = len(kernel)
    check_planes(name, shape, count)
    check_values(name, kernel, stride, padding, dilation)
    plane = shape[-count:]
    out = []
    for axis, n, k, s, p, d in zip(AXES[count], plane, kernel, stride, padding, dilation, strict=True):
        if 2 * p > k:
            raise ShapeError(
                f"{name}: padding {p} is more than half of the kernel's {axis}, {k}: a window could lie in the padding "
                f"alone (input of shape {shape}). Use padding <= {k // 2}, or F.pad for a wider frame"
            )
        o = output_size(n, k, s, p, d, ceil_mode)
        if o < 1:
            bracket = "⌈⌉" if ceil_mode else "⌊⌋"
            raise ShapeError(
                f"{name}: input of shape {shape} gives an output of {axis} {o}: {bracket[0]}({n} + 2·{p} − "
                f"{d}·({k} − 1) − 1) / {s}{bracket[1]} + 1, with kernel_size {k}, stride {s}, padding {p}, dilation "
                f"{d}. The kernel must fit into the padded input"
            )
        if d > 1 and p and not all(any(0 <= q * s - p + i * d < n for i in range(k)) for q in range(o)):
            raise ShapeError(
                f"{name}: with kernel_size {k}, dilation {d} and padding {p} a window lies in the padding alone "
                f"(input of shape {shape}); use less padding or dilation"
            )
        out.append(o)
    if count == 1:
        return Windows((1, plane[0]), (1, out[0]), (1, kernel[0]), (1, stride[0]), (0, padding[0]), (1, dilation[0]))
    return Windows(plane, (out[0], out[1]), kernel, stride, padding, dilation)  # type: ignore[arg-type]


def output_size(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """How many windows fit: ⌊(n + 2p − d (k − 1) − 1) / s⌋ + 1.

    ``ceil_mode`` rounds up instead, so that the last window may reach beyond the padded input; it must start inside the
    input or its left padding. Source: torch.nn.MaxPool2d.
    """
    room = n + 2 * p - d * (k - 1) - 1
    out = (-(-room // s) if ceil_mode else room // s) + 1
    return out - 1 if ceil_mode and (out - 1) * s >= n + p else out
