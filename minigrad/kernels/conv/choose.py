"""Convolution on the CPU: which of the ways of computing it a shape takes.

- ``depthwise.py``: one input channel per group,
- ``winograd.py``: 3 × 3 with stride 1 and many channels: a quarter of the multiplications,
- ``flat.py``: stride 1 and few channels on one side: vectors hold pixels,
- ``direct.py``: everything else: vectors hold output channels.

A convolution has three maps (:mod:`minigrad.ops.conv`): the output from the image, the image's gradient from the
output's, and the weight's gradient from both. The first two are one computation, a correlation, between images of
different sizes and with the weights read in different orders. :func:`choose` finds the way and the numbers of all three
for a shape, once.

An infinity or a NaN goes where the plain sum lets it go. A way that spreads it further says where its result is not
finite, and ``direct.py`` does that again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..machine import memory
from ..machine.layout import FLOAT32
from ..machine.simd import LANES
from ..machine.threads import shares
from ..pointwise.activation import NONE, RELU, SIGMOID, TANH, activated, activation_gradient
from . import depthwise, direct, flat, winograd
from .plan import backward_plan, forward_plan, weight_plan

COST = 0.03  # nanoseconds a multiply-add takes
FEW = 4  # input channels: fewer products than that per tap do not pay for turning the image channels-last

DEPTHWISE, WINOGRAD, FLAT, DIRECT = "depthwise", "winograd", "flat", "direct"

_NO_FLOOR, _ZERO = np.array([-np.inf], np.float32), np.zeros(1, np.float32)
_ZEROS: dict[int, Any] = {}
_CODES = {"relu": RELU, "sigmoid": SIGMOID, "tanh": TANH}

Pair = tuple[int, int]


class Route(NamedTuple):
    """How one of the three maps is computed, and what its kernel takes."""

    way: str
    geometry: tuple[int, ...]  # of one group: see direct.correlate
    starts: tuple[int, ...]  # elements from one group to the next: of what is read, of w, of the bias, of the result
    tables: Callable[[], tuple[Any, ...]]  # those of direct.py


class Convolution(NamedTuple):
    """What is known of a shape: image (C, H, W), weight (O, C/G, KH, KW)."""

    image: tuple[int, ...]  # (C, H, W)
    output: tuple[int, ...]  # (O, OH, OW)
    weight: tuple[int, ...]
    groups: int
    work: int  # multiply-adds for an image
    numbers: tuple[int, ...]  # what the depthwise kernels take
    forward: Route
    backward: Route
    gradient: Route  # of the weight


@lru_cache(maxsize=512)
def choose(
    image: tuple[int, ...], weight: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Convolution | None:
    """The way for a shape; None if these do not fit together, which the op explains.

    The kernels look no further: what lies outside an array is read all the same.
    """
    if len(image) != 3 or len(weight) != 4 or image[0] != weight[1] * groups or weight[0] % groups:
        return None
    (c, h, w), (o, inner, kh, kw) = image, weight
    oh, ow = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip((h, w), (kh, kw), stride, padding, dilation, strict=True)
    )
    if min(*image, *weight, oh, ow) < 1:
        return None
    outer, taps = o // groups, kh * kw
    (ph, pw), (dh, dw) = padding, dilation
    top, left = dh * (kh - 1) - ph, dw * (kw - 1) - pw
    sizes = (h, w), (kh, kw), stride, padding, dilation
    dense = stride == (1, 1)
    ways = [DEPTHWISE] * 3
    if inner > 1 or groups == 1:
        few = outer < LANES or inner < FEW
        fast = _suits_winograd(inner, outer, (oh, ow), *sizes[1:])
        forward = WINOGRAD if fast else FLAT if few and dense else DIRECT
        few = (inner < LANES or outer < FEW) and top >= 0 and left >= 0
        fast = _suits_winograd(outer, inner, (h, w), *sizes[1:])
        ways = [forward, WINOGRAD if fast else FLAT if few and dense else DIRECT, forward]
    there = (c * h * w, taps, inner * taps, 0, inner, outer, h, w, ph, pw, oh, ow, o * oh * ow, kh, kw, dh, dw)
    back = (o * oh * ow, inner * taps, taps, 1, outer, inner, oh, ow, top, left, h, w, c * h * w, kh, kw, dh, dw)
    of_w, of_image, of_output = outer * inner * taps, inner * h * w, outer * oh * ow
    from_image, from_output = (of_image, of_w, outer, of_output), (of_output, of_w, inner, of_image)
    return Convolution(
        image,
        (o, oh, ow),
        weight,
        groups,
        o * oh * ow * inner * taps,
        (c, o // c, h, w, oh, ow, kh, kw, *stride, *padding, *dilation) if inner == 1 else (),
        Route(ways[0], there, from_image, cache(lambda: tuple(forward_plan(inner, outer, *sizes)))),
        Route(ways[1], back, from_output, cache(lambda: tuple(backward_plan(outer, inner, (oh, ow), *sizes)))),
        Route(ways[2], there, from_image, cache(lambda: tuple(weight_plan(inner, outer, *sizes)))),
    )


def _suits_winograd(
    inner: int, outer: int, out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> bool:
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


def _nonempty(x: Any) -> bool:
    return type(x) is np.ndarray and x.dtype is FLOAT32 and x.size > 0


def _flat(x: Any) -> Any:
    """The elements in row-major order; a copy where they do not lie so (or may not be written: Numba would compile the
    kernels once more for such an array)."""
    row_major = x.ravel()
    return row_major if row_major.flags.writeable else row_major.copy()


def _bias(b: Any, channels: int) -> Any:
    """The bias, or zeros: one array per size."""
    if b is not None:
        return _flat(b)
    zeros = _ZEROS.get(channels)
    if zeros is None:
        zeros = _ZEROS[channels] = np.zeros(channels, FLOAT32)
    return zeros


# --- the three maps ---------------------------------------------------------------------------------------------------


def _correlate(
    conv: Convolution, route: Route, x: Any, w: Any, b: Any, floor: Any = _NO_FLOOR, f: int = NONE, y: Any = None
) -> Any:
    """max(x ⋆ w + b, floor). With an activation f and its output y, x goes back through f first."""
    images, shape = x.shape[0], conv.output if route is conv.forward else conv.image
    result = memory.empty((images, *shape))
    parts = shares(COST * images * conv.work, images)
    x, w, out, b = _flat(x), _flat(w), result.ravel(), _bias(b, shape[0])
    active = x if y is None else y.ravel()
    if route.way is DEPTHWISE:
        if route is conv.forward:
            depthwise.correlate.launch(x, w, b, floor, out, images, conv.numbers, parts)
        else:
            depthwise.input_gradient.launch(x, w, b, out, images, conv.numbers, parts)
        return result
    for g in range(conv.groups):
        starts = tuple([g * step for step in route.starts])
        if route.way is WINOGRAD:
            spoilt = winograd.correlate.launch(x, w, b, floor, out, active, route.geometry, starts, images, parts, f)
            channels = shape[0] // conv.groups
            _replace(route, result[:, g * channels : (g + 1) * channels], spoilt, x, w, b, floor, active, starts, f)
        elif route.way is FLAT:
            flat.correlate.launch(x, w, b, floor, out, active, route.geometry, starts, images, parts, f)
        else:
            direct.correlate.launch(
                x, w, b, floor, out, active, route.geometry, starts, route.tables(), images, parts, f
            )
    return result


def _replace(
    route: Route, y: Any, spoilt: Any, x: Any, w: Any, b: Any, floor: Any, active: Any, starts: tuple[int, ...], f: int
) -> None:
    """Planes of y (N, C, H, W), given by the numbers of their images and channels, from the plain sum of one image."""
    images, channels = spoilt
    for n in sorted(set(images.tolist())):
        one, chosen = np.empty(y.shape[1:], FLOAT32), channels[images == n]
        at = (starts[0] + n * route.geometry[0], starts[1], starts[2], 0)
        direct.correlate.launch(x, w, b, floor, one.ravel(), active, route.geometry, at, route.tables(), 1, 1, f)
        y[n, chosen] = one[chosen]


def _weight_gradient(conv: Convolution, x: Any, dy: Any, f: int = NONE, y: Any = None) -> tuple[Any, Any]:
    """(dw, db) from x and dy. With an activation f and its output y, dy goes back through f first."""
    images, route = x.shape[0], conv.gradient
    dw, db = memory.empty(conv.weight), np.empty(conv.weight[0], FLOAT32)
    work = images * conv.work
    x, dy, flat_dw = _flat(x), _flat(dy), dw.ravel()
    active = dy if y is None else y.ravel()
    if route.way is DEPTHWISE:
        parts = shares(COST * work, conv.image[0])
        depthwise.weight_gradient.launch(x, dy, flat_dw, db, images, conv.numbers, parts)
        return dw, db
    parts = shares(COST * work, images)
    x_step, w_step, o_step, y_step = route.starts
    for g in range(conv.groups):
        part, db_part = flat_dw[g * w_step : (g + 1) * w_step], db[g * o_step : (g + 1) * o_step]
        starts, finite = (g * x_step, g * y_step), False
        if route.way is not DIRECT:
            way = winograd.weight_gradient if route.way is WINOGRAD else flat.weight_gradient
            finite = way.launch(x, dy, part, db_part, active, route.geometry, starts, images, parts, f)
        if finite:
            continue
        into, db_into = (part, db_part) if route.way is DIRECT else (np.empty_like(part), np.empty_like(db_part))
        direct.weight_gradient.launch(
            x, dy, into, db_into, active, route.geometry, starts, route.tables(), images, parts, f
        )
        if into is not part:
            np.copyto(part, into, where=~np.isfinite(part))
    return dw, db


def _gradients(
    conv: Convolution, needs: Any, x: Any, w: Any, dy: Any, f: int = NONE, y: Any = None
) -> tuple[Any, Any, Any]:
    """(dx, dw, db) of the forward route."""
    dx = _correlate(conv, conv.backward, dy, w, None, f=f, y=y) if needs(0) else None
    if needs(1):
        dw, db = _weight_gradient(conv, x, dy, f, y)
        return dx, dw, db if needs(2) else None
    return dx, None, dy.sum(axis=(0, 2, 3)) if needs(2) else None


# --- the ops' kernels -------------------------------------------------------------------------------------------------


def conv2d(
    x: Any, w: Any, b: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int, floor: Any = _NO_FLOOR
) -> Any:
    if not (_nonempty(x) and _nonempty(w)):
        return NotImplemented
    conv = choose(x.shape[1:], w.shape, stride, padding, dilation, groups)
    if conv is None or not (b is None or (_nonempty(b) and b.shape == w.shape[:1])):
        return NotImplemented
    return _correlate(conv, conv.forward, x, w, b, floor)


def conv2d_gradients(needs: Any, dy: Any, x: Any, w: Any, image: Any, weight: Any, *options: Any) -> Any:
    conv = choose(image, weight, *options)
    return _gradients(conv, needs, x, w, dy) if conv is not None and _nonempty(dy) else NotImplemented


def conv2d_activation(
    x: Any, w: Any, b: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int, name: str
) -> Any:
    """f(x ⋆ w + b); a ReLU is cut off on the way out, the others take a pass of their own."""
    z = conv2d(x, w, b, stride, padding, dilation, groups, _ZERO if name == "relu" else _NO_FLOOR)
    return z if z is NotImplemented or name == "relu" else activated(z, _CODES[name])


def conv2d_activation_gradients(
    needs: Any, dy: Any, x: Any, w: Any, y: Any, image: Any, weight: Any, *options: Any
) -> Any:
    *settings, groups, name = options
    conv, f = choose(image, weight, *settings, groups), _CODES[name]
    if conv is None or not _nonempty(dy):
        return NotImplemented
    if groups > 1 or not needs(1):  # depthwise kernels, and the sum for a bias alone, take dz itself
        return _gradients(conv, needs, x, w, activation_gradient(dy, y, f))
    return _gradients(conv, needs, x, w, dy, f, y)


def conv_transpose2d(
    x: Any, w: Any, b: Any, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Any:
    if not (_nonempty(x) and _nonempty(w)) or w.ndim != 4:
        return NotImplemented
    image = (w.shape[1] * groups, *size)
    conv = choose(image, w.shape, stride, padding, dilation, groups)
    if conv is None or x.shape[1:] != conv.output or not (b is None or (_nonempty(b) and b.shape == image[:1])):
        return NotImplemented
    return _correlate(conv, conv.backward, x, w, b)


def conv_transpose2d_gradients(
    needs: Any, dy: Any, x: Any, w: Any, out: Any, weight: Any, size: Pair, *options: Any
) -> Any:
    conv = choose(dy.shape[1:], weight, *options)
    if conv is None or not _nonempty(dy):
        return NotImplemented
    dx = _correlate(conv, conv.forward, dy, w, None) if needs(0) else None
    dw = _weight_gradient(conv, dy, x)[0] if needs(1) else None
    return dx, dw, dy.sum(axis=(0, 2, 3)) if needs(2) else None


def weight_gradient2d(x: Any, y: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
    if not (_nonempty(x) and _nonempty(y)) or x.ndim != 4 or y.ndim != 4 or x.shape[0] != y.shape[0]:
        return NotImplemented
    conv = choose(x.shape[1:], (y.shape[1], x.shape[1] // groups, *kernel), stride, padding, dilation, groups)
    if conv is None or y.shape[1:] != conv.output:
        return NotImplemented
    return _weight_gradient(conv, x, y)[0]


def weight_gradient2d_gradients(needs: Any, dw: Any, x: Any, y: Any, image: Any, out: Any, *options: Any) -> Any:
    conv = choose(image, dw.shape, *options)
    if conv is None or not _nonempty(dw):
        return NotImplemented
    dx = _correlate(conv, conv.backward, y, dw, None) if needs(0) else None
    return dx, _correlate(conv, conv.forward, x, dw, None) if needs(1) else None


KERNELS = {
    "conv2d": (conv2d, conv2d_gradients),
    "conv2d_activation": (conv2d_activation, conv2d_activation_gradients),
    "conv_transpose2d": (conv_transpose2d, conv_transpose2d_gradients),
    "weight_gradient2d": (weight_gradient2d, weight_gradient2d_gradients),
}
