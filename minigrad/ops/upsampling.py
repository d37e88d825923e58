"""Changing the resolution of images: interpolation, and moving channels into places.

Interpolation along one axis is y = S x with a sparse matrix S of shape (out, in): row i holds the weights with which
output i reads its neighbours among the inputs. In an image each axis has its own matrix, y = S_H x S_Wᵀ, done one axis
after the other. A linear map's gradient is its transpose, dx = Sᵀ dy: each input collects the gradients of all outputs
that read it, with the weights with which they did. Sᵀ is a sparse matrix again, so one op is its own rule.

Where output i reads is PyTorch's choice. With n inputs, m outputs and s = n / m (or 1 / ``scale_factor`` if given),

    nearest          ⌊i s⌋
    nearest-exact    ⌊(i + ½) s⌋             the input under the middle of pixel i
    linear           (i + ½) s − ½           between two inputs: pixels are squares, and the images' edges meet
    linear, align_corners=True   i (n − 1)/(m − 1)     pixels are points, and the first and the last ones meet
    cubic            where linear does       between four inputs, by cubic convolution (Keys 1981, with a = −¾)
    area             ⌊i s⌋ … ⌈(i + 1) s⌉ − 1   the mean of the inputs that it covers, as adaptive average pooling
"""

from __future__ import annotations

import functools
import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from ..errors import ShapeError
from .common import cast, require_floating, tensor_of

Array = np.ndarray[Any, Any]

AXES = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}  # how many axes a mode interpolates
NEAREST = ("nearest", "nearest-exact")


@dataclass(frozen=True, eq=False)
class Layer:
    """Entries of a sparse matrix, at most one in each row: matrix[rows[k], columns[k]] = weights[k].

    Rows and columns are slices where they run in equal steps. ``weights`` is None where all are 1.
    """

    rows: Array | slice
    columns: Array | slice
    weights: Array | None


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A matrix of ``shape`` (out, in) as (row, column, weight) triplets; entries at one place add up."""

    shape: tuple[int, int]
    rows: Array
    columns: Array
    weights: Array

    @functools.cached_property
    def transposed(self) -> SparseMatrix:
        return SparseMatrix(self.shape[::-1], self.columns, self.rows, self.weights)

    @functools.cached_property
    def layers(self) -> list[Layer]:
        """The entries dealt out: the first entry of each row to the first layer, the second to the second, and so on.

        No layer writes a row twice, so each can be added with ``+=``, and the order of the sums is always the same.
        Entries of weight 0 are left out: their product with an infinity would be NaN.
        """
        order = np.argsort(self.rows, kind="stable")
        order = order[self.weights[order] != 0]
        rows = self.rows[order]
        turn = np.arange(len(rows)) - np.searchsorted(rows, rows)  # how many entries of the same row came before
        found = []
        for k in range(int(turn.max(initial=-1)) + 1):
            mine = order[turn == k]
            weights = self.weights[mine]
            found.append(
                Layer(
                    _slice_of(self.rows[mine]), _slice_of(self.columns[mine]), None if (weights == 1).all() else weights
                )
            )
        return found


def _slice_of(index: Array) -> Array | slice:
    """Places in equal steps as a slice, which needs no copy to read; others as they are."""
    steps = np.diff(index)
    if len(index) and (steps == steps[:1]).all() and (steps > 0).all():
        step = int(steps[0]) if len(steps) else 1
        return slice(int(index[0]), int(index[-1]) + 1, step)
    return index


class AlongAxis(Op):
    """y = S x along one axis, S a :class:`SparseMatrix`: (…, in, …) → (…, out, …).   dx = Sᵀ dy along that axis."""

    @staticmethod
    def forward(ctx: Any, x: Any, matrix: SparseMatrix, axis: int) -> Any:
        ctx.matrix, ctx.axis = matrix, axis
        xp = namespace(x)
        lead, trail = (slice(None),) * axis, (1,) * (x.ndim - axis - 1)
        every = slice(0, matrix.shape[0], 1)
        y = None
        for layer in matrix.layers:
            columns = layer.columns
            part = x[(*lead, columns)] if isinstance(columns, slice) else x.take(xp.asarray(columns), axis=axis)
            if layer.weights is not None:
                part = part * xp.asarray(layer.weights, x.dtype).reshape(-1, *trail)
            if y is None and isinstance(layer.rows, slice) and layer.rows == every:
                y = part if part.base is None else part.copy()
                continue
            if y is None:
                y = xp.zeros((*x.shape[:axis], matrix.shape[0], *x.shape[axis + 1 :]), x.dtype)
            rows = layer.rows if isinstance(layer.rows, slice) else xp.asarray(layer.rows)
            y[(*lead, rows)] += part
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        if isinstance(dy, Variable):
            return AlongAxis.apply(dy, ctx.matrix.transposed, ctx.axis)
        return AlongAxis.forward(Op(), dy, ctx.matrix.transposed, ctx.axis)


@functools.lru_cache(maxsize=256)
def reading(mode: str, n: int, m: int, scale: float | None, align_corners: bool, kind: Any) -> SparseMatrix:
    """How ``m`` outputs read ``n`` inputs. Places are computed in the dtype ``kind``, as PyTorch does, so that a
    place on the border between two inputs falls to the same one."""
    i = np.arange(m)
    if mode == "area":
        first, end = i * n // m, -(-(i + 1) * n // m)
        columns = np.concatenate([np.arange(a, b) for a, b in zip(first, end, strict=True)])
        return SparseMatrix((m, n), np.repeat(i, end - first), columns, np.repeat(1 / (end - first), end - first))
    if align_corners:
        step = kind((n - 1) / (m - 1)) if m > 1 else kind(0)
    else:
        step = kind(1 / scale) if scale is not None else kind(n) / kind(m)
    places = i.astype(kind)
    if mode == "nearest":
        places = step * places
    elif not align_corners:
        places = step * (places + kind(0.5)) - kind(0.5)
    else:
        places = step * places
    if mode in NEAREST:
        middle = kind(0.5 if mode == "nearest-exact" else 0)
        return SparseMatrix((m, n), i, _floor(places + middle, n), np.ones(m))
    if n == m:
        return SparseMatrix((m, n), i, i, np.ones(m))
    if mode == "cubic":
        left = np.floor(places).astype(np.int64)
        weights = _cubic(places - left.astype(kind))
        return SparseMatrix(
            (m, n), np.tile(i, 4), np.clip(np.concatenate([left + k for k in (-1, 0, 1, 2)]), 0, n - 1), weights
        )
    places = np.maximum(places, kind(0))
    left = _floor(places, n)
    right = np.minimum(left + 1, n - 1)
    share = np.clip(places - left.astype(kind), kind(0), kind(1))  # of the right neighbour
    weights = np.concatenate([kind(1) - share, share])
    return SparseMatrix((m, n), np.concatenate([i, i]), np.concatenate([left, right]), weights)


def _cubic(t: Array) -> Array:
    """The weights of the four inputs around each place, t behind the second of them."""
    a = -0.75

    def near(d: Array) -> Array:  # at a distance of at most 1
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Array) -> Array:  # from 1 to 2
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return np.concatenate([far(t + 1), near(t), near(1 - t), far(2 - t)])


def _floor(places: Array, n: int) -> Array:
    return np.minimum(np.floor(places.astype(np.float32)).astype(np.int64), n - 1)


# --- the functions users call ----------------------------------------------------------------------------------------


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Images at another resolution: (N, C, L), (N, C, H, W) or (N, C, D, H, W), the axes after the second resized.

    Args:
        size: the new sizes: an integer for all axes, or one for each.
        scale_factor: instead of ``size``, what the sizes are multiplied by (and rounded down).
        mode: "nearest", "nearest-exact", "area", "linear" (1 axis), "bilinear" or "bicubic" (2), "trilinear" (3).
        align_corners: for the last four: whether the corner pixels' middles meet (True) or the images' edges.
        recompute_scale_factor: compute the step between reads from the sizes rather than from ``scale_factor``; the
            two differ where a size was rounded.
        antialias: not in minigrad.

    The equations and the rule stand at the top of :mod:`minigrad.ops.upsampling`. Source:
    torch.nn.functional.interpolate.

    Raises:
        NotImplementedError: modes that minigrad has not, and antialias.
        ShapeError: a number of axes that the mode cannot take, or a size of zero.
        ValueError: both or none of ``size`` and ``scale_factor``, or options that do not go together.
    """
    shape = tensor_of(input, "interpolate")._array.shape
    _check_mode(shape, mode, align_corners, antialias)
    sizes, scales = _target(shape, size, scale_factor, recompute_scale_factor)
    if 0 in shape[1:] or min(sizes) < 1:
        raise ShapeError(
            f"interpolate: sizes must be at least 1 (the batch may be empty), got input {shape} and output size {sizes}"
        )
    if mode in NEAREST:
        x = input
    else:
        x = require_floating(input, "interpolate")
        if x._array.dtype == np.float16:
            x = cast(x, np.dtype(np.float32))
    kind = np.float64 if x._array.dtype == np.float64 else np.float32
    one = "cubic" if mode == "bicubic" else "linear" if mode in AXES else mode
    for axis in range(len(shape) - 1, 1, -1):
        matrix = reading(one, shape[axis], sizes[axis - 2], scales[axis - 2], bool(align_corners), kind)
        x = AlongAxis.apply(x, matrix, axis)
    return cast(x, input._array.dtype)


def _check_mode(shape: tuple[int, ...], mode: str, align_corners: bool | None, antialias: bool) -> None:
    if mode not in NEAREST and mode not in AXES and mode != "area":
        raise NotImplementedError(
            f"interpolate: mode {mode!r} is not in minigrad; it has 'nearest', 'nearest-exact', 'area', 'linear', "
            "'bilinear', 'bicubic' and 'trilinear'"
        )
    if antialias:
        raise NotImplementedError("interpolate: antialias=True is not in minigrad; blur the input before, or pool it")
    if len(shape) not in (3, 4, 5):
        raise ShapeError(
            f"interpolate: expected input (N, C, L), (N, C, H, W) or (N, C, D, H, W), got shape {shape}; "
            "input[None] adds a batch axis"
        )
    if mode in AXES and len(shape) != AXES[mode] + 2:
        fitting = next(name for name, axes in AXES.items() if axes == len(shape) - 2)
        raise ShapeError(
            f"interpolate: mode {mode!r} takes {AXES[mode] + 2} axes, got shape {shape}; mode {fitting!r} takes it"
        )
    if mode not in AXES and align_corners is not None:
        raise ValueError(
            f"interpolate: align_corners goes with the linear modes only, got {align_corners} with {mode!r}"
        )


def _target(
    shape: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The sizes of the axes after the second, and for each the factor that decides where it is read, if one does."""
    axes = len(shape) - 2
    if (size is None) == (scale_factor is None):
        given = "both" if size is not None else "neither"
        raise ValueError(f"interpolate: give either size or scale_factor, got {given}")
    name, value = ("size", size) if scale_factor is None else ("scale_factor", scale_factor)
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(values) != axes:
        raise ShapeError(
            f"interpolate: {name} {value!r} has {len(values)} numbers, the input of shape {shape} has {axes} axes to "
            "resize (those after batch and channels)"
        )
    if scale_factor is None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor goes with scale_factor, not with size")
        try:
            return tuple([operator.index(n) for n in values]), (None,) * axes
        except TypeError:
            raise TypeError(f"interpolate: size must be an integer or a tuple of them, got {size!r}") from None
    try:
        factors = tuple([float(f) for f in values])
    except (TypeError, ValueError):
        factors = (math.nan,)
    if isinstance(value, str) or not all(math.isfinite(f) and f > 0 for f in factors):
        raise ValueError(
            f"interpolate: scale_factor must be a positive number or a tuple of them, got {scale_factor!r}"
        )
    sizes = tuple([int(n * f) for n, f in zip(shape[2:], factors, strict=True)])
    return sizes, (None,) * axes if recompute else factors


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """r² channels become r × r places: (…, C·r², H, W) → (…, C, H·r, W·r).

    y[c, h r + a, w r + b] = x[c r² + a r + b, h, w]: a permutation, so its rule is the inverse,
    :func:`pixel_unshuffle`. A convolution before it thus makes an image r times as large without ever computing on
    the large one. Source: Shi et al. 2016, torch.nn.functional.pixel_shuffle.

    Raises:
        ShapeError: fewer than 3 axes, or channels that r² does not divide.
        ValueError: a factor that is not a positive integer.
    """
    shape, r = tensor_of(input, "pixel_shuffle")._array.shape, _factor(upscale_factor, "pixel_shuffle: upscale_factor")
    *batch, channels, h, w = _image(shape, "pixel_shuffle")
    if channels % (r * r):
        raise ShapeError(
            f"pixel_shuffle: {channels} channels (axis -3 of shape {shape}) are not divisible by upscale_factor² = "
            f"{r * r}"
        )
    k = len(batch)
    x = input.reshape(*batch, channels // (r * r), r, r, h, w)  # (…, C, a, b, H, W)
    x = x.permute(*range(k), k, k + 3, k + 1, k + 4, k + 2)  # (…, C, H, a, W, b)
    return _copied(x.reshape(*batch, channels // (r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """r × r places become r² channels: (…, C, H·r, W·r) → (…, C·r², H, W), the inverse of :func:`pixel_shuffle`.

    y[c r² + a r + b, h, w] = x[c, h r + a, w r + b]. Source: torch.nn.functional.pixel_unshuffle.

    Raises:
        ShapeError: fewer than 3 axes, or a height or width that r does not divide.
        ValueError: a factor that is not a positive integer.
    """
    shape = tensor_of(input, "pixel_unshuffle")._array.shape
    r = _factor(downscale_factor, "pixel_unshuffle: downscale_factor")
    *batch, channels, h, w = _image(shape, "pixel_unshuffle")
    if h % r or w % r:
        raise ShapeError(f"pixel_unshuffle: downscale_factor {r} does not divide height and width of shape {shape}")
    k = len(batch)
    x = input.reshape(*batch, channels, h // r, r, w // r, r)  # (…, C, H, a, W, b)
    x = x.permute(*range(k), k, k + 2, k + 4, k + 1, k + 3)  # (…, C, a, b, H, W)
    return _copied(x.reshape(*batch, channels * r * r, h // r, w // r))


def _copied(y: Any) -> Any:
    """In memory of its own, as PyTorch's is, also where nothing had to move."""
    return y if y._base is None else y.clone()


def _image(shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    if len(shape) < 3:
        raise ShapeError(f"{name}: expected input (..., C, H, W), got shape {shape}")
    return shape


def _factor(value: Any, what: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < 1:
        raise ValueError(f"{what} must be a positive integer, got {value!r}")
    return operator.index(value)
