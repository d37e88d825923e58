"""Dropout: of elements, and of whole channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...tensor import Tensor
from .. import functional as F
from ..module import Module
from .arguments import probability


class _Dropout(Module):
    function: Callable[..., Any]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        probability(type(self).__name__, p=p)
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """While training, each element is zero with probability ``p`` and the others are divided by 1 − p.

    The division keeps the expected value: E[y] = p·0 + (1 − p)·x/(1 − p) = x. So in evaluation (``eval()``)
    nothing has to be done, and y = x. Any shape. Source: Srivastava et al. 2014.
    """

    function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """While training, whole channels of (N, C, L) or (C, L) are zero with probability ``p``, the others divided by
    1 − p. In evaluation y = x.

    Neighbours within a channel say nearly the same, so a dropped element is given away by the next one; a dropped
    channel is gone. Source: Tompson et al. 2015.
    """

    function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """While training, whole channels of (N, C, H, W) are zero with probability ``p``, the others divided by 1 − p.

    In evaluation y = x. Three axes are read as (N, C, L), with a warning, as in PyTorch. See :class:`Dropout1d`.
    """

    function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """While training, whole channels of (N, C, D, H, W) or (C, D, H, W) are zero with probability ``p``, the others
    divided by 1 − p. In evaluation y = x. See :class:`Dropout1d`."""

    function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """While training, each element is set to SELU's lowest value with probability ``p``, and the result scaled and
    shifted so that mean 0 and variance 1 stay as they were. In evaluation y = x. Any shape.

    Source: Klambauer et al. 2017; the equation stands at :func:`minigrad.nn.functional.alpha_dropout`.
    """

    function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """:class:`AlphaDropout` of whole channels: input (N, C, …), each channel kept or set as one."""

    function = staticmethod(F.feature_alpha_dropout)
