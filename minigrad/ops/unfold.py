"""Windows: the patches of an image that a kernel or a pool looks at as it slides over it.

Along one axis of length n, a window has k elements that lie ``dilation`` d apart, so it spans d (k − 1) + 1 places.
Windows start ``stride`` s apart, the first of them on the padding p before the image. The last start must leave room
for a whole window, which gives the number of windows, the *output size*:

    ⌊(n + 2p − d (k − 1) − 1) / s⌋ + 1

Element u of window i is element i s + u d − p of the image. A view says this in strides alone and copies nothing.
"""

from __future__ import annotations

import operator
from typing import Any

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from ..errors import ShapeError
from .common import require_floating
from .shape import squeeze, unsqueeze

Pair = tuple[int, int]
Sizes = tuple[int, ...]  # one number per axis that windows slide along


def output_size(size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Sizes:
    """How many windows fit, along each axis (the formula above)."""
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes])


def padded(x: Any, padding: Pair) -> Any:
    """The image within a frame of zeros: (…, H, W) → (…, H + 2 ph, W + 2 pw); itself without padding."""
    ph, pw = padding
    if not (ph or pw):
        return x
    *lead, h, w = x.shape
    y = namespace(x).zeros((*lead, h + 2 * ph, w + 2 * pw), dtype=x.dtype)
    y[..., ph : ph + h, pw : pw + w] = x
    return y


def windows(x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """All windows of the last two axes: (…, H, W) → (…, KH, KW, OH, OW), a view of the padded image.

    Moving by one element of a window is a step of ``dilation`` rows (columns), moving to the next window one of
    ``stride`` rows (columns): the view has the image's memory under these strides.
    """
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    out = output_size(x.shape[-2:], kernel, stride, padding, dilation)
    x = padded(x, padding)
    *lead, row, column = x.strides
    steps = (dh * row, dw * column, sh * row, sw * column)
    return namespace(x).lib.stride_tricks.as_strided(x, (*x.shape[:-2], kh, kw, *out), (*lead, *steps))


class Unfold(Op):
    """The windows of an image as the columns of a matrix: (N, C, H, W) → (N, C·KH·KW, OH·OW).

    An element of x stands in every window that covers it, and gradients of uses add up: dx lays the columns of dy back
    onto the image and adds where they overlap, which is :class:`Fold`.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
        ctx.size, ctx.options = x.shape[2:], (kernel, stride, padding, dilation)
        return Unfold.compute(x, *ctx.options)

    @staticmethod
    def compute(x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
        view = windows(x, kernel, stride, padding, dilation)
        n, c, kh, kw, oh, ow = view.shape
        return view.copy().reshape((n, c * kh * kw, oh * ow))  # (N, C, KH, KW, OH, OW) → (N, C·KH·KW, OH·OW)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return (Fold.apply if isinstance(dy, Variable) else Fold.compute)(dy, ctx.size, *ctx.options)


class Fold(Op):
    """Columns laid back onto the image as windows, adding where they overlap: (N, C·KH·KW, OH·OW) → (N, C, H, W).

    Every column element is used once, at its place: its gradient is dy read there, so dx is :class:`Unfold` of dy.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
        ctx.options = (kernel, stride, padding, dilation)
        return Fold.compute(x, size, *ctx.options)

    @staticmethod
    def compute(x: Any, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
        (h, w), (kh, kw), (sh, sw), (ph, pw), (dh, dw) = size, kernel, stride, padding, dilation
        oh, ow = output_size(size, kernel, stride, padding, dilation)
        n, c = x.shape[0], x.shape[1] // (kh * kw)
        x = x.reshape((n, c, kh, kw, oh, ow))  # (N, C·KH·KW, OH·OW) → (N, C, KH, KW, OH, OW)
        y = namespace(x).zeros((n, c, h + 2 * ph, w + 2 * pw), dtype=x.dtype)
        for u in range(kh):  # windows overlap, but one element (u, v) of all windows never meets itself
            for v in range(kw):
                rows, columns = slice(u * dh, u * dh + sh * oh, sh), slice(v * dw, v * dw + sw * ow, sw)
                y[:, :, rows, columns] += x[:, :, u, v]
        return y[:, :, ph : ph + h, pw : pw + w].copy() if ph or pw else y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return (Unfold.apply if isinstance(dy, Variable) else Unfold.compute)(dy, *ctx.options)


# --- arguments -------------------------------------------------------------------------------------------------------


def integers(name: str, argument: str, value: Any, axes: int, least: int) -> Sizes:
    """An integer for each of ``axes`` axes, none below ``least``, from one integer for all or from a sequence."""
    if value.__class__ is int and value >= least:
        return (value,) * axes
    if value.__class__ is tuple and len(value) == axes:  # what layers pass
        for v in value:
            if v.__class__ is not int or v < least:
                break
        else:
            return value
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    try:
        if any(isinstance(v, bool) for v in values):
            raise TypeError
        found = tuple([operator.index(v) for v in values])
    except TypeError:
        raise TypeError(f"{name}: {argument} must be {_integers(axes)}, got {value!r}") from None
    if len(found) == 1:
        found *= axes
    if len(found) != axes:
        raise ShapeError(f"{name}: {argument} must be {_integers(axes)}, got {value!r}")
    if min(found) < least:
        raise ShapeError(f"{name}: {argument} must {'be positive' if least else 'not be negative'}, got {value!r}")
    return found


def _integers(axes: int) -> str:
    return "an integer" if axes == 1 else f"an integer or {axes} of them"


def fit(name: str, size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Sizes:
    """The output size; an error that shows its formula if no window fits."""
    found = output_size(size, kernel, stride, padding, dilation)
    if min(*found, *size) < 1:
        raise ShapeError(
            f"{name}: an input of {by(size)} with padding {by(padding)} has no room for a window of kernel_size "
            f"{by(kernel)} with dilation {by(dilation)}: output size = ⌊(size + 2·padding − dilation·(kernel_size − 1) "
            f"− 1) / stride⌋ + 1 = {by(found)}. Use a smaller kernel, more padding or a larger input"
        )
    return found


def by(sizes: Sizes) -> str:
    """3×5"""
    return "×".join(map(str, sizes))


# --- the functions users call ----------------------------------------------------------------------------------------


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of images as columns: (N, C, H, W) → (N, C·KH·KW, L), or without N on both sides.

    L = OH·OW windows, row by row; a column holds its window channel by channel, row by row. Zeros pad the image.
    Source: torch.nn.functional.unfold.

    Raises:
        ShapeError: the input has other axes, a setting is out of range, or no window fits.
        DtypeError: an input of integers.
    """
    shape = require_floating(input, "unfold")._array.shape
    if len(shape) not in (3, 4):
        raise ShapeError(f"unfold: input must have axes (N, C, H, W) or (C, H, W), got shape {shape}")
    kernel, stride, padding, dilation = _settings("unfold", kernel_size, stride, padding, dilation)
    fit("unfold", shape[-2:], kernel, stride, padding, dilation)
    if len(shape) == 4:
        return Unfold.apply(input, kernel, stride, padding, dilation)
    return squeeze(Unfold.apply(unsqueeze(input, 0), kernel, stride, padding, dilation), 0)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Columns summed into images where their windows lie: (N, C·KH·KW, L) → (N, C, H, W) with ``output_size`` (H, W).

    Where windows overlap their elements add up, so fold(unfold(x)) is x times the number of windows over each element.
    Source: torch.nn.functional.fold.

    Raises:
        ShapeError: the input's rows are no multiple of KH·KW, it has not one column per window of an image of
            ``output_size``, or a setting is out of range.
        DtypeError: an input of integers.
    """
    shape = require_floating(input, "fold")._array.shape
    if len(shape) not in (2, 3):
        raise ShapeError(f"fold: input must have axes (N, C·KH·KW, L) or (C·KH·KW, L), got shape {shape}")
    kernel, stride, padding, dilation = _settings("fold", kernel_size, stride, padding, dilation)
    size = integers("fold", "output_size", output_size, 2, 1)
    if shape[-2] % (kernel[0] * kernel[1]):
        raise ShapeError(
            f"fold: input has {shape[-2]} rows (shape {shape}), expected a multiple of {kernel[0] * kernel[1]}, the "
            f"elements of a window of kernel_size {by(kernel)}"
        )
    oh, ow = fit("fold", size, kernel, stride, padding, dilation)
    if shape[-1] != oh * ow:
        raise ShapeError(
            f"fold: input has {shape[-1]} columns (shape {shape}), expected one per window of an image of {by(size)}: "
            f"{oh}·{ow} = {oh * ow}, by ⌊(size + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1"
        )
    if len(shape) == 3:
        return Fold.apply(input, size, kernel, stride, padding, dilation)
    return squeeze(Fold.apply(unsqueeze(input, 0), size, kernel, stride, padding, dilation), 0)


def _settings(name: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Sizes, ...]:
    return (
        integers(name, "kernel_size", kernel_size, 2, 1),
        integers(name, "stride", stride, 2, 1),
        integers(name, "padding", padding, 2, 0),
        integers(name, "dilation", dilation, 2, 1),
    )
