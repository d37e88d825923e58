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

    def __init_subclass__(cls, axes: int | None = None, mode: str | None = None) -> None:
        super().__init_subclass__()
        if axes is not None:
            cls.axes = axes
        if mode is not None:
            cls.mode = mode

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


class ConstantPad1d(_ConstantPadding, axes=1):
    """A frame of ``value`` at the ends of the last axis: (…, W) → (…, left + W + right)."""


class ConstantPad2d(_ConstantPadding, axes=2):
    """A frame of ``value`` around the last two axes: (…, H, W) → (…, top + H + bottom, left + W + right)."""


class ConstantPad3d(_ConstantPadding, axes=3):
    """A frame of ``value`` around the last three axes."""


class ZeroPad1d(_Padding, axes=1):
    """Zeros at the ends of the last axis: (…, W) → (…, left + W + right)."""


class ZeroPad2d(_Padding, axes=2):
    """A frame of zeros around the last two axes: (…, H, W) → (…, top + H + bottom, left + W + right)."""


class ZeroPad3d(_Padding, axes=3):
    """A frame of zeros around the last three axes."""


class ReflectionPad1d(_Padding, axes=1, mode="reflect"):
    """The last axis mirrored at its ends, which are not repeated: d c b | a b c d | c b a. Widths below W."""


class ReflectionPad2d(_Padding, axes=2, mode="reflect"):
    """The last two axes mirrored at their ends, which are not repeated. Widths below H and W."""


class ReflectionPad3d(_Padding, axes=3, mode="reflect"):
    """The last three axes mirrored at their ends, which are not repeated. Widths below D, H and W."""


class ReplicationPad1d(_Padding, axes=1, mode="replicate"):
    """The ends of the last axis repeated: a a a | a b c d | d d d."""


class ReplicationPad2d(_Padding, axes=2, mode="replicate"):
    """The edge of the last two axes repeated, its corners in the corners."""


class ReplicationPad3d(_Padding, axes=3, mode="replicate"):
    """The faces of the last three axes repeated."""


class CircularPad1d(_Padding, axes=1, mode="circular"):
    """The last axis continued from its other end: b c d | a b c d | a b c. Widths up to W."""


class CircularPad2d(_Padding, axes=2, mode="circular"):
    """The last two axes continued from their other ends, as on a torus. Widths up to H and W."""


class CircularPad3d(_Padding, axes=3, mode="circular"):
    """The last three axes continued from their other ends. Widths up to D, H and W."""
