"""Padding layers: a frame around the last axes. Source of all: PyTorch's ``nn.ConstantPad1d`` and so on.

Widths go round from the last axis: (left, right) in 1d, (left, right, top, bottom) in 2d, (left, right, top, bottom,
front, back) in 3d; an integer stands for all of them. Shapes: 1d (C, W) or (N, C, W); 2d (C, H, W) or (N, C, H, W);
3d (C, D, H, W) or (N, C, D, H, W), where each padded axis grows by its two widths. Negative widths crop. What each
frame holds, and the rule of its gradient, is told by :func:`minigrad.nn.functional.pad`.
"""

from __future__ import annotations

import operator
from typing import Any, ClassVar

from ...tensor import Tensor
from .. import functional as F
from ..module import Module


class _Padding(Module):
    axes: ClassVar[int]
    mode: ClassVar[str] = "constant"

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        name, count = type(self).__name__, 2 * self.axes
        given: Any = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * count
        try:
            self.padding = tuple([operator.index(n) for n in given])
        except TypeError:
            raise TypeError(f"{name}: padding must be an integer or a tuple of {count}, got {padding!r}") from None
        if len(self.padding) != count:
            raise ValueError(
                f"{name}: padding must be an integer or {count} of them, two for each padded axis and the last axis "
                f"first; got {padding!r}"
            )

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadding(_Padding):
    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadding):
    """A frame of ``value`` at the ends of the last axis: (…, W) → (…, left + W + right)."""

    axes = 1


class ConstantPad2d(_ConstantPadding):
    """A frame of ``value`` around the last two axes: (…, H, W) → (…, top + H + bottom, left + W + right)."""

    axes = 2


class ConstantPad3d(_ConstantPadding):
    """A frame of ``value`` around the last three axes."""

    axes = 3


class ZeroPad1d(_Padding):
    """Zeros at the ends of the last axis: (…, W) → (…, left + W + right)."""

    axes = 1


class ZeroPad2d(_Padding):
    """A frame of zeros around the last two axes: (…, H, W) → (…, top + H + bottom, left + W + right)."""

    axes = 2


class ZeroPad3d(_Padding):
    """A frame of zeros around the last three axes."""

    axes = 3


class ReflectionPad1d(_Padding):
    """The last axis mirrored at its ends, which are not repeated: d c b | a b c d | c b a. Widths below W."""

    axes = 1
    mode = "reflect"


class ReflectionPad2d(_Padding):
    """The last two axes mirrored at their ends, which are not repeated. Widths below H and W."""

    axes = 2
    mode = "reflect"


class ReflectionPad3d(_Padding):
    """The last three axes mirrored at their ends, which are not repeated. Widths below D, H and W."""

    axes = 3
    mode = "reflect"


class ReplicationPad1d(_Padding):
    """The ends of the last axis repeated: a a a | a b c d | d d d."""

    axes = 1
    mode = "replicate"


class ReplicationPad2d(_Padding):
    """The edge of the last two axes repeated, its corners in the corners."""

    axes = 2
    mode = "replicate"


class ReplicationPad3d(_Padding):
    """The faces of the last three axes repeated."""

    axes = 3
    mode = "replicate"


class CircularPad1d(_Padding):
    """The last axis continued from its other end: b c d | a b c d | a b c. Widths up to W."""

    axes = 1
    mode = "circular"


class CircularPad2d(_Padding):
    """The last two axes continued from their other ends, as on a torus. Widths up to H and W."""

    axes = 2
    mode = "circular"


class CircularPad3d(_Padding):
    """The last three axes continued from their other ends. Widths up to D, H and W."""

    axes = 3
    mode = "circular"
