"""Convolution on the GPU (``conv.cu``): the three maps of :mod:`minigrad.ops.conv`."""

from __future__ import annotations

from typing import Any

from ..machine.gpu import LARGEST, MOST_BLOCKS, contiguous, empty, integers, launch, record, takes, up
from ..machine.gpu_sums import add_parts, over_channels

SHAPE = integers("n c h w o oh ow kh kw sh sw ph pw dh dw groups")
SIDE, COLUMNS, DEPTH = 16, 8, 16  # as in conv.cu: a block is SIDE × SIDE threads, a thread has COLUMNS columns
BLOCKS = 512  # the weight's gradient is cut into parts until there are about as many: a few for every core of a GPU


def fits(x: tuple[int, ...], y: tuple[int, ...], w: tuple[int, ...], options: Any) -> bool:
    """Whether an image, an output and a weight of these shapes belong together and the GPU can count that far."""
    if not len(x) == len(y) == len(w) == 4:
        return False
    stride, padding, dilation, groups = options
    farthest = max(
        (n + out) * s + p + (k + DEPTH) * d
        for n, out, k, s, p, d in zip(x[2:], y[2:], w[2:], stride, padding, dilation, strict=True)
    )
    return (
        (x[0], x[1], w[0]) == (y[0], w[1] * groups, y[1])
        and w[0] % groups == 0
        and farthest <= LARGEST
        and max(x[0] * x[2] * x[3], y[0] * y[2] * y[3]) <= LARGEST
        and max(groups, up(max(w[0] // groups, w[1]), SIDE)) <= MOST_BLOCKS
    )


def _shape(x: tuple[int, ...], y: tuple[int, ...], w: tuple[int, ...], options: Any) -> Any:
    stride, padding, dilation, groups = options
    return record(SHAPE, *x, *y[1:], *w[2:], *stride, *padding, *dilation, groups)


def _rows(rows: int) -> int:
    """How many rows of the product a thread computes: enough for a block to take them all, but no more than 4."""
    return 1 if rows <= SIDE else 2 if rows <= 2 * SIDE else 4


def _product(name: str, rows: int, columns: int, layers: int, like: Any, args: tuple[Any, ...]) -> None:
    """Start one of the matrix products: (rows, columns) of the result in tiles, ``layers`` times."""
    tall = _rows(rows)
    grid = (up(columns, SIDE * COLUMNS), up(rows, SIDE * tall), layers)
    launch("conv", name, grid, (SIDE, SIDE), like, args, ROWS=tall, COLUMNS=COLUMNS)


def output(x: Any, w: Any, b: Any, size: Any, options: Any) -> Any:
    """y = b + w ⋆ x, of ``size`` (OH, OW)."""
    n, o, groups = x.shape[0], w.shape[0], options[-1]
    y = empty((n, o, *size), x)
    args = contiguous(x), contiguous(w), contiguous(b), y, _shape(x.shape, y.shape, w.shape, options)
    _product("conv_output", o // groups, n * size[0] * size[1], groups, x, args)
    return y


def input_gradient(dy: Any, w: Any, b: Any, size: Any, options: Any) -> Any:
    """dx of ``size`` (H, W); plus a bias, the output of a transposed convolution."""
    n, c, groups = dy.shape[0], w.shape[1] * options[-1], options[-1]
    dx = empty((n, c, *size), dy)
    args = contiguous(dy), contiguous(w), contiguous(b), dx, _shape(dx.shape, dy.shape, w.shape, options)
    _product("conv_input_gradient", c // groups, n * size[0] * size[1], groups, dy, args)
    return dx


def weight_gradient(x: Any, dy: Any, kernel: Any, options: Any) -> Any:
    """dw for a ``kernel`` (KH, KW), in parts that are then added up."""
    groups = options[-1]
    dw = empty((dy.shape[1], x.shape[1] // groups, *kernel), x)
    rows, columns, depth = dy.shape[1] // groups, dw.size // dy.shape[1], dy.size // dy.shape[1]
    tiles = up(rows, SIDE * _rows(rows)) * up(columns, SIDE * COLUMNS) * groups
    # At least 8 strips each, so that adding up stays the smaller work; no more than fit in the grid and the indices.
    parts = max(1, min(up(BLOCKS, tiles), up(depth, 8 * DEPTH), MOST_BLOCKS // groups, LARGEST // dw.size))
    length = up(up(depth, parts), DEPTH) * DEPTH
    parts = up(depth, length)
    partial = empty((parts, *dw.shape), x) if parts > 1 else dw
    args = contiguous(x), contiguous(dy), partial, _shape(x.shape, dy.shape, dw.shape, options), parts, length
    _product("conv_weight_gradient", rows, columns, groups * parts, x, args)
    return add_parts(partial, dw) if parts > 1 else dw


def _size(x: tuple[int, ...], w: tuple[int, ...], options: Any) -> tuple[int, ...]:
    axes = zip(x[2:], w[2:], *options[:3], strict=True)
    return tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes])


# --- the kernels -----------------------------------------------------------------------------------------------------


def _conv2d(x: Any, w: Any, b: Any, *options: Any) -> Any:
    if not takes(x, w, b) or x.ndim != 4 or w.ndim != 4:
        return NotImplemented
    size = _size(x.shape, w.shape, options)
    if min(size) < 1 or not fits(x.shape, (x.shape[0], w.shape[0], *size), w.shape, options):
        return NotImplemented
    with x.device:
        return output(x, w, b, size, options)


def _conv2d_gradients(needs: Any, dy: Any, x: Any, w: Any, image: Any, weight: Any, *options: Any) -> Any:
    if not takes(dy, x, w):
        return NotImplemented
    with dy.device:
        dx = input_gradient(dy, w, None, image[1:], options) if needs(0) else None
        dw = weight_gradient(x, dy, weight[2:], options) if needs(1) else None
        return dx, dw, over_channels(dy) if needs(2) else None


def _transposed(x: Any, w: Any, b: Any, size: Any, *options: Any) -> Any:
    if not takes(x, w, b) or x.ndim != 4 or w.ndim != 4 or min(size) < 1:
        return NotImplemented
    if not fits((x.shape[0], w.shape[1] * options[-1], *size), x.shape, w.shape, options):
        return NotImplemented
    with x.device:
        return input_gradient(x, w, b, size, options)


def _transposed_gradients(needs: Any, dy: Any, x: Any, w: Any, out: Any, weight: Any, size: Any, *options: Any) -> Any:
    if not takes(dy, x, w):
        return NotImplemented
    with dy.device:
        dx = output(dy, w, None, out[1:], options) if needs(0) else None
        dw = weight_gradient(dy, x, weight[2:], options) if needs(1) else None
        return dx, dw, over_channels(dy) if needs(2) else None


def _weight(x: Any, y: Any, kernel: Any, *options: Any) -> Any:
    if not takes(x, y) or x.ndim != 4 or y.ndim != 4:
        return NotImplemented
    if not fits(x.shape, y.shape, (y.shape[1], x.shape[1] // options[-1], *kernel), options):
        return NotImplemented
    with x.device:
        return weight_gradient(x, y, kernel, options)


def _weight_gradients(needs: Any, dw: Any, x: Any, y: Any, image: Any, out: Any, *options: Any) -> Any:
    if not takes(dw, x, y):
        return NotImplemented
    with dw.device:
        dx = input_gradient(y, dw, None, image[1:], options) if needs(0) else None
        return dx, output(x, dw, None, out[1:], options) if needs(1) else None


KERNELS = {
    "conv2d": (_conv2d, _conv2d_gradients),
    "conv_transpose2d": (_transposed, _transposed_gradients),
    "weight_gradient2d": (_weight, _weight_gradients),
}
