"""Lab 5's networks: dense, convolutional, and convolutional with residual blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import minigrad
from minigrad import nn


class FCNet(nn.Module):
    """Images (N, C, H, W) as a list of pixels → hidden layers with ReLU → scores (N, classes).

    784-512-256-128-10 has 567,434 parameters, 3072-2048-1024-512-256-10 has 9,050,378.

    Args: inputs: C H W. hidden: the sizes of the hidden layers.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], classes: int = 10) -> None:
        super().__init__()
        sizes = [inputs, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(nn.Flatten(), *layers, nn.Linear(sizes[-1], classes))

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return self.layers(x)


class CNN(nn.Module):
    """Images (N, 1, 28, 28) → two convolutions, each with ReLU and max-pool → 128 → scores (N, 10).

    421,642 parameters, 401,536 of them between the last feature maps and the 128. Dropout comes before the scores.
    """

    def __init__(self, channels: int = 1, size: int = 28, classes: int = 10, dropout: float = 0.25) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),  # (N, 1, 28, 28) → (N, 32, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # → (N, 32, 14, 14)
            nn.Conv2d(32, 64, 3, padding=1),  # → (N, 64, 14, 14)
            nn.ReLU(),
            nn.MaxPool2d(2),  # → (N, 64, 7, 7)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64 * (size // 4) ** 2, 128),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(128, classes),
        )

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return self.classifier(self.features(x))


class ResidualBlock(nn.Module):
    """(N, inputs, H, W) → (N, outputs, H/stride, W/stride).

    f is conv 3×3, batch-norm, ReLU, conv 3×3, batch-norm. Batch-norm subtracts the mean, so convolutions need no bias.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential()  # x itself
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return nn.functional.relu(self.body(x) + self.shortcut(x))


class ResCNN(nn.Module):
    """Images (N, C, H, W) → a convolution and two residual blocks, all with batch-norm → scores (N, classes).

    The second block halves the image and doubles the channels; then the mean of `pool` × `pool` parts of the image is
    taken, whatever its size. 108,042 parameters for (1, 28, 28) and a pool of 7, 87,498 for (3, 32, 32) and one of 4.
    """

    def __init__(self, channels: int, pool: int, classes: int = 10, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.block1 = ResidualBlock(32, 32)  # (N, 32, H, W) → the same
        self.block2 = ResidualBlock(32, 64, stride=2)  # → (N, 64, H/2, W/2)
        self.pool = nn.AdaptiveAvgPool2d(pool)  # → (N, 64, pool, pool)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(64 * pool**2, classes))

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return self.classifier(self.pool(self.block2(self.block1(self.stem(x)))))
