"""The networks whose graphs are drawn."""

from __future__ import annotations

import pytest

import minigrad
from minigrad import nn


@pytest.fixture
def xor():
    minigrad.manual_seed(0)
    x = minigrad.rand(50, 2)
    model = nn.Sequential(nn.Linear(2, 16), nn.GELU(), nn.Linear(16, 1))
    return model, x, (x[:, :1] > 0.5).float()


class Block(nn.Module):
    """One convolution called twice, and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(self.conv(x).tanh())) + x


@pytest.fixture
def residual():
    minigrad.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), Block(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 3))
    return model, minigrad.randn(5, 1, 6, 6), minigrad.tensor([0, 1, 2, 0, 1])
