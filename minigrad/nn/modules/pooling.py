"""Pooling layers. The equations and rules stand in :mod:`minigrad.ops.pooling`."""

from __future__ import annotations

from typing import Any

from ...ops.pooling import check_norm
from ...ops.pooling_windows import check_settings, sizes, stride_of
from ...tensor import Tensor
from .. import functional as F
from ..module import Module

Sizes = int | tuple[int, ...]
Outputs = int | None | tuple[int | None, ...]


class _MaxPool(Module):
    _shown_in_repr = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    count: int  # axes that windows slide over

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        check_settings(self._get_name(), self.count, kernel_size, stride, padding, dilation)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode


class MaxPool2d(_MaxPool):
    """The largest element of each window: (N, C, H, W) → (N, C, OH, OW), or without N.

    OH = ⌊(H + 2 padding − dilation (kernel_size − 1) − 1) / stride⌋ + 1, and OW likewise; ⌈⌉ with ``ceil_mode``, where
    the last window must start inside the input or its left padding. Settings are one integer or a pair (rows,
    columns); ``stride`` is ``kernel_size`` unless given. With ``return_indices`` the result is (values, indices), for
    :class:`MaxUnpool2d`. Source: torch.nn.MaxPool2d.
    """

    count = 2

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool1d(_MaxPool):
    """The largest element of each window: (N, C, L) → (N, C, OL), or without N. See :class:`MaxPool2d`."""

    count = 1

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class _Sized(Module):
    """Windows whose settings are kept as one number for each axis."""

    _shown_in_repr = ("kernel_size", "stride", "padding")
    count: int

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        name = self._get_name()
        check_settings(name, self.count, kernel_size, stride, padding)
        self.kernel_size = sizes(kernel_size, self.count, name, "kernel_size")
        self.stride = stride_of(stride, self.kernel_size, name)
        self.padding = sizes(padding, self.count, name, "padding")


class AvgPool2d(Module):
    """The mean of each window: (N, C, H, W) → (N, C, OH, OW), or without N.

    Sizes as for :class:`MaxPool2d`, without dilation. Padding is 0, and counts in the mean if ``count_include_pad``;
    ``divisor_override`` divides the sum by a number of its own. Source: torch.nn.AvgPool2d.
    """

    _shown_in_repr = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        check_settings("AvgPool2d", 2, kernel_size, stride, padding)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool1d(_Sized):
    """The mean of each window: (N, C, L) → (N, C, OL), or without N. See :class:`AvgPool2d`."""

    count = 1

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class _LPPool(Module):
    _shown_in_repr = ("norm_type", "kernel_size", "stride", "ceil_mode")
    count: int

    def __init__(
        self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        check_norm(self._get_name(), norm_type)
        check_settings(self._get_name(), self.count, kernel_size, stride)
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode


class LPPool2d(_LPPool):
    """(Σ |x|ᵖ)^(1/p) of each window, p = ``norm_type`` ≥ 1: (N, C, H, W) → (N, C, OH, OW), or without N.

    p = 1 is the sum of absolute values, p = ∞ the largest. The gradient of a window of zeros is 0. PyTorch sums xᵖ
    without the absolute value: the same for even p or x ≥ 0, else NaN or, for p = 1, the signed sum.
    Source: torch.nn.LPPool2d.
    """

    count = 2

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool2d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class LPPool1d(_LPPool):
    """(Σ |x|ᵖ)^(1/p) of each window: (N, C, L) → (N, C, OL), or without N. See :class:`LPPool2d`."""

    count = 1

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool1d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class _Adaptive(Module):
    """``output_size`` is one integer or a pair; None keeps the input's size."""

    _shown_in_repr = ("output_size",)

    def __init__(self, output_size: Outputs) -> None:
        super().__init__()
        self.output_size = output_size


class AdaptiveAvgPool2d(_Adaptive):
    """Means of windows that share the plane out over ``output_size`` outputs: (N, C, H, W) → (N, C, OH, OW).

    Window o of OH reads rows ⌊o H / OH⌋ to ⌈(o + 1) H / OH⌉ − 1, and columns likewise. ``AdaptiveAvgPool2d(1)`` is
    the mean of each channel. None keeps the input's size. Source: torch.nn.AdaptiveAvgPool2d.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool1d(_Adaptive):
    """Means of windows that share (N, C, L) out over ``output_size`` outputs. See :class:`AdaptiveAvgPool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Outputs, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool2d(_AdaptiveMax):
    """Maxima of windows that share the plane out over ``output_size`` outputs: (N, C, H, W) → (N, C, OH, OW).

    Windows as in :class:`AdaptiveAvgPool2d`; with ``return_indices`` the result is (values, indices).
    Source: torch.nn.AdaptiveMaxPool2d.
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMax):
    """Maxima of windows that share (N, C, L) out over ``output_size`` outputs. See :class:`AdaptiveMaxPool2d`."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class MaxUnpool2d(_Sized):
    """The values of a max pool at their indices, zeros elsewhere: (N, C, H, W) → (N, C, OH, OW), or without N.

    ``forward(input, indices, output_size=None)`` takes what ``MaxPool2d(…, return_indices=True)`` returned.
    OH = (H − 1) stride − 2 padding + kernel_size, unless ``output_size`` says which of the possible sizes it was.
    Source: torch.nn.MaxUnpool2d.
    """

    count = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(_Sized):
    """The values of a max pool at their indices: (N, C, L) → (N, C, OL). See :class:`MaxUnpool2d`."""

    count = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)
