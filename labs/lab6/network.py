"""Lab 6: networks that differ in one thing only, the size of their kernels or their depth.

All keep the size of the image up to the end, where its mean, one number for each channel, goes into a linear layer.
"""

from __future__ import annotations

from itertools import pairwise

import minigrad
from minigrad import nn


class _PooledCNN(nn.Module):
    """Feature maps (N, channels, H, W) of `features` → their means (N, channels) → scores (N, classes)."""

    def __init__(self, features: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return self.head(self.features(x))


def convolutions(channels: list[int], kernels: list[int]) -> nn.Sequential:
    """Convolutions that keep the size of the image, each with ReLU, from channels[i] to channels[i + 1]."""
    layers: list[nn.Module] = []
    for (inputs, outputs), kernel in zip(pairwise(channels), kernels, strict=True):
        layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU()]
    return nn.Sequential(*layers)


class KernelSizeCNN(_PooledCNN):
    """Two convolutions K×K of ⌊32 (3/K)²⌋ channels: 32, 11 and 5 for K = 3, 5 and 7.

    The first has about the same number of weights whatever K is, the second fewer with a larger K.
    """

    def __init__(self, channels: int, kernel: int, classes: int = 10) -> None:
        width = int(32 * (3 / kernel) ** 2)
        super().__init__(convolutions([channels, width, width], [kernel, kernel]), width, classes)


class MixedKernelCNN(_PooledCNN):
    """A convolution 1×1, which mixes the channels of a pixel, then one of 3×3; 32 channels."""

    def __init__(self, channels: int, classes: int = 10) -> None:
        super().__init__(convolutions([channels, 32, 32], [1, 3]), 32, classes)


class DepthCNN(_PooledCNN):
    """`depth` convolutions 3×3 of 32 channels."""

    def __init__(self, channels: int, depth: int, classes: int = 10) -> None:
        super().__init__(convolutions([channels] + depth * [32], depth * [3]), 32, classes)


class PlainResidualBlock(nn.Module):
    """(N, channels, H, W) → the same shape, without batch-norm. f is conv 3×3, ReLU, conv 3×3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return nn.functional.relu(self.body(x) + x)


class ResNetLike(_PooledCNN):
    """A convolution 3×3 of 32 channels and three residual blocks without batch-norm: seven convolutions in all."""

    def __init__(self, channels: int, classes: int = 10) -> None:
        stem = nn.Sequential(nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU())
        super().__init__(nn.Sequential(stem, *[PlainResidualBlock(32) for _ in range(3)]), 32, classes)
