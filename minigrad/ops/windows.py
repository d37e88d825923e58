"""Windows: the patches of an image that a kernel or a pool looks at as it slides over it.

Along one axis of length n, a window has k elements that lie ``dilation`` d apart, so it spans d (k − 1) + 1 places.
Windows start ``stride`` s apart, the first of them on the padding p before the image. The last start must leave room
for a whole window, which gives the number of windows, the *output size*:

    ⌊(n + 2p − d (k − 1) − 1) / s⌋ + 1

Element a of window i is element i s + a d − p of the image. A view says this in strides alone and copies nothing.
"""

from __future__ import annotations

from typing import Any

from ..autograd.function import Op
from ..autograd.variable import Variable, namespace

Pair = tuple[int, int]


def output_size(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """How many windows fit, along each of the two axes (the formula above)."""
    (h, w), (kh, kw), (sh, sw), (ph, pw), (dh, dw) = size, kernel, stride, padding, dilation
    return (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1


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
        return view.reshape((n, c * kh * kw, oh * ow))  # (N, C, KH, KW, OH, OW) → (N, C·KH·KW, OH·OW)

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
        for a in range(kh):  # windows overlap, but the places of one element of all windows do not
            for b in range(kw):
                rows, columns = slice(a * dh, a * dh + sh * oh, sh), slice(b * dw, b * dw + sw * ow, sw)
                y[:, :, rows, columns] += x[:, :, a, b]
        return y[:, :, ph : ph + h, pw : pw + w].copy() if ph or pw else y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return (Unfold.apply if isinstance(dy, Variable) else Unfold.compute)(dy, *ctx.options)
