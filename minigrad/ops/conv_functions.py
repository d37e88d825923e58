"""Convolutions as users call them: arguments are read and checked here, the mathematics is in :mod:`minigrad.ops.conv`.

Sequences are images of one row here, and a single sample is a batch of one, so that one set of ops serves all.
"""

from __future__ import annotations

from typing import Any

from ..autograd.variable import Variable
from ..dtypes import of_array
from ..errors import DtypeError, ShapeError
from .common import require_floating, same_device
from .conv import Conv2d, ConvTranspose2d, ConvWeight2d
from .fused import Conv2dActivation
from .padding import pad
from .shape import squeeze, unsqueeze
from .unfold import Pair, Sizes, by, fit, integers, output_size

# --- arguments -------------------------------------------------------------------------------------------------------

_IMAGE = {1: "L", 2: "H, W"}
_WEIGHT = {1: "(O, C/groups, K)", 2: "(O, C/groups, KH, KW)"}
_TRANSPOSED_WEIGHT = {1: "(C, O/groups, K)", 2: "(C, O/groups, KH, KW)"}


def _operands(name: str, **tensors: Any) -> None:
    """Refuse what is no floating tensor, or differs in dtype or device from the first."""
    x: Any = getattr(next(iter(tensors.values())), "_array", None)
    for t in tensors.values():
        if not isinstance(t, Variable) or t._array.dtype is not x.dtype or t._array.__class__ is not x.__class__:
            break
    else:
        if x.dtype.kind == "f":
            return
    first, *_ = tensors  # something is wrong, and the rest is there to say what
    x = require_floating(tensors[first], name, first)._array
    for argument, t in tensors.items():
        a = require_floating(t, name, argument)._array
        if a.dtype != x.dtype:
            raise DtypeError(
                f"{name}: {argument} has dtype {of_array(a)} (shape {a.shape}), {first} {of_array(x)} (shape "
                f"{x.shape}); convert one of them with .to(dtype)"
            )
    same_device(name, **tensors)


def _weight(name: str, axes: int, shape: Sizes, argument: str, expected: dict[int, str]) -> None:
    if len(shape) != axes + 2 or not shape[0] or 0 in shape[2:]:
        raise ShapeError(
            f"{name}: {argument} must have axes {expected[axes]}, only the second may be 0, got shape {shape}"
        )


def _batched(name: str, axes: int, shape: Sizes) -> bool:
    if not 0 < len(shape) - axes < 3:
        raise ShapeError(
            f"{name}: input must have axes (N, C, {_IMAGE[axes]}) or (C, {_IMAGE[axes]}), got shape {shape}"
        )
    return len(shape) == axes + 2


def _divisor(name: str, groups: Any, shape: Sizes) -> int:
    """``groups`` as a positive integer that divides the first axis of a weight."""
    (count,) = integers(name, "groups", groups, 1, 1)
    if shape[0] % count:
        raise ShapeError(f"{name}: the first axis of weight (shape {shape}) is not divisible by {groups=}")
    return count


def _bias(name: str, bias: Any, outputs: int, shape: Sizes) -> None:
    if bias is not None and bias._array.shape != (outputs,):
        raise ShapeError(f"{name}: bias has shape {bias._array.shape}, weight of shape {shape} expects ({outputs},)")


def _settings(
    name: str, axes: int, x: Sizes, w: Sizes, stride: Any, padding: Any, dilation: Any, groups: Any
) -> tuple[Sizes, Sizes, Sizes, int, Sizes]:
    """(stride, padding, dilation, groups, output size) of a convolution of shapes x and w that fit together."""
    stride, dilation = integers(name, "stride", stride, axes, 1), integers(name, "dilation", dilation, axes, 1)
    padding, groups = integers(name, "padding", padding, axes, 0), _divisor(name, groups, w)
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
    stride, dilation = integers(name, "stride", stride, axes, 1), integers(name, "dilation", dilation, axes, 1)
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
    name: str, axes: int, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: Any,
    activation: str | None = None,
) -> Any:  # fmt: skip
    tensors = {"input": x, "weight": w} if b is None else {"input": x, "weight": w, "bias": b}
    _operands(name, **tensors)
    batched, shape = _batched(name, axes, x._array.shape), w._array.shape
    _weight(name, axes, shape, "weight", _WEIGHT)
    if isinstance(padding, str):
        x, padding = _named_padding(name, axes, x, shape[2:], stride, padding, dilation)
    stride, padding, dilation, groups, _ = _settings(
        name, axes, x._array.shape, shape, stride, padding, dilation, groups
    )
    _bias(name, b, shape[0], shape)
    if activation is not None:
        y = Conv2dActivation.apply(_images(2, x, batched), w, b, stride, padding, dilation, groups, activation)
        return _back(2, y, batched)
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


def conv2d_activation(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, activation: str
) -> Any:
    """f(conv2d(…)) of the same arguments as one op, f being "relu", "sigmoid" or "tanh"."""
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups, activation)


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
    _operands(name, **tensors)
    batched, shape, kernel = _batched(name, axes, x._array.shape), w._array.shape, w._array.shape[2:]
    _weight(name, axes, shape, "weight", _TRANSPOSED_WEIGHT)
    stride, dilation = integers(name, "stride", stride, axes, 1), integers(name, "dilation", dilation, axes, 1)
    padding, rest = (
        integers(name, "padding", padding, axes, 0),
        integers(name, "output_padding", output_padding, axes, 0),
    )
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
    _operands(name, weight=weight, grad_output=grad_output)
    _weight(name, axes, weight._array.shape, "weight", _WEIGHT)
    shape = integers(name, "input_size", input_size, axes + 2, 0)
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
    _operands(name, input=input, grad_output=grad_output)
    w, shape = integers(name, "weight_size", weight_size, axes + 2, 0), input._array.shape
    _weight(name, axes, w, "weight_size", _WEIGHT)
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
