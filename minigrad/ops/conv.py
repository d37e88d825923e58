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
"""

from __future__ import annotations

from typing import Any

from ..autograd.function import Op
from ..autograd.variable import Variable, namespace
from ..dtypes import of_array
from ..errors import DtypeError, ShapeError
from .common import require_floating, same_device
from .padding import pad
from .shape import squeeze, unsqueeze
from .unfold import Pair, Sizes, by, fit, output_size, whole, windows


def columns(x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> tuple[Any, Pair]:
    """Each window as a column, group by group: (N, C, H, W) → (G, C/G·KH·KW, N·OH·OW), and (OH, OW)."""
    n, c, h, w = x.shape
    x = x.reshape((n, groups, c // groups, h, w))  # (N, C, H, W) → (N, G, C/G, H, W)
    view = windows(x, kernel, stride, padding, dilation)  # → (N, G, C/G, KH, KW, OH, OW)
    view = view.transpose((1, 2, 3, 4, 0, 5, 6))  # → (G, C/G, KH, KW, N, OH, OW)
    (kh, kw), (oh, ow) = kernel, view.shape[5:]
    return view.reshape((groups, c // groups * kh * kw, n * oh * ow)), (oh, ow)  # the copy happens here


def turned(w: Any, groups: int) -> Any:
    """The kernel as the way back needs it: flipped, in- and outputs exchanged: (O, C/G, KH, KW) → (C, O/G, KH, KW)."""
    o, c, kh, kw = w.shape
    w = w[:, :, ::-1, ::-1].reshape((groups, o // groups, c, kh, kw))  # (O, C/G, KH, KW) → (G, O/G, C/G, KH, KW)
    return w.swapaxes(1, 2).reshape((groups * c, o // groups, kh, kw))  # → (G, C/G, O/G, KH, KW) → (C, O/G, KH, KW)


def spread(y: Any, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """z[i s + (k − 1) d − p] = y[i], zeros elsewhere, as long as the way back to ``size`` needs: H + (k − 1) d.

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


class Conv2d(Op, kernel="conv.conv2d"):
    """y = b + w ⋆ x: x (N, C, H, W), w (O, C/G, KH, KW), b (O) or None → y (N, O, OH, OW).

    dx = :class:`ConvTranspose2d` of (dy, w), dw = :class:`ConvWeight2d` of (x, dy), db = Σ dy; derived above.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, b: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
        ctx.saved = (x if ctx.needs(1) else None, w if ctx.needs(0) else None)
        ctx.sizes, ctx.options = (x.shape[2:], w.shape[2:]), (stride, padding, dilation, groups)
        return Conv2d.compute(x, w, b, *ctx.options)

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
    def backward(ctx: Any, dy: Any) -> Any:
        x, w = ctx.saved
        size, kernel = ctx.sizes
        dx = _run(ConvTranspose2d, dy, w, None, size, *ctx.options) if ctx.needs(0) else None
        dw = _run(ConvWeight2d, x, dy, kernel, *ctx.options) if ctx.needs(1) else None
        return dx, dw, dy.sum(axis=(0, 2, 3)) if ctx.needs(2) else None


class ConvTranspose2d(Op, kernel="conv.conv_transpose2d"):
    """The way back through a convolution, as a layer: x (N, O, OH, OW), w (O, C/G, KH, KW), b (C) → (N, C, H, W).

    Every x[i] lays a copy of the kernel, times its value, onto the output at i s − p, and the copies add up. As the dx
    of a convolution from ``size`` (H, W) to (OH, OW) it is linear in x and w, and the two rules lead home: dx is
    :class:`Conv2d` of (dy, w), dw :class:`ConvWeight2d` with dy as the image and x as the gradient of its output.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Any, w: Any, b: Any, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
    ) -> Any:
        ctx.saved = (x if ctx.needs(1) else None, w if ctx.needs(0) else None)
        ctx.sizes, ctx.options = (size, w.shape[2:]), (stride, padding, dilation, groups)
        return ConvTranspose2d.compute(x, w, b, size, *ctx.options)

    @staticmethod
    def compute(x: Any, w: Any, b: Any, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
        z = spread(x, size, w.shape[2:], stride, padding, dilation)
        return Conv2d.compute(z, turned(w, groups), b, (1, 1), (0, 0), dilation, groups)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, w = ctx.saved
        dx = _run(Conv2d, dy, w, None, *ctx.options) if ctx.needs(0) else None
        dw = _run(ConvWeight2d, dy, x, ctx.sizes[1], *ctx.options) if ctx.needs(1) else None
        return dx, dw, dy.sum(axis=(0, 2, 3)) if ctx.needs(2) else None


class ConvWeight2d(Op, kernel="conv.weight_gradient2d"):
    """The weight's gradient as an op: x (N, C, H, W), y (N, O, OH, OW) → w (O, C/G, KH, KW) with ``kernel`` (KH, KW).

    w[o, c, u, v] = Σ y[n, o, i, j] x[n, c, i s + u d − p, j s + v d − p]. Linear in both again: the gradient of x is
    :class:`ConvTranspose2d` of (y, dw), that of y is :class:`Conv2d` of (x, dw).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Any, y: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
    ) -> Any:
        ctx.saved = (x if ctx.needs(1) else None, y if ctx.needs(0) else None)
        ctx.sizes, ctx.options = (x.shape[2:], kernel), (stride, padding, dilation, groups)
        return ConvWeight2d.compute(x, y, kernel, *ctx.options)

    @staticmethod
    def compute(x: Any, y: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
        n, o, oh, ow = y.shape
        cols, _ = columns(x, kernel, stride, padding, dilation, groups)  # (G, C/G·KH·KW, N·OH·OW)
        rows = y.swapaxes(0, 1).reshape((groups, o // groups, n * oh * ow))  # (N, O, …) → (G, O/G, N·OH·OW)
        return (rows @ cols.swapaxes(1, 2)).reshape((o, x.shape[1] // groups, *kernel))  # → (O, C/G, KH, KW)

    @staticmethod
    def backward(ctx: Any, dw: Any) -> Any:
        x, y = ctx.saved
        dx = _run(ConvTranspose2d, y, dw, None, ctx.sizes[0], *ctx.options) if ctx.needs(0) else None
        return dx, _run(Conv2d, x, dw, None, *ctx.options) if ctx.needs(1) else None


# --- arguments -------------------------------------------------------------------------------------------------------

_IMAGE = {1: "L", 2: "H, W"}
_KERNEL = {1: "K", 2: "KH, KW"}


def _operands(name: str, axes: int, weight_axes: str, **tensors: Any) -> None:
    """Refuse what is no floating tensor, differs in dtype or device from the first one, or is no weight by its axes."""
    first, *_ = tensors
    x = require_floating(tensors[first], name, first)._array
    for argument, t in tensors.items():
        a = require_floating(t, name, argument)._array
        if a.dtype is not x.dtype and a.dtype != x.dtype:
            raise DtypeError(
                f"{name}: {argument} has dtype {of_array(a)} (shape {a.shape}), {first} {of_array(x)} (shape "
                f"{x.shape}); convert one of them with .to(dtype)"
            )
    same_device(name, **tensors)
    if "weight" in tensors:
        _ranks(name, axes, tensors["weight"]._array.shape, "weight", weight_axes)


def _ranks(name: str, axes: int, shape: Sizes, argument: str, expected: str) -> None:
    if len(shape) != axes + 2 or 0 in (shape[0], *shape[2:]):
        raise ShapeError(f"{name}: {argument} must have axes {expected}, only the second may be 0, got shape {shape}")


def _batched(name: str, axes: int, shape: Sizes) -> bool:
    if len(shape) not in (axes + 1, axes + 2):
        raise ShapeError(
            f"{name}: input must have axes (N, C, {_IMAGE[axes]}) or (C, {_IMAGE[axes]}), got shape {shape}"
        )
    return len(shape) == axes + 2


def _divisor(name: str, groups: Any, shape: Sizes) -> int:
    """``groups`` as a positive integer that divides the first axis of a weight."""
    (groups,) = whole(name, "groups", groups, 1, 1)
    if shape[0] % groups:
        raise ShapeError(f"{name}: the first axis of weight (shape {shape}) is not divisible by {groups=}")
    return groups


def _bias(name: str, bias: Any, outputs: int, shape: Sizes) -> None:
    if bias is not None and bias._array.shape != (outputs,):
        raise ShapeError(f"{name}: bias has shape {bias._array.shape}, weight of shape {shape} expects ({outputs},)")


def _settings(
    name: str, axes: int, x: Sizes, w: Sizes, stride: Any, padding: Any, dilation: Any, groups: Any
) -> tuple[Sizes, Sizes, Sizes, int, Sizes]:
    """(stride, padding, dilation, groups, output size) of a convolution of shapes x and w that fit together."""
    stride, dilation = whole(name, "stride", stride, axes, 1), whole(name, "dilation", dilation, axes, 1)
    padding, groups = whole(name, "padding", padding, axes, 0), _divisor(name, groups, w)
    if x[-axes - 1] != w[1] * groups:
        raise ShapeError(
            f"{name}: input has {x[-axes - 1]} channels (shape {x}), weight of shape {w} with {groups=} expects "
            f"{w[1]}·{groups} = {w[1] * groups}"
        )
    return stride, padding, dilation, groups, fit(name, x[-axes:], w[2:], stride, padding, dilation)


def _named_padding(
    name: str, axes: int, x: Any, kernel: Sizes, stride: Any, padding: str, dilation: Any
) -> tuple[Any, Sizes]:
    """("same", "valid") as numbers. What "same" wants on the far side only is added to x at once."""
    stride, dilation = whole(name, "stride", stride, axes, 1), whole(name, "dilation", dilation, axes, 1)
    if padding not in ("same", "valid"):
        raise ValueError(f"{name}: padding must be 'same', 'valid' or integers, got {padding!r}")
    if padding == "valid":
        return x, (0,) * axes
    both = same_padding(name, kernel, stride, dilation)
    if any(before != after for before, after in both):
        x = pad(x, [n for before, after in reversed(both) for n in (0, after - before)])
    return x, tuple([before for before, _ in both])


def same_padding(name: str, kernel: Sizes, stride: Sizes, dilation: Sizes) -> list[tuple[int, int]]:
    """(before, after) of each axis for an output of the input's size: d (k − 1) in all, the odd one after."""
    if max(stride) > 1:
        raise ShapeError(
            f"{name}: padding='same' keeps the size, which stride {stride} does not; use stride=1 or give the padding "
            "as integers"
        )
    return [(d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2) for k, d in zip(kernel, dilation, strict=True)]


def transposed_size(size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Sizes:
    """The smallest image whose convolution has an output of ``size``: (n − 1) s − 2p + d (k − 1) + 1."""
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple([(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in axes])


def _images(axes: int, x: Any, batched: bool = True) -> Any:
    """A sequence as an image of one row, (N, C, L) → (N, C, 1, L); a single sample as a batch of one."""
    if not batched:
        x = unsqueeze(x, 0)
    return x if axes == 2 else unsqueeze(x, 2)


def _back(axes: int, y: Any, batched: bool = True) -> Any:
    """:func:`_images` undone."""
    if axes == 1:
        y = squeeze(y, 2)
    return y if batched else squeeze(y, 0)


def _pair(values: Sizes, row: int) -> Pair:
    """(rows, columns); in an image of one row, windows of one row have nowhere to go: stride 1, padding 0."""
    return (values[0], values[1]) if len(values) == 2 else (row, values[0])


# --- the functions users call ----------------------------------------------------------------------------------------


def _convolve(
    name: str, axes: int, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    tensors = {"input": x, "weight": w} if b is None else {"input": x, "weight": w, "bias": b}
    _operands(name, axes, f"(O, C/groups, {_KERNEL[axes]})", **tensors)
    batched, shape = _batched(name, axes, x._array.shape), w._array.shape
    if isinstance(padding, str):
        x, padding = _named_padding(name, axes, x, shape[2:], stride, padding, dilation)
    stride, padding, dilation, groups, _ = _settings(
        name, axes, x._array.shape, shape, stride, padding, dilation, groups
    )
    _bias(name, b, shape[0], shape)
    if axes == 2 and batched:
        return Conv2d.apply(x, w, b, stride, padding, dilation, groups)
    x, w = _images(axes, x, batched), _images(axes, w)
    y = Conv2d.apply(x, w, b, _pair(stride, 1), _pair(padding, 0), _pair(dilation, 1), groups)
    return _back(axes, y, batched)


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """:func:`conv2d` along one axis: input (N, C, L) or (C, L), weight (O, C/groups, K) → (N, O, OL) or (O, OL).

    Source: torch.nn.functional.conv1d.
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """y[n, o, i, j] = b[o] + Σ_{c, u, v} w[o, c, u, v] · x[n, c, i s + u d − p, j s + v d − p].

    input (N, C, H, W) or (C, H, W), weight (O, C/groups, KH, KW), bias (O) or None → (N, O, OH, OW) or (O, OH, OW) with
    OH = ⌊(H + 2p − d (KH − 1) − 1) / s⌋ + 1. ``stride``, ``padding`` (zeros on both sides) and ``dilation`` are
    integers or pairs (rows, columns). ``padding`` may be "valid" (none) or "same" (an output of the input's size).

    Source: torch.nn.functional.conv2d.

    Raises:
        ShapeError: shapes or settings that do not fit together, or a window larger than the padded image.
        DtypeError: integers, or tensors of different dtypes.
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def _transpose(
    name: str,
    axes: int,
    x: Any,
    w: Any,
    b: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> Any:
    tensors = {"input": x, "weight": w} if b is None else {"input": x, "weight": w, "bias": b}
    _operands(name, axes, f"(C, O/groups, {_KERNEL[axes]})", **tensors)
    batched, shape, kernel = _batched(name, axes, x._array.shape), w._array.shape, w._array.shape[2:]
    stride, dilation = whole(name, "stride", stride, axes, 1), whole(name, "dilation", dilation, axes, 1)
    padding, rest = whole(name, "padding", padding, axes, 0), whole(name, "output_padding", output_padding, axes, 0)
    groups = _divisor(name, groups, shape)
    channels, size = x._array.shape[-axes - 1], x._array.shape[-axes:]
    if channels != shape[0] or not shape[1]:
        raise ShapeError(
            f"{name}: input has {channels} channels (shape {x._array.shape}), weight of shape {shape} takes {shape[0]} "
            f"and gives {shape[1]}·{groups}"
        )
    _bias(name, b, shape[1] * groups, shape)
    if any(r >= max(s, d) for r, s, d in zip(rest, stride, dilation, strict=True)):
        raise ShapeError(f"{name}: output_padding {rest} must be smaller than stride {stride} or dilation {dilation}")
    least = transposed_size(size, kernel, stride, padding, dilation)
    out = tuple([n + r for n, r in zip(least, rest, strict=True)])
    if min(size) < 1 or min(out) < 1:
        raise ShapeError(
            f"{name}: an input of {by(size)} gives an output of {by(out)}: (size − 1)·stride − 2·padding + "
            f"dilation·(kernel_size − 1) + output_padding + 1, with {stride=}, {padding=}, {dilation=}, "
            f"kernel_size={tuple(kernel)}, output_padding={rest}"
        )
    # The op wants the output size of the convolution that it turns round. With output_padding as large as the stride
    # (it may be, where the dilation is larger) that convolution has windows at its far end that x says nothing about.
    missing = [m - n for m, n in zip(output_size(out, kernel, stride, padding, dilation), size, strict=True)]
    if max(missing):
        x = pad(x, [n for m in reversed(missing) for n in (0, m)])
    options = _pair(out, 1), _pair(stride, 1), _pair(padding, 0), _pair(dilation, 1), groups
    return _back(axes, ConvTranspose2d.apply(_images(axes, x, batched), _images(axes, w), b, *options), batched)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """:func:`conv_transpose2d` along one axis: input (N, C, L) or (C, L), weight (C, O/groups, K) → (N, O, OL).

    Source: torch.nn.functional.conv_transpose1d.
    """
    return _transpose("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The transpose of :func:`conv2d`: each input element lays the kernel, times its value, onto the output.

    input (N, C, H, W) or (C, H, W), weight (C, O/groups, KH, KW), bias (O) or None → (N, O, OH, OW) or (O, OH, OW) with
    OH = (H − 1) s − 2p + d (KH − 1) + output_padding + 1. ``padding`` takes places off both ends of the output,
    ``output_padding`` adds some at its far end, where a convolution of this stride would have left a rest unread.

    Source: torch.nn.functional.conv_transpose2d.

    Raises:
        ShapeError: shapes or settings that do not fit together, or an output without elements.
        DtypeError: integers, or tensors of different dtypes.
    """
    return _transpose("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


# --- gradients as functions (minigrad.nn.grad) -----------------------------------------------------------------------


def gradient_of_input(
    name: str,
    axes: int,
    input_size: Any,
    weight: Any,
    grad_output: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> Any:
    """dx of a convolution along ``axes`` axes, from the shape of x, the weight and dy."""
    _operands(name, axes, f"(O, C/groups, {_KERNEL[axes]})", weight=weight, grad_output=grad_output)
    shape = whole(name, "input_size", input_size, axes + 2, 0)
    w, dy = weight._array.shape, grad_output._array.shape
    stride, padding, dilation, groups, out = _settings(name, axes, shape, w, stride, padding, dilation, groups)
    _expect(name, dy, (shape[0], w[0], *out))
    options = _pair(shape[2:], 1), _pair(stride, 1), _pair(padding, 0), _pair(dilation, 1), groups
    return _back(axes, ConvTranspose2d.apply(_images(axes, grad_output), _images(axes, weight), None, *options))


def gradient_of_weight(
    name: str,
    axes: int,
    input: Any,
    weight_size: Any,
    grad_output: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> Any:
    """dw of a convolution along ``axes`` axes, from x, the shape of the weight and dy."""
    _operands(name, axes, "", input=input, grad_output=grad_output)
    w, shape = whole(name, "weight_size", weight_size, axes + 2, 0), input._array.shape
    _ranks(name, axes, w, "weight_size", f"(O, C/groups, {_KERNEL[axes]})")
    if not _batched(name, axes, shape):
        raise ShapeError(f"{name}: input must have axes (N, C, {_IMAGE[axes]}), got shape {shape}")
    stride, padding, dilation, groups, out = _settings(name, axes, shape, w, stride, padding, dilation, groups)
    _expect(name, grad_output._array.shape, (shape[0], w[0], *out))
    options = _pair(w[2:], 1), _pair(stride, 1), _pair(padding, 0), _pair(dilation, 1), groups
    return _back(axes, ConvWeight2d.apply(_images(axes, input), _images(axes, grad_output), *options))


def _expect(name: str, dy: Sizes, expected: Sizes) -> None:
    if dy != expected:
        raise ShapeError(
            f"{name}: grad_output has shape {dy}, the output of this convolution {expected}, by "
            "⌊(size + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1"
        )
