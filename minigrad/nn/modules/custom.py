"""Layers that PyTorch has not: those that the students of lab 7 made themselves.

They stand among the other layers because they are used as these are, in a ``Sequential`` and with a ``state_dict``,
and a student who looks for an attention layer or an activation looks in ``nn``.
"""

from __future__ import annotations

from typing import Any

from ...errors import ShapeError
from ...ops.shape import cat
from ...tensor import Tensor
from .. import functional as F
from ..module import Module
from .conv import Conv2d


class NormalizedSwish(Module):
    """y = s / max|s|, s = x σ(x), the maximum over the whole tensor; what flows back is divided by its maximum too.

    Any shape. Outputs lie in [−1, 1], and so does what is handed back, which is deliberately **not** the gradient:
    gradcheck refuses this layer. The derivation, and why, stand at :class:`minigrad.ops.custom.NormalizedSwish`. Since
    the maximum is over the batch as well, a sample's output depends on its neighbours in the batch.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.normalized_swish(input)


class SpatialAttention(Module):
    """Each pixel of an image weighted by an attention map: (N, C, H, W) or (C, H, W) → the same shape.

        y = x ⊙ a,   a = σ(k ∗ [mean_c x; max_c x] + b)        a: (N, 1, H, W)

    The mean and the maximum over the channels measure how strong the features of each pixel are. A
    convolution of both with a kernel k (1, 2, K, K) looks at the surroundings, and σ turns the result into a weight
    between 0 and 1 that multiplies all channels alike. With K = 7 and a bias that makes 99 parameters.

    Backward, each step has its own rule: with da = Σ_c dy ⊙ x and dz = da ⊙ a (1 − a), the convolution's rule gives
    the gradients of mean and maximum, dm and dM, and

        dx = dy ⊙ a + dm / C + [c is the first channel with the maximum] dM.

    Source: the spatial half of Woo et al. 2018 (CBAM), with a bias and without batch-norm.

    Args:
        kernel_size: K, odd, so that the image keeps its size.
        bias: whether b is there.

    Raises:
        ValueError: a ``kernel_size`` that is not odd.
        ShapeError: (when called) an input with neither 3 nor 4 axes, or without channels.
    """

    def __init__(self, kernel_size: int = 7, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        if isinstance(kernel_size, bool) or not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"SpatialAttention: kernel_size must be a positive odd integer, got {kernel_size!r}")
        self.conv = Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4) or input.shape[-3] == 0:
            raise ShapeError(
                f"SpatialAttention: expected input (N, C, H, W) or (C, H, W) with channels, got shape "
                f"{tuple(input.shape)}"
            )
        mean = input.mean(-3, keepdim=True)  # (N, 1, H, W)
        strongest = input.max(-3, keepdim=True).values  # (N, 1, H, W)
        attention = self.conv(cat([mean, strongest], -3)).sigmoid()  # (N, 2, H, W) → (N, 1, H, W)
        return input * attention
