"""Max pooling undone: the maxima return to where they stood, everything else is 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from ..errors import DtypeError, ShapeError
from .common import require_floating, same_device, tensor_of
from .indexing import GetItem
from .pooling import flat_places, one_row, without_row
from .pooling_windows import check_planes, sizes, stride_of


class MaxUnpool2d(Op):
    """y = zeros with each x at its place in the plane:  (…, OH, OW) → (…, H, W).   dx = dy[place].

    A partial inverse of :class:`~.pooling.MaxPool2d`: the largest numbers return to where they stood. Where a place is
    named twice (windows that overlap), the last number stays, while both get the gradient, as in PyTorch.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, places: Any, size: tuple[int, int]) -> Any:
        xp = namespace(x)
        ctx.shape, ctx.index = x.shape, flat_places(places, size[0] * size[1])
        y = xp.zeros((*x.shape[:-2], *size), x.dtype)
        y.reshape(-1)[ctx.index] = x.reshape(-1)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        flat = dy.reshape(-1)
        read = GetItem.apply(flat, ctx.index) if isinstance(flat, Variable) else flat[ctx.index]
        return read.reshape(ctx.shape)


# --- the functions users call ----------------------------------------------------------------------------------------


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Zeros with the numbers of ``input`` at the places ``indices``: (N, C, H, W) → (N, C, OH, OW), or without N.

    ``indices`` are those of ``max_pool2d(…, return_indices=True)``. OH = (H − 1) stride − 2 padding + kernel_size, and
    OW likewise; several input sizes lead to one output of a pool, so ``output_size`` may say which it was.

    Raises:
        ShapeError: indices of another shape than input, or an output size that is too far from the above.
        IndexError: an index outside the output.
        DtypeError: indices that are not int64, or an input that is not floating.
    """
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Zeros with the numbers of ``input`` at the places ``indices``: (N, C, L) → (N, C, OL). See
    :func:`max_unpool2d`.
    """
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def _max_unpool(
    name: str, count: int, x: Any, indices: Any, kernel: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    shape = require_floating(x, name)._array.shape
    check_planes(name, shape, count)
    places = tensor_of(indices, name, "indices")._array
    same_device(name, input=x, indices=indices)
    if places.dtype != np.int64:
        raise DtypeError(f"{name}: indices must be int64, got {dtypes.of_array(places)}")
    if places.shape != shape:
        raise ShapeError(f"{name}: indices have shape {places.shape}, input {shape}; they must be equal")
    k = sizes(kernel, count, name, "kernel_size")
    s = stride_of(stride, k, name)
    p = sizes(padding, count, name, "padding")
    size = _unpooled_size(name, shape[-count:], k, s, p, output_size)
    n = math.prod(size)
    if places.size and (int(places.min()) < 0 or int(places.max()) >= n):
        bad = int(places.min()) if int(places.min()) < 0 else int(places.max())
        shown = " × ".join(map(str, size))
        raise IndexError(f"{name}: index {bad} is outside the output of {shown} places (0 to {n - 1})")
    if count == 2:
        return MaxUnpool2d.apply(x, places, size)
    return without_row(MaxUnpool2d.apply(one_row(x), places[..., None, :], (1, *size)))


def _unpooled_size(
    name: str, plane: tuple[int, ...], k: tuple[int, ...], s: tuple[int, ...], p: tuple[int, ...], given: Any
) -> tuple[int, ...]:
    usual = tuple((n - 1) * s_ - 2 * p_ + k_ for n, k_, s_, p_ in zip(plane, k, s, p, strict=True))
    size = usual
    if given is not None:
        size = tuple(int(n) for n in given)
        size = size[2:] if len(size) == len(plane) + 2 else size
        fits = len(size) == len(plane) and all(abs(n - n_) < s_ for n, n_, s_ in zip(size, usual, s, strict=True))
        if not fits:
            raise ShapeError(
                f"{name}: output_size {tuple(given)} does not fit an input with planes of {plane}: expected less than "
                f"the stride {s} away from {usual} = (input − 1) · stride − 2 · padding + kernel_size"
            )
    if min(size) < 1:
        raise ShapeError(f"{name}: kernel_size {k}, stride {s}, padding {p} make an output of {size} from {plane}")
    return size
