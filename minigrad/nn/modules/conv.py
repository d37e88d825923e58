"""Convolutions and their transposes as layers, and unfold and fold."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ...creation import empty
from ...errors import ShapeError
from ...ops.conv_functions import conv2d_activation, same_padding, transposed_size
from ...ops.unfold import integers
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from .arguments import naturals

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What the four layers share: their settings, their parameters and how these start."""

    axes: ClassVar[int]
    transposed: ClassVar[bool] = False
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name, axes = type(self).__name__, self.axes
        naturals(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if not groups or not out_channels:
            raise ValueError(f"{name}: groups and out_channels must be positive, got {groups} and {out_channels}")
        for argument, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name}: {argument} = {channels} is not divisible by {groups=}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = integers(name, "kernel_size", kernel_size, axes, 1)
        self.stride = integers(name, "stride", stride, axes, 1)
        self.dilation = integers(name, "dilation", dilation, axes, 1)
        self.output_padding = integers(name, "output_padding", output_padding, axes, 0)
        self.groups = groups
        modes = PADDING_MODES[:1] if self.transposed else PADDING_MODES
        if padding_mode not in modes:
            raise ValueError(f"{name}: padding_mode must be one of {', '.join(modes)}, got {padding_mode!r}")
        self.padding_mode = padding_mode
        self.padding: str | tuple[int, ...]
        if isinstance(padding, str) and not self.transposed:
            if padding not in ("same", "valid"):
                raise ValueError(f"{name}: padding must be 'same', 'valid' or integers, got {padding!r}")
            self.padding, both = padding, [(0, 0)] * axes
            if padding == "same":
                both = same_padding(name, self.kernel_size, self.stride, self.dilation)
        else:
            self.padding = integers(name, "padding", padding, axes, 0)
            both = [(p, p) for p in self.padding]
        self._frame = tuple(n for pair in reversed(both) for n in pair)  # as F.pad wants it: the last axis first
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (first, second // groups, *self.kernel_size)
        self.weight = Parameter(empty(*shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew: uniform in ±1/√fan_in, fan_in = weight.shape[1] · elements of the kernel."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        fan_in, _ = init.fans(self.weight)
        if self.bias is not None and fan_in:
            init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def extra_repr(self) -> str:
        none, bias = (0,) * self.axes, self.bias is not None
        optional = {  # name: (setting, default)
            "padding": (self.padding, none),
            "dilation": (self.dilation, (1,) * self.axes),
            "output_padding": (self.output_padding, none),
            "groups": (self.groups, 1),
            "bias": (bias, True),
            "padding_mode": (self.padding_mode, "zeros"),
        }
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        return ", ".join(parts + [f"{name}={value}" for name, (value, usual) in optional.items() if value != usual])


class _Direct(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            *(in_channels, out_channels, kernel_size, stride, padding, dilation, 0),
            *(groups, bias, padding_mode, device, dtype),
        )

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input within a frame of its own elements, if such is asked for, and the zeros that are still to come."""
        if self.padding_mode == "zeros":
            return input, self.padding
        return F.pad(input, self._frame, mode=self.padding_mode), 0


class _Transposed(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            *(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding),
            *(groups, bias, padding_mode, device, dtype),
        )

    def _output_padding(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """The ``output_padding`` that gives the output a size that was asked for."""
        if output_size is None:
            return self.output_padding
        name, axes = type(self).__name__, self.axes
        wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,)
        if len(wanted) == input.ndim:  # the whole shape
            wanted = wanted[-axes:]
        if len(wanted) != axes:
            raise ShapeError(
                f"{name}: output_size must give the last {axes} axes or all {input.ndim}, got {output_size}"
            )
        wanted = integers(name, "output_size", wanted, axes, 0)
        assert not isinstance(self.padding, str)
        least = transposed_size(tuple(input.shape[-axes:]), self.kernel_size, self.stride, self.padding, self.dilation)
        if any(not 0 <= n - m < s for n, m, s in zip(wanted, least, self.stride, strict=True)):
            most = tuple(m + s - 1 for m, s in zip(least, self.stride, strict=True))
            raise ShapeError(
                f"{name}: output_size {wanted} is out of reach: an input of shape {tuple(input.shape)} gives {least} "
                f"to {most}, (size − 1)·stride − 2·padding + dilation·(kernel_size − 1) + 1 and up to stride − 1 more"
            )
        return tuple(n - m for n, m in zip(wanted, least, strict=True))


class Conv1d(_Direct):
    """:class:`Conv2d` along one axis.

    Shapes: x (N, in_channels, L) → y (N, out_channels, OL), or both without N; weight
    (out_channels, in_channels/groups, K), bias (out_channels,). Source: torch.nn.Conv1d.
    """

    axes = 1

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._padded(input)
        return F.conv1d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Direct):
    """y[n, o, i, j] = bias[o] + Σ_{c, u, v} weight[o, c, u, v] · x[n, c, i s + u d − p, j s + v d − p].

    Shapes: x (N, in_channels, H, W) → y (N, out_channels, OH, OW), or both without N, with
    OH = ⌊(H + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1; weight (out_channels, in_channels/groups, KH,
    KW), bias (out_channels,).

    ``kernel_size``, ``stride``, ``padding`` and ``dilation`` are integers or pairs (rows, columns); ``padding`` may be
    "valid" (none) or "same" (an output of the input's size, with stride 1). ``padding_mode`` says what is in the frame:
    "zeros", or the image's own elements by "reflect", "replicate" or "circular" (see
    :func:`minigrad.nn.functional.pad`). With ``groups``, runs of output channels see runs of input channels.

    Weight and bias start uniform in ±1/√fan_in, fan_in = in_channels/groups · KH · KW, PyTorch's choice.
    Source: torch.nn.Conv2d.

    Raises:
        ValueError: settings that are out of range, or channels that ``groups`` does not divide.
        ShapeError: (when called) another number of channels, or a window larger than the padded image.
    """

    axes = 2

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._padded(input)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def with_activation(self, input: Tensor, name: str) -> Tensor:
        """f(self(input)) as one op, for Sequential. (On a GPU two kernels serve it better than none.)"""
        if getattr(input, "is_cuda", False):
            return getattr(F, name)(self.forward(input))
        x, padding = self._padded(input)
        return conv2d_activation(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups, name)


class ConvTranspose1d(_Transposed):
    """:class:`ConvTranspose2d` along one axis.

    Shapes: x (N, in_channels, L) → y (N, out_channels, OL), or both without N; weight
    (in_channels, out_channels/groups, K), bias (out_channels,). Source: torch.nn.ConvTranspose1d.
    """

    axes = 1

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        rest = self._output_padding(input, output_size)
        return F.conv_transpose1d(
            input, self.weight, self.bias, self.stride, self.padding, rest, self.groups, self.dilation
        )


class ConvTranspose2d(_Transposed):
    """The transpose of a convolution: each input element lays the kernel, times its value, onto the output.

    Shapes: x (N, in_channels, H, W) → y (N, out_channels, OH, OW), or both without N, with
    OH = (H − 1)·stride − 2·padding + dilation·(kernel_size − 1) + output_padding + 1; weight (in_channels,
    out_channels/groups, KH, KW), bias (out_channels,).

    A :class:`Conv2d` of the same settings maps the output's size back to the input's. With a stride several sizes do:
    ``output_padding``, or ``output_size`` in the call, picks one. Both start uniform in ±1/√fan_in, fan_in =
    out_channels/groups · KH · KW. Source: torch.nn.ConvTranspose2d.

    Raises:
        ValueError: settings that are out of range, channels that ``groups`` does not divide, or a ``padding_mode``
            other than "zeros".
        ShapeError: (when called) another number of channels, or an ``output_size`` that cannot be had.
    """

    axes = 2

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        rest = self._output_padding(input, output_size)
        return F.conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, rest, self.groups, self.dilation
        )


class _Windows(Module):
    """The settings that :class:`Unfold` and :class:`Fold` share."""

    _shown_in_repr = ("kernel_size", "dilation", "padding", "stride")

    def __init__(self, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> None:
        super().__init__()
        name = type(self).__name__
        integers(name, "kernel_size", kernel_size, 2, 1)
        integers(name, "dilation", dilation, 2, 1)
        integers(name, "padding", padding, 2, 0)
        integers(name, "stride", stride, 2, 1)
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride


class Unfold(_Windows):
    """The windows of images as columns, (N, C, H, W) → (N, C·KH·KW, L): :func:`minigrad.nn.functional.unfold`."""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__(kernel_size, dilation, padding, stride)

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(_Windows):
    """Columns summed into images, (N, C·KH·KW, L) → (N, C, H, W): :func:`minigrad.nn.functional.fold`."""

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        integers("Fold", "output_size", output_size, 2, 1)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"
