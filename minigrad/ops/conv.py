"""Convolution: one small kernel of weights slid over an image, the same at every place.

    y[n, o, i, j] = b[o] + Σ_{c, u, v} w[o, c, u, v] · x[n, c, i s + u d − p, j s + v d − p],   zero outside the image.

(Strictly a *correlation*: a convolution would read the kernel backwards. Networks learn the kernel, so the name stuck.)
Windows and the output size ⌊(H + 2p − d (k − 1) − 1) / s⌋ + 1 are explained in :mod:`minigrad.ops.unfold`. With
``groups`` G the channels are split into G runs, and each run of outputs sees its own run of inputs: w is
(O, C/G, KH, KW). With G = C every channel has kernels of its own ("depthwise").

**As a matrix product.** Lay each window out as a column: (C·KH·KW, N·OH·OW). The kernel laid out as rows is
(O, C·KH·KW), and y is their product. That is the forward pass here: copy windows to columns, multiply.

**dx.** The output at i reads the input at h = i s + u d − p with weight w[u] (one axis is enough to see it), so what
flows back to h is

    dx[h] = Σ_{i, u: i s + u d − p = h} dy[i] w[u].

Solved for the place in dy: i s = h + p − u d. Only multiples of s are places of dy, so *spread* it out, z[i s] = dy[i]
with zeros between. Then dx[h] = Σ_u z[h + p − u d] w[u]. Here the index of z runs backwards in u; with the kernel read
backwards too, u = k − 1 − u′, it runs forwards:

    dx[h] = Σ_{u′} z[h + u′ d − ((k − 1) d − p)] w[k − 1 − u′].

That is a convolution again: of the spread dy with the *flipped* kernel, whose input and output channels have changed
places, with stride 1, the same dilation and padding (k − 1) d − p. :class:`ConvTranspose2d` is this map as an op of its
own. Several sizes H give the same output size (a stride may leave a rest at the border unread), so it is told which.

**dw.** The weight w[o, c, u, v] meets x[i s + u d − p] wherever the window i is, so its gradient correlates the input
with the output gradient, over all samples and places:

    dw[o, c, u, v] = Σ_{n, i, j} dy[n, o, i, j] x[n, c, i s + u d − p, j s + v d − p].

With columns, dW = dY · columnsᵀ. :class:`ConvWeight2d` is this map as an op.

**db** = Σ dy over samples and places: the bias is added to each.

**Derivatives of derivatives.** All three maps come from one form that is linear in each of three arguments, T(x, w, y)
= Σ y[n, o, i, j] w[o, c, u, v] x[n, c, i s + u d − p, j s + v d − p]: leave one argument out, and what multiplies it is
the convolution (without y), its transpose (without x) or the weight's gradient (without w). So the derivative of each
op by one of its arguments is another of the three: the set is closed, and three short rules give every order.

**Infinities and NaN** in x reach the outputs whose windows hold them, and no others; those in dy reach the places of x
and the weights that the equations above name. This holds for every way of computing, the kernels' too. Zeros are
multiplied like other numbers, and 0 · ∞ is NaN: the padding, and in dx the zeros of the spread dy (kernels leave some
of these out), times a weight that is not finite; in dw the padding times a dy that is not.
"""

from __future__ import annotations

from typing import Any

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from .sums import total
from .unfold import Pair, windows


def columns(x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> tuple[Any, Pair]:
    """Each window as a column, group by group: (N, C, H, W) → (G, C/G·KH·KW, N·OH·OW), and (OH, OW)."""
    n, c, h, w = x.shape
    x = x.reshape((n, groups, c // groups, h, w))  # (N, C, H, W) → (N, G, C/G, H, W)
    view = windows(x, kernel, stride, padding, dilation)  # → (N, G, C/G, KH, KW, OH, OW)
    view = view.transpose((1, 2, 3, 4, 0, 5, 6))  # → (G, C/G, KH, KW, N, OH, OW)
    (kh, kw), (oh, ow) = kernel, view.shape[5:]
    return view.reshape((groups, c // groups * kh * kw, n * oh * ow)), (oh, ow)  # the copy happens here


def turned(w: Any, groups: int) -> Any:
    """The kernel flipped, in- and outputs exchanged, for the input gradient: (O, C/G, KH, KW) → (C, O/G, KH, KW)."""
    o, c, kh, kw = w.shape
    w = w[:, :, ::-1, ::-1].reshape((groups, o // groups, c, kh, kw))  # (O, C/G, KH, KW) → (G, O/G, C/G, KH, KW)
    return w.swapaxes(1, 2).reshape((groups * c, o // groups, kh, kw))  # → (G, C/G, O/G, KH, KW) → (C, O/G, KH, KW)


def with_zeros_between(y: Any, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """z[i s + (k − 1) d − p] = y[i], zeros elsewhere, as long as the input gradient of ``size`` needs: H + (k − 1) d.

    (N, O, OH, OW) → (N, O, H + (KH − 1)·dh, W + (KW − 1)·dw). Outputs that saw nothing but padding fall off the ends.
    """
    lengths, targets, sources = [], [], []
    for n, out, k, s, p, d in zip(size, y.shape[2:], kernel, stride, padding, dilation, strict=True):
        length, start = n + (k - 1) * d, (k - 1) * d - p
        first = max(0, -(start // s))  # the first i that lies inside, ⌈−start / s⌉, and below one past the last
        past = min(out, (length - 1 - start) // s + 1)
        lengths.append(length)
        sources.append(slice(first, max(first, past)))
        targets.append(slice(start + first * s, start + max(first, past) * s, s))
    z = namespace(y).zeros((*y.shape[:2], *lengths), dtype=y.dtype)
    z[:, :, targets[0], targets[1]] = y[:, :, sources[0], sources[1]]
    return z


def _run(op: Any, *args: Any) -> Any:
    """An op of this file inside a rule: recorded on Tensors (the rule is being differentiated), plain on arrays."""
    return op.apply(*args) if isinstance(args[0], Variable) else op.compute(*args)


class Conv2d(Op, kernel="conv.choose.conv2d"):
    """y = b + w ⋆ x: x (N, C, H, W), w (O, C/G, KH, KW), b (O) or None → y (N, O, OH, OW).

    dx = :class:`ConvTranspose2d` of (dy, w), dw = :class:`ConvWeight2d` of (x, dy), db = Σ dy; derived above.
    """

    @staticmethod
    def compute(x: Any, w: Any, b: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
        n, o = x.shape[0], w.shape[0]
        cols, (oh, ow) = columns(x, w.shape[2:], stride, padding, dilation, groups)
        rows = w.reshape((groups, o // groups, cols.shape[1]))  # (O, C/G, KH, KW) → (G, O/G, C/G·KH·KW)
        y = (rows @ cols).reshape((o, n, oh, ow))  # (G, O/G, N·OH·OW) → (O, N, OH, OW)
        if b is not None:
            y += b.reshape((o, 1, 1, 1))
        return namespace(y).ascontiguousarray(y.swapaxes(0, 1))  # → (N, O, OH, OW)

    @staticmethod
    def keep(ctx: Any, y: Any, x: Any, w: Any, b: Any, *options: Any) -> Any:
        ctx.saved = (x if ctx.needs(1) else None, w if ctx.needs(0) else None)
        ctx.options = x.shape[1:], w.shape, *options
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return Conv2d.gradients(ctx.needs, dy, *ctx.saved, *ctx.options)

    @staticmethod
    def gradients(needs: Any, dy: Any, x: Any, w: Any, image: Any, weight: Any, *options: Any) -> Any:
        """(dx, dW, db) as derived above, for x (N, *image) and w of the shape ``weight``."""
        dx = _run(ConvTranspose2d, dy, w, None, image[1:], *options) if needs(0) else None
        dw = _run(ConvWeight2d, x, dy, weight[2:], *options) if needs(1) else None
        return dx, dw, total(dy, (0, 2, 3)) if needs(2) else None


class ConvTranspose2d(Op, kernel="conv.choose.conv_transpose2d"):
    """The input gradient of a convolution, as a layer: x (N, O, OH, OW), w (O, C/G, KH, KW), b (C) → (N, C, H, W).

    Every x[i] lays a copy of the kernel, times its value, onto the output at i s − p, and the copies add up. As the dx
    of a convolution from ``size`` (H, W) to (OH, OW) it is linear in x and w, and the two rules lead home: dx is
    :class:`Conv2d` of (dy, w), dw :class:`ConvWeight2d` with dy as the image and x as the gradient of its output.
    """

    @staticmethod
    def compute(x: Any, w: Any, b: Any, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
        z = with_zeros_between(x, size, w.shape[2:], stride, padding, dilation)
        return Conv2d.compute(z, turned(w, groups), b, (1, 1), (0, 0), dilation, groups)

    @staticmethod
    def keep(ctx: Any, y: Any, x: Any, w: Any, b: Any, size: Pair, *options: Any) -> Any:
        ctx.saved = (x if ctx.needs(1) else None, w if ctx.needs(0) else None)
        ctx.options = x.shape[1:], w.shape, size, *options
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x, w), (_, weight, _, *options) = ctx.saved, ctx.options
        dx = _run(Conv2d, dy, w, None, *options) if ctx.needs(0) else None
        dw = _run(ConvWeight2d, dy, x, weight[2:], *options) if ctx.needs(1) else None
        return dx, dw, total(dy, (0, 2, 3)) if ctx.needs(2) else None


class ConvWeight2d(Op, kernel="conv.choose.weight_gradient2d"):
    """The weight's gradient as an op: x (N, C, H, W), y (N, O, OH, OW) → w (O, C/G, KH, KW) with ``kernel`` (KH, KW).

    w[o, c, u, v] = Σ y[n, o, i, j] x[n, c, i s + u d − p, j s + v d − p]. Linear in both again: the gradient of x is
    :class:`ConvTranspose2d` of (y, dw), that of y is :class:`Conv2d` of (x, dw).
    """

    @staticmethod
    def compute(x: Any, y: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
        n, o, oh, ow = y.shape
        cols, _ = columns(x, kernel, stride, padding, dilation, groups)  # (G, C/G·KH·KW, N·OH·OW)
        rows = y.swapaxes(0, 1).reshape((groups, o // groups, n * oh * ow))  # (N, O, …) → (G, O/G, N·OH·OW)
        return (rows @ cols.swapaxes(1, 2)).reshape((o, x.shape[1] // groups, *kernel))  # → (O, C/G, KH, KW)

    @staticmethod
    def keep(ctx: Any, w: Any, x: Any, y: Any, kernel: Pair, *options: Any) -> Any:
        ctx.saved = (x if ctx.needs(1) else None, y if ctx.needs(0) else None)
        ctx.options = x.shape[1:], y.shape[1:], *options
        return w

    @staticmethod
    def backward(ctx: Any, dw: Any) -> Any:
        (x, y), (image, _, *options) = ctx.saved, ctx.options
        dx = _run(ConvTranspose2d, y, dw, None, image[1:], *options) if ctx.needs(0) else None
        return dx, _run(Conv2d, x, dw, None, *options) if ctx.needs(1) else None
