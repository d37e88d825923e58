"""Lab 8's networks for a table: 11 features of a loan each."""

from __future__ import annotations

from collections.abc import Sequence

import minigrad
from minigrad import nn

FEATURES = 11


class SimpleNet(nn.Module):
    """(N, 11) → one logit each (N, 1). 8,769 parameters; without ReLU between them, two layers are as one."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, 32),
            nn.Linear(32, 128),
            nn.ReLU(),
            nn.Linear(128, 32),
            nn.Linear(32, 1),
        )

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return self.layers(x)


class Block(nn.Module):
    """(N, 128) → 512 → ReLU → (N, 128)."""

    def __init__(self, size: int = 128) -> None:
        super().__init__()
        self.up = nn.Linear(size, 4 * size)
        self.down = nn.Linear(4 * size, size)

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return self.down(self.up(x).relu())


class SkipBlock(nn.Module):
    """x + down(dropout(relu(up(bn(x))))): the block learns what to add to x, and gradients pass it by as well."""

    def __init__(self, dropout: float, size: int = 128) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(size)
        self.up = nn.Linear(size, 4 * size)
        self.dropout = nn.Dropout(dropout)
        self.down = nn.Linear(4 * size, size)

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return x + self.down(self.dropout(self.up(self.bn(x)).relu()))


class DeepNet(nn.Module):
    """(N, 11) → 128 → three blocks → one logit each (N, 1). 396,801 parameters, or 397,569 with SkipBlocks."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, 128)
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(128, 1)

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return self.last(self.blocks(self.first(x)))


def network(net: str, dropout: float = 0.0) -> nn.Module:
    """The network "simple", "deep" or "skip" of lab 8, with new weights; dropout is that of "skip"."""
    if net == "simple":
        return SimpleNet()
    if net == "deep":
        return DeepNet([Block() for _ in range(3)])
    if net == "skip":
        return DeepNet([SkipBlock(dropout) for _ in range(3)])
    raise ValueError(f"network: net is {net!r}, expected 'simple', 'deep' or 'skip'")
