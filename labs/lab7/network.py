"""Residual blocks: y = relu(f(x) + shortcut(x)), so that a block learns only what to add to x.

The shortcut is x itself or, where f changes the shape, a 1×1 convolution of it. Gradients pass through it unhindered:
dx = f'(x)ᵀ dz + dz with dz = dy [y > 0].   Source: K. He et al., Deep residual learning for image recognition, 2015.
"""

from __future__ import annotations

import minigrad
from minigrad import nn


class BasicBlock(nn.Module):
    """The first block, (N, channels, H, W) → the same: two convolutions 3×3. 4,704 parameters for 16 channels."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return nn.functional.relu(self.body(x) + x)


class BottleneckBlock(nn.Module):
    """The second block: convolutions 1×1, 3×3 and 1×1, through `middle` channels. 2,960 parameters for 16, 16.

    The 1×1 are to make the 3×3 cheap by giving it fewer channels. With 16 in the middle of 16, as in the reference
    report, nothing is narrowed; it has fewer parameters than the basic block because only one convolution is 3×3.
    """

    def __init__(self, channels: int = 16, middle: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, middle, 1),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, middle, 3, padding=1),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, channels, 1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return nn.functional.relu(self.body(x) + x)


class WideBlock(nn.Module):
    """The third block, (N, inputs, H, W) → (N, outputs, H, W): two convolutions 3×3 and a 1×1 shortcut.

    A wide block is one of more channels. That of the reference report has 4 of 16, so it is the narrowest of the three:
    812 parameters.
    """

    def __init__(self, inputs: int = 16, outputs: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return nn.functional.relu(self.body(x) + self.shortcut(x))


class BlockNet(nn.Module):
    """A block under test: images (N, 1, 28, 28) → conv 16, stride 2, ReLU → block → mean over the image → scores."""

    def __init__(self, block: nn.Module, outputs: int = 16, channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 16, 3, stride=2, padding=1), nn.ReLU())  # → (N, 16, 14, 14)
        self.block = block  # → (N, outputs, 14, 14)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(outputs, classes))

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return self.head(self.block(self.stem(x)))
