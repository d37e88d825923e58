"""Convolution on the CPU: which of the ways of computing it a shape takes.

- ``conv_depthwise.py``: one input channel per group,
- ``conv_flat.py``: stride 1 and few channels on one side: vectors hold pixels,
- ``winograd.py``: 3 × 3 with stride 1 and many channels: a quarter of the multiplications,
- ``conv_direct.py``: everything else: vectors hold output channels.

Each computes the forward pass, the gradient of the input (the same correlation with turned weights) and the gradient of
the weight. Groups run one after the other.

An infinity or a NaN goes where the plain sum lets it go. A way that spreads it further says where its result is not
finite, and ``conv_direct.py`` does that again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import Kernel, memory
from ..simd import LANES
from ..threads import shares
from . import conv_depthwise, conv_direct, conv_flat, conv_plan, winograd
from .activation import NONE, RELU, SIGMOID, TANH, activated, sloped
from .layout import FLOAT32

COST = 0.03  # nanoseconds a multiply-add takes
THIN = 4  # input channels: fewer products than that per tap do not pay for turning the image pixel-major

_NO_FLOOR, _ZERO = np.array([-np.inf], np.float32), np.zeros(1, np.float32)
_ZEROS: dict[int, Any] = {}


def _bias(b: Any, channels: int) -> Any:
    """The bias, or zeros: one array per size."""
    if b is not None:
        return _flat(b)
    zeros = _ZEROS.get(channels)
    if zeros is None:
        zeros = _ZEROS[channels] = np.zeros(channels, FLOAT32)
    return zeros


def _takes(x: Any) -> bool:
    return type(x) is np.ndarray and x.dtype is FLOAT32 and x.size > 0


def _flat(x: Any) -> Any:
    """The numbers in row-major order; a copy where they do not lie so (or may not be written: Numba would compile the
    kernels once more for such an array)."""
    flat = x.ravel()
    return flat if flat.flags.writeable else flat.copy()


def _parts(images: int, work: int) -> int:
    return shares(COST * work, images)


def _output(size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, int]:
    oh, ow = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return oh, ow


def _suits_winograd(inner: int, outer: int, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> bool:
    """3 × 3, dense, vectors of channels on both sides, and not too much computed beyond the border of the output."""
    (oh, ow), tile = out, winograd.OUT
    computed = -(-oh // tile) * -(-ow // tile) * tile * tile
    return (
        kernel == (3, 3)
        and stride == dilation == (1, 1)
        and min(inner, outer) >= LANES
        and max(padding) <= 2
        and computed <= 2 * oh * ow
    )


def _replace(y: Any, spoilt: Any, plain: Any) -> None:
    """Planes of y (N, C, H, W), given by the numbers of their images and channels, from the plain sum of one image."""
    images, channels = spoilt
    for n in sorted(set(images.tolist())):
        one, chosen = np.empty(y.shape[1:], FLOAT32), channels[images == n]
        plain(n, 1, one.ravel(), 0)
        y[n, chosen] = one[chosen]


def correlate(
    x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int, floor: Any = _NO_FLOOR
) -> Any:
    """y = max(x ⋆ w + b, floor) for contiguous float32 arrays."""
    n, c, h, wd = x.shape
    o, inner, kh, kw = w.shape
    oh, ow = _output((h, wd), (kh, kw), stride, padding, dilation)
    y = memory.empty((n, o, oh, ow))
    parts = _parts(n, y.size * inner * kh * kw)
    flat_x, flat_w, flat_y, b = _flat(x), _flat(w), y.ravel(), _bias(b, o)
    if inner == 1 and groups > 1:
        conv_depthwise.depthwise(
            flat_x, flat_w, b, floor, flat_y, n, c, o // c, h, wd, oh, ow, kh, kw, *stride, *padding, *dilation, parts
        )
        return y
    outer, taps = o // groups, kh * kw
    fast = _suits_winograd(inner, outer, (oh, ow), (kh, kw), stride, padding, dilation)
    flat = stride == (1, 1) and (outer < LANES or inner < THIN)

    def plain(g: int, first: int, images: int, into: Any, at: int) -> None:
        plan = conv_plan.forward_plan(inner, outer, (h, wd), (kh, kw), stride, padding, dilation)
        conv_direct.correlate(
            flat_x, c * h * wd, (first * c + g * inner) * h * wd, flat_w, g * outer * inner * taps, taps, inner * taps,
            inner, outer, images, *plan, b, g * outer, floor, into, o * oh * ow, at, min(parts, images), NONE, flat_x,
        )  # fmt: skip

    for g in range(groups):
        x_start, w_start, y_start = g * inner * h * wd, g * outer * inner * taps, g * outer * oh * ow
        if fast:
            spoilt = winograd.correlate(
                flat_x, c * h * wd, x_start, flat_w, w_start, taps, inner * taps, 0, inner, outer, n, h, wd, *padding,
                oh, ow, b, g * outer, floor, flat_y, o * oh * ow, y_start, parts, NONE, flat_x,
            )  # fmt: skip
            _replace(y[:, g * outer : (g + 1) * outer], spoilt, partial(plain, g))
        elif flat:
            conv_flat.correlate_flat(
                flat_x, c * h * wd, x_start, flat_w, w_start, taps, inner * taps, 0, inner, outer, n, h, wd, oh, ow,
                kh, kw, *padding, *dilation, b, g * outer, floor, flat_y, o * oh * ow, y_start, parts, NONE, flat_x,
            )  # fmt: skip
        else:
            plain(g, 0, n, flat_y, y_start)
    return y


def input_gradient(
    dy: Any,
    w: Any,
    b: Any,
    size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    f: int = NONE,
    y: Any = None,
) -> Any:
    """dx (N, C, H, W) from dy and w, plus a bias per channel of x: the transposed convolution.

    With an activation f and its output y, dy goes back through f first.
    """
    n, o, oh, ow = dy.shape
    _, inner, kh, kw = w.shape
    (h, wd), c = size, inner * groups
    dx = memory.empty((n, c, h, wd))
    parts = _parts(n, dy.size * inner * kh * kw)
    flat_dy, flat_w, flat_dx, b = _flat(dy), _flat(w), dx.ravel(), _bias(b, c)
    active = flat_dy if y is None else y.ravel()
    if inner == 1 and groups > 1:
        conv_depthwise.depthwise_input(
            flat_dy, flat_w, flat_dx, n, c, o // c, h, wd, oh, ow, kh, kw, *stride, *padding, *dilation, b, parts
        )
        return dx
    outer, taps = o // groups, kh * kw
    top, left = dilation[0] * (kh - 1) - padding[0], dilation[1] * (kw - 1) - padding[1]
    fast = _suits_winograd(outer, inner, (h, wd), (kh, kw), stride, padding, dilation)
    flat = stride == (1, 1) and (inner < LANES or outer < THIN) and top >= 0 and left >= 0

    def plain(g: int, first: int, images: int, into: Any, at: int) -> None:
        plan = conv_plan.backward_plan(outer, inner, (oh, ow), (h, wd), (kh, kw), stride, padding, dilation)
        conv_direct.correlate(
            flat_dy, o * oh * ow, (first * o + g * outer) * oh * ow, flat_w, g * outer * inner * taps, inner * taps,
            taps, outer, inner, images, *plan, b, g * inner, _NO_FLOOR, into, c * h * wd, at, min(parts, images), f,
            active,
        )  # fmt: skip

    for g in range(groups):
        dy_start, w_start, dx_start = g * outer * oh * ow, g * outer * inner * taps, g * inner * h * wd
        if fast:
            spoilt = winograd.correlate(
                flat_dy, o * oh * ow, dy_start, flat_w, w_start, inner * taps, taps, 1, outer, inner, n, oh, ow,
                top, left, h, wd, b, g * inner, _NO_FLOOR, flat_dx, c * h * wd, dx_start, parts, f, active,
            )  # fmt: skip
            _replace(dx[:, g * inner : (g + 1) * inner], spoilt, partial(plain, g))
        elif flat:
            conv_flat.correlate_flat(
                flat_dy, o * oh * ow, dy_start, flat_w, w_start, inner * taps, taps, 1, outer, inner, n, oh, ow, h, wd,
                kh, kw, top, left, *dilation, b, g * inner, _NO_FLOOR, flat_dx, c * h * wd, dx_start, parts, f, active,
            )  # fmt: skip
        else:
            plain(g, 0, n, flat_dx, dx_start)
    return dx


def weight_gradient(
    x: Any, dy: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int, f: int = NONE, y: Any = None
) -> tuple[Any, Any]:
    """(dw, db) from x and dy. With an activation f and its output y, dy goes back through f first."""
    n, c, h, wd = x.shape
    _, o, oh, ow = dy.shape
    inner, outer, (kh, kw) = c // groups, o // groups, kernel
    dw, db = memory.empty((o, inner, kh, kw)), np.empty(o, FLOAT32)
    work = dy.size * inner * kh * kw
    flat_x, flat_dy, flat_dw = _flat(x), _flat(dy), dw.ravel()
    active = flat_dy if y is None else y.ravel()
    if inner == 1 and groups > 1:
        parts = _parts(c, work)
        conv_depthwise.depthwise_weight(
            flat_x, flat_dy, flat_dw, db, n, c, o // c, h, wd, oh, ow, kh, kw, *stride, *padding, *dilation, parts
        )
        return dw, db
    parts = _parts(n, work)
    fast = _suits_winograd(inner, outer, (oh, ow), kernel, stride, padding, dilation)
    flat = stride == (1, 1) and (outer < LANES or inner < THIN)
    for g in range(groups):
        x_start, dy_start = g * inner * h * wd, g * outer * oh * ow
        part = flat_dw[g * outer * inner * kh * kw : (g + 1) * outer * inner * kh * kw]
        db_part = db[g * outer : (g + 1) * outer]
        finite = False
        if fast:
            finite = winograd.weight_gradient(
                flat_x, c * h * wd, x_start, flat_dy, o * oh * ow, dy_start, inner, outer, n, h, wd, *padding, oh, ow,
                part, db_part, parts, f, active,
            )  # fmt: skip
        elif flat:
            finite = conv_flat.weight_gradient_flat(
                flat_x, c * h * wd, x_start, flat_dy, o * oh * ow, dy_start, inner, outer, n, h, wd, oh, ow,
                kh, kw, *padding, *dilation, part, db_part, parts, f, active,
            )  # fmt: skip
        if finite:
            continue
        into, db_into = (np.empty_like(part), np.empty_like(db_part)) if fast or flat else (part, db_part)
        plan = conv_plan.weight_plan(inner, outer, (h, wd), (kh, kw), stride, padding, dilation)
        conv_direct.weight_gradient(
            flat_x, c * h * wd, x_start, flat_dy, o * oh * ow, dy_start, inner, outer, n, *plan[:4],
            kh * kw, *plan[4:], into, db_into, parts, f, active,
        )  # fmt: skip
        if into is not part:
            np.copyto(part, into, where=~np.isfinite(part))
    return dw, db


# --- the pairs that the ops call ----------------------------------------------------------------------------------


def _fit(x: Any, w: Any, b: Any, y: Any, size: Any, kernel: Any, options: Any) -> bool:
    """Whether these are float32 arrays with something in them that fit together as x ⋆ w + b = y.

    Each of x, w, b, y is an array, or the shape that it is to have. The kernels look no further: what lies outside an
    array is read all the same. Whatever does not fit is left to the op, which explains it.
    """
    for array in (x, w, b, y):
        if not isinstance(array, tuple | None) and not _takes(array):
            return False
    x, w, y = (array if isinstance(array, tuple) else array.shape for array in (x, w, y))
    stride, padding, dilation, groups = options
    return (
        len(x) == len(w) == len(y) == 4
        and x[2:] == size
        and w[2:] == kernel
        and x[0] == y[0]
        and x[1] == w[1] * groups
        and y[1] == w[0]
        and w[0] % groups == 0
        and y[2:] == _output(size, kernel, stride, padding, dilation)
        and min(y) > 0
    )


def conv2d_forward(
    ctx: Any,
    x: Any,
    w: Any,
    b: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    floor: Any = _NO_FLOOR,
) -> Any:
    options = stride, padding, dilation, groups
    if x.ndim != 4 or w.ndim != 4:
        return NotImplemented
    size, kernel = x.shape[2:], w.shape[2:]
    y = x.shape[0], w.shape[0], *_output(size, kernel, stride, padding, dilation)
    if not _fit(x, w, b, y, size, kernel, options) or (b is not None and b.shape != w.shape[:1]):
        return NotImplemented
    ctx.saved = (x if ctx.needs(1) else None, w if ctx.needs(0) else None)
    ctx.sizes, ctx.options = (size, kernel), options
    return correlate(x, w, b, stride, padding, dilation, groups, floor)


def conv2d_backward(ctx: Any, dy: Any) -> Any:
    if not _takes(dy):
        return NotImplemented
    x, w = ctx.saved
    size, kernel = ctx.sizes
    dx = input_gradient(dy, w, None, size, *ctx.options) if ctx.needs(0) else None
    if ctx.needs(1):
        dw, db = weight_gradient(x, dy, kernel, *ctx.options)
        return dx, dw, db if ctx.needs(2) else None
    return dx, None, dy.sum(axis=(0, 2, 3)) if ctx.needs(2) else None


_CODES = {"relu": RELU, "sigmoid": SIGMOID, "tanh": TANH}


def conv2d_activation_forward(
    ctx: Any, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int, name: str
) -> Any:
    """f(x ⋆ w + b); a ReLU is cut off on the way out, the others take a pass of their own."""
    z = conv2d_forward(ctx, x, w, b, stride, padding, dilation, groups, _ZERO if name == "relu" else _NO_FLOOR)
    if z is NotImplemented:
        return NotImplemented
    y = z if name == "relu" else activated(z, _CODES[name])
    ctx.activation = name
    ctx.saved = (*ctx.saved, y)
    return y


def conv2d_activation_backward(ctx: Any, dy: Any) -> Any:
    if not _takes(dy):
        return NotImplemented
    x, w, y = ctx.saved
    (size, kernel), f = ctx.sizes, _CODES[ctx.activation]
    stride, padding, dilation, groups = ctx.options
    if groups > 1 or not ctx.needs(1):  # depthwise kernels, and the sum for a bias alone, take dz itself
        dy, f, y = sloped(dy, y, f), NONE, None
    dx = input_gradient(dy, w, None, size, stride, padding, dilation, groups, f, y) if ctx.needs(0) else None
    if ctx.needs(1):
        dw, db = weight_gradient(x, dy, kernel, stride, padding, dilation, groups, f, y)
        return dx, dw, db if ctx.needs(2) else None
    return dx, None, dy.sum(axis=(0, 2, 3)) if ctx.needs(2) else None


def conv_transpose2d_forward(
    ctx: Any, x: Any, w: Any, b: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    options = stride, padding, dilation, groups
    if x.ndim != 4 or w.ndim != 4:
        return NotImplemented
    image, kernel = (x.shape[0], w.shape[1] * groups, *size), w.shape[2:]
    if not _fit(image, w, b, x, tuple(size), kernel, options) or (b is not None and b.shape != image[1:2]):
        return NotImplemented
    ctx.saved = (x if ctx.needs(1) else None, w if ctx.needs(0) else None)
    ctx.sizes, ctx.options = (size, kernel), options
    return input_gradient(x, w, b, size, *ctx.options)


def conv_transpose2d_backward(ctx: Any, dy: Any) -> Any:
    if not _takes(dy):
        return NotImplemented
    x, w = ctx.saved
    dx = correlate(dy, w, None, *ctx.options) if ctx.needs(0) else None
    dw = weight_gradient(dy, x, ctx.sizes[1], *ctx.options)[0] if ctx.needs(1) else None
    return dx, dw, dy.sum(axis=(0, 2, 3)) if ctx.needs(2) else None


def weight_gradient2d_forward(
    ctx: Any, x: Any, y: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    options = stride, padding, dilation, groups
    if x.ndim != 4 or y.ndim != 4:
        return NotImplemented
    w = y.shape[1], x.shape[1] // groups, *kernel
    if not _fit(x, w, None, y, x.shape[2:], tuple(kernel), options):
        return NotImplemented
    ctx.saved = (x if ctx.needs(1) else None, y if ctx.needs(0) else None)
    ctx.sizes, ctx.options = (x.shape[2:], kernel), options
    return weight_gradient(x, y, kernel, *ctx.options)[0]


def weight_gradient2d_backward(ctx: Any, dw: Any) -> Any:
    if not _takes(dw):
        return NotImplemented
    x, y = ctx.saved
    dx = input_gradient(y, dw, None, ctx.sizes[0], *ctx.options) if ctx.needs(0) else None
    return dx, correlate(x, dw, None, *ctx.options) if ctx.needs(1) else None


KERNELS = {
    "conv2d": Kernel(conv2d_forward, conv2d_backward),
    "conv2d_activation": Kernel(conv2d_activation_forward, conv2d_activation_backward),
    "conv_transpose2d": Kernel(conv_transpose2d_forward, conv_transpose2d_backward),
    "weight_gradient2d": Kernel(weight_gradient2d_forward, weight_gradient2d_backward),
}
