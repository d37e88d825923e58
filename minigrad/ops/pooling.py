"""Pooling: each window of a plane becomes one number, its largest, its mean, or its p-norm.

A pool is defined by where its windows lie (:mod:`minigrad.ops.pooling_windows`) and by what it keeps of a window. What
it sends back follows from that: an input belongs to the windows that cover it, and gets from each the share that it had
in that window's number, all added up. Windows that overlap make an input receive several times.

    maximum   y = x_m, m the place of the largest        dx_m += dy
    mean      y = Σ xᵢ / n                               dxᵢ  += dy / n
    p-norm    y = (Σ |xᵢ|ᵖ)^(1/p)                        dxᵢ  += dy · sign(xᵢ) (|xᵢ| / y)ᵖ⁻¹

Arrays are (…, H, W): everything before the plane is taken plane by plane. The 1-D pools are the same ops on planes of
one row.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from ..errors import ShapeError
from .common import applied, require_floating, select
from .indexing import PutAt
from .pooling_windows import Parts, Taps, Windows, check_planes, sizes, sliding, stride_of, sum_windows
from .shape import Reshape

# --- the largest -----------------------------------------------------------------------------------------------------


def largest(x: Any, rows: Taps, columns: Taps) -> tuple[Any, Any]:
    """The largest number of each window and the tap it came from:  (…, H, W) → twice (…, OH, OW).

    Tap (i, j) has the number i · KW + j. Of equal numbers the first counts; a NaN beats everything, the last one first:
    that is PyTorch's choice.
    """
    xp = namespace(x)
    shape = (*x.shape[:-2], rows.at.shape[1], columns.at.shape[1])
    y = xp.full(shape, -np.inf, x.dtype)
    tap = xp.full(shape, -1, np.int64)
    for i, (row, row_inside) in enumerate(zip(rows.at, rows.inside, strict=True)):
        for j, (column, column_inside) in enumerate(zip(columns.at, columns.inside, strict=True)):
            read = x[..., xp.asarray(row)[:, None], xp.asarray(column)]  # (…, H, W) → (…, OH, OW)
            better = (read > y) | xp.isnan(read) | (tap < 0)
            better &= xp.asarray(row_inside[:, None] & column_inside)
            y = xp.where(better, read, y)
            tap = xp.where(better, i * columns.at.shape[0] + j, tap)
    return y, tap


def places_of(tap: Any, rows: Taps, columns: Taps) -> Any:
    """From the number of a tap, (…, OH, OW), to the place h · W + w that it reads in the plane."""
    xp = namespace(tap)
    tap = tap.astype(np.int64)
    i, j = tap // columns.at.shape[0], tap % columns.at.shape[0]
    h = xp.asarray(rows.at)[i, xp.arange(tap.shape[-2])[:, None]]
    w = xp.asarray(columns.at)[j, xp.arange(tap.shape[-1])]
    return h * columns.size + w


def flat_places(places: Any, plane: int) -> Any:
    """Places in planes of ``plane`` elements, (…, OH, OW), as places in the whole array: an index of one axis."""
    xp = namespace(places)
    planes = math.prod(places.shape[:-2])
    in_plane = places.reshape(planes, math.prod(places.shape[-2:]))  # (N, C, OH, OW) → (N·C, OH·OW)
    return (in_plane + xp.arange(planes)[:, None] * plane).reshape(-1)


class MaxPool2d(Op, kernel="pooling.choose.max_pool2d"):
    """y = the largest number of each window:  (…, H, W) → (…, OH, OW).

    A small change of the largest number changes y by as much, one of any other number not at all: dy goes whole to the
    place that was the largest, dx[place] += dy, and adds up where windows overlap. At ties, where the derivative is not
    defined, the first place in row-major order gets all of it.
    The places are kept as tap numbers, which fit into a byte. The rule is linear in dy and its own rule is to read:
    ddy = ddx[place].
    """

    @staticmethod
    def compute(x: Any, windows: Windows | Parts, return_indices: bool) -> tuple[Any, Any, Any]:
        """y, the taps, and the indices if they are asked for."""
        rows, columns = windows.taps()
        y, tap = largest(x, rows, columns)
        return y, tap, places_of(tap, rows, columns) if return_indices else None

    @staticmethod
    def keep(ctx: Any, result: Any, x: Any, windows: Windows | Parts, return_indices: bool) -> Any:
        y, tap, indices = result
        ctx.saved, ctx.options = (tap,), (windows, x.shape)
        return (y, indices) if return_indices else y

    @staticmethod
    def backward(ctx: Any, dy: Any, _: Any = None) -> Any:
        (tap,), (windows, shape) = ctx.saved, ctx.options
        h, w = windows.size
        index = flat_places(places_of(tap, *windows.taps()), h * w)
        return scatter(dy.reshape(-1), index, math.prod(shape)).reshape(shape)


def scatter(values: Any, index: Any, n: int) -> Any:
    """n zeros with ``values`` added at ``index``, of arrays or Tensors."""
    if isinstance(values, Variable):
        return PutAt.apply(values, index, (n,))
    return PutAt.forward(Op(), values, index, (n,))


class AdaptiveMaxPool2d(MaxPool2d, kernel="pooling.choose.adaptive_max_pool2d"):
    """:class:`MaxPool2d` with windows that share the plane out over a given number of outputs."""


# --- the mean --------------------------------------------------------------------------------------------------------


def array_of(x: Any) -> Any:
    """The array of an array or a Tensor."""
    return x._array if isinstance(x, Variable) else x


def scaled(x: Any, factors: tuple[Any, Any]) -> Any:
    """x · rows · columns, of arrays or Tensors."""
    xp = namespace(array_of(x))
    rows, columns = map(xp.asarray, factors)
    return x * (rows[:, None] * columns)


class AvgPool2d(Op, kernel="pooling.choose.avg_pool2d"):
    """y = Σ x / n over each window of n places:  (…, H, W) → (…, OH, OW).

    x counts 1/n in each window that holds it: dx = Σ dy / n over these windows (:class:`~.pooling_windows.SumWindows`).
    n is the size of the window; whether padding counts in it is the user's choice, and so may n be itself.
    """

    @staticmethod
    def compute(x: Any, windows: Windows | Parts, include_pad: bool = True, divisor: int | None = None) -> Any:
        return scaled(sum_windows(x, *windows.taps()), windows.mean_factors(include_pad, divisor, x.dtype))

    @staticmethod
    def keep(
        ctx: Any, y: Any, x: Any, windows: Windows | Parts, include_pad: bool = True, divisor: int | None = None
    ) -> Any:
        ctx.options = windows, x.shape, include_pad, divisor
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        windows, _, include_pad, divisor = ctx.options
        rows, columns = windows.taps()
        return sum_windows(
            scaled(dy, windows.mean_factors(include_pad, divisor, array_of(dy).dtype)), rows.back, columns.back
        )


class AdaptiveAvgPool2d(AvgPool2d, kernel="pooling.choose.adaptive_avg_pool2d"):
    """:class:`AvgPool2d` with windows that share the plane out over a given number of outputs."""


# --- the p-norm ------------------------------------------------------------------------------------------------------


class LPPool2d(Op, kernel="pooling.choose.lp_pool2d"):
    """y = (c Σ |x|ᵖ)^(1/p) over each window, p ≥ 1:  (…, H, W) → (…, OH, OW).

    Let s = c Σ |x|ᵖ. Then ∂y/∂s = s^(1/p − 1) / p = y^(1 − p) / p and ∂s/∂x = c p sign(x) |x|ᵖ⁻¹, so

        dx = sign(x) |x|ᵖ⁻¹ · Σ c dy y^(1 − p)      over the windows that hold x.

    p = 1 is the sum of absolute values, p → ∞ approaches the largest of them. Where a window is all 0 the derivative is
    not defined and 0 is taken. c = 1, except for windows that ``ceil_mode`` lets reach beyond the input: they count as
    if whole, c = K / (elements inside), as in PyTorch.
    """

    @staticmethod
    def compute(x: Any, windows: Windows, p: float) -> Any:
        powers = x * x if p == 2 else abs(x) ** p
        y = scaled(sum_windows(powers, *windows.taps()), windows.whole_factors(x.dtype))
        return np.sqrt(y) if p == 2 else y ** (1.0 / p)

    @staticmethod
    def keep(ctx: Any, y: Any, x: Any, windows: Windows, p: float) -> Any:
        ctx.saved, ctx.options = (x, y), (windows, p)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x, y), (windows, p) = ctx.saved, ctx.options
        xp = namespace(dy)
        rows, columns = windows.taps()
        zero = y == 0
        share = xp.where(zero, 0.0, dy) * xp.where(zero, 1.0, y) ** (1.0 - p)
        share = sum_windows(scaled(share, windows.whole_factors(array_of(x).dtype)), rows.back, columns.back)
        if p == 2:
            dx = x * share
        else:  # the derivative at x = 0 is 0; the power's own derivative there, infinite for p < 2, must not matter
            dx = select(x != 0, xp.sign(x) * xp.where(x == 0, 1.0, abs(x)) ** (p - 1.0) * share)
        unread = windows.unread()
        return dx if unread is None else select(namespace(array_of(x)).asarray(~unread), dx)


# --- the functions users call: sliding windows -----------------------------------------------------------------------


def _windows(
    name: str, count: int, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
) -> Windows:
    k = sizes(kernel, count, name, "kernel_size")
    s = stride_of(stride, k, name)
    p, d = sizes(padding, count, name, "padding"), sizes(dilation, count, name, "dilation")
    return sliding(name, x._array.shape, k, s, p, d, bool(ceil_mode))


def one_row(x: Any) -> Any:
    """(…, L) → (…, 1, L)."""
    shape = x._array.shape
    return Reshape.apply(x, (*shape[:-1], 1, shape[-1]))


def without_row(y: Any) -> Any:
    """(…, 1, L) → (…, L), also of values and indices."""
    if isinstance(y, tuple):
        return tuple(without_row(part) for part in y)
    shape = y._array.shape
    return Reshape.apply(y, (*shape[:-2], shape[-1]))


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest number of each window: (N, C, H, W) → (N, C, OH, OW), or without N.

    OH = ⌊(H + 2 padding − dilation (kernel_size − 1) − 1) / stride⌋ + 1, and OW likewise (⌈⌉ with ``ceil_mode``).
    Settings are one integer, or a pair (rows, columns); ``stride`` is ``kernel_size`` unless given. Padding never wins.

    Returns:
        The maxima; with ``return_indices`` also (int64) their places h · W + w in the input's plane.

    Raises:
        ShapeError: an input that is not (N, C, H, W) or (C, H, W), or settings that make no windows.
        DtypeError: an input that is not floating.
    """
    require_floating(input, "max_pool2d")
    windows = _windows("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)
    return MaxPool2d.apply(input, windows, bool(return_indices))


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest number of each window: (N, C, L) → (N, C, OL), or without N. See :func:`max_pool2d`."""
    require_floating(input, "max_pool1d")
    windows = _windows("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode)
    return without_row(MaxPool2d.apply(one_row(input), windows, bool(return_indices)))


def max_pool2d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """:func:`max_pool2d` with (values, indices), whatever ``return_indices`` says, as in PyTorch."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool1d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """:func:`max_pool1d` with (values, indices), whatever ``return_indices`` says, as in PyTorch."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window: (N, C, H, W) → (N, C, OH, OW), or without N.

    Output sizes and settings as in :func:`max_pool2d`, without dilation. Padding is 0; it counts in the mean unless
    ``count_include_pad`` is False. ``divisor_override`` divides the sum by a number of its own.

    Raises:
        ShapeError, DtypeError: as :func:`max_pool2d`.
        ValueError: ``divisor_override`` is 0.
    """
    require_floating(input, "avg_pool2d")
    windows = _windows("avg_pool2d", 2, input, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None and (isinstance(divisor_override, bool) or not isinstance(divisor_override, int)):
        raise TypeError(f"avg_pool2d: divisor_override must be an integer or None, got {divisor_override!r}")
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override must not be 0")
    return applied(AvgPool2d, input, windows, bool(count_include_pad), divisor_override)


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window: (N, C, L) → (N, C, OL), or without N. See :func:`avg_pool2d`."""
    require_floating(input, "avg_pool1d")
    windows = _windows("avg_pool1d", 1, input, kernel_size, stride, padding, 1, ceil_mode)
    return without_row(applied(AvgPool2d, one_row(input), windows, bool(count_include_pad), None))


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(Σ |x|ᵖ)^(1/p) of each window, p = ``norm_type`` ≥ 1: (N, C, H, W) → (N, C, OH, OW), or without N.

    p = 1 is the sum of absolute values, p = ∞ the largest of them. The gradient of a window of zeros is 0.
    PyTorch sums xᵖ without the absolute value: the same for even p and for x ≥ 0; otherwise it gives NaN (odd p and a
    negative sum, or p that is no integer), and for p = 1 the signed sum.

    Raises:
        ShapeError, DtypeError: as :func:`max_pool2d`.
        ValueError: p < 1, of which no norm is made.
    """
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(Σ |x|ᵖ)^(1/p) of each window: (N, C, L) → (N, C, OL), or without N. See :func:`lp_pool2d`."""
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool(name: str, count: int, x: Any, norm_type: Any, kernel: Any, stride: Any, ceil_mode: Any) -> Any:
    require_floating(x, name)
    p = check_norm(name, norm_type)
    windows = _windows(name, count, x, kernel, stride, 0, 1, ceil_mode)
    x = x if count == 2 else one_row(x)
    y = MaxPool2d.apply(x.abs(), windows, False) if p == math.inf else applied(LPPool2d, x, windows, p)
    return y if count == 2 else without_row(y)


def check_norm(name: str, norm_type: Any) -> float:
    """``norm_type`` as a float. Raises unless it is a number of at least 1."""
    if isinstance(norm_type, bool) or not isinstance(norm_type, (int, float)):
        raise TypeError(f"{name}: norm_type must be a number, got {norm_type!r}")
    if not norm_type >= 1:
        raise ValueError(f"{name}: norm_type must be at least 1 (only then is (Σ |x|ᵖ)^(1/p) a norm), got {norm_type}")
    return float(norm_type)


# --- the functions users call: a given output size -------------------------------------------------------------------


def _adaptive(name: str, count: int, x: Any, output_size: Any) -> Windows | Parts:
    """The windows that make an output of ``output_size``: all of one size where the plane can be shared out evenly."""
    shape = require_floating(x, name)._array.shape
    check_planes(name, shape, count)
    wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * count
    plane = shape[-count:]
    if len(wanted) == count:
        wanted = tuple(n if o is None else o for o, n in zip(wanted, plane, strict=True))
    out = sizes(wanted, count, name, "output_size")
    if min(out) < 1:
        raise ShapeError(f"{name}: output_size must be at least 1 (None keeps the input's), got {output_size!r}")
    if count == 1:
        plane, out = (1, *plane), (1, *out)
    if any(n % o for n, o in zip(plane, out, strict=True)):
        return Parts(plane, out)  # type: ignore[arg-type]
    kernel = (plane[0] // out[0], plane[1] // out[1])
    return Windows(plane, out, kernel, kernel, (0, 0), (1, 1))  # type: ignore[arg-type]


def _mean_op(windows: Windows | Parts) -> Any:
    return AvgPool2d if isinstance(windows, Windows) else AdaptiveAvgPool2d


def _max_op(windows: Windows | Parts) -> Any:
    return MaxPool2d if isinstance(windows, Windows) else AdaptiveMaxPool2d


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The means of windows that share the plane out over an output of a given size: (N, C, H, W) → (N, C, OH, OW).

    Window o of OH reads rows ⌊o H / OH⌋ to ⌈(o + 1) H / OH⌉ − 1, and columns likewise; they overlap where OH does not
    divide H. ``output_size`` is one integer or a pair; None keeps the input's size. Size 1 is the global mean.

    Raises:
        ShapeError: an input that is not (N, C, H, W) or (C, H, W), or an output size below 1.
        DtypeError: an input that is not floating.
    """
    windows = _adaptive("adaptive_avg_pool2d", 2, input, output_size)
    return applied(_mean_op(windows), input, windows, True, None)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Means of windows that share (N, C, L) out over ``output_size`` outputs. See :func:`adaptive_avg_pool2d`."""
    windows = _adaptive("adaptive_avg_pool1d", 1, input, output_size)
    return without_row(applied(_mean_op(windows), one_row(input), windows, True, None))


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest numbers of windows that share the plane out over an output of a given size.

    Windows as in :func:`adaptive_avg_pool2d`; values, indices and errors as in :func:`max_pool2d`.
    """
    windows = _adaptive("adaptive_max_pool2d", 2, input, output_size)
    return _max_op(windows).apply(input, windows, bool(return_indices))


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows that share (N, C, L) out over ``output_size`` outputs. See :func:`adaptive_max_pool2d`."""
    windows = _adaptive("adaptive_max_pool1d", 1, input, output_size)
    return without_row(_max_op(windows).apply(one_row(input), windows, bool(return_indices)))
