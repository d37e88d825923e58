"""Training steps of programs that no lab is: what students and engineers write besides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..libraries import Library
from .registry import Step, case
from .training import normal, prepared, trainer


@case("programs", "Graph convolution: 300 nodes, 64 → 32 → 16 classes, dense adjacency matrix, Adam")
def graph_convolution(lib: Library) -> Step:
    nn, F = lib.nn, lib.F
    rng = np.random.default_rng(3)
    edges = (rng.random((300, 300)) < 0.02).astype(np.float32)
    edges = np.maximum(np.maximum(edges, edges.T), np.eye(300, dtype=np.float32))
    degree = 1 / np.sqrt(edges.sum(1))
    adjacency = lib.tensor((degree[:, None] * edges * degree).astype(np.float32))
    model = prepared(lib, nn.ModuleList([nn.Linear(64, 32), nn.Linear(32, 16)]))
    x, y = lib.tensor(normal(300, 64)), lib.tensor(rng.integers(0, 16, 300))

    def loss_of(x: Any, y: Any) -> Any:
        hidden = F.relu(adjacency @ model[0](x))
        return F.nll_loss(F.log_softmax(adjacency @ model[1](hidden), dim=1), y)

    return trainer(lib, model, loss_of, lib.optim.Adam(model.parameters(), lr=0.01), x, y)


@case("programs", "Character MLP: 3 characters of 27, embedding of 10, 30-200-tanh-27, batch 32, SGD")
def character_mlp(lib: Library) -> Step:
    nn = lib.nn
    rng = np.random.default_rng(3)
    model = prepared(
        lib, nn.Sequential(nn.Embedding(27, 10), nn.Flatten(), nn.Linear(30, 200), nn.Tanh(), nn.Linear(200, 27))
    )
    x, y = lib.tensor(rng.integers(0, 27, (32, 3))), lib.tensor(rng.integers(0, 27, 32))
    criterion = nn.CrossEntropyLoss()
    return trainer(lib, model, lambda x, y: criterion(model(x), y), lib.optim.SGD(model.parameters(), lr=0.1), x, y)


@case("programs", "Two transformer blocks: 16 × 32 tokens, width 64, 4 heads, causal, MLP of 256, Adam")
def transformer_blocks(lib: Library) -> Step:
    nn, F = lib.nn, lib.F
    batch, time, width, heads = 16, 32, 64, 4
    rng = np.random.default_rng(3)
    mask = lib.tensor(np.triu(np.full((time, time), -np.inf, np.float32), 1))

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            parts = self.qkv(self.before(x)).reshape(batch, time, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            q, k, v = parts[0], parts[1], parts[2]
            scores = (q @ k.transpose(-2, -1)) / math.sqrt(width // heads) + mask
            heard = (F.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(batch, time, width)
            x = x + self.out(heard)
            return x + self.mlp(self.between(x))

    model = prepared(lib, nn.Sequential(nn.Embedding(64, width), Block(), Block(), nn.Linear(width, 64)))
    x, y = lib.tensor(rng.integers(0, 64, (batch, time))), lib.tensor(rng.integers(0, 64, batch * time))

    def loss_of(x: Any, y: Any) -> Any:
        return F.cross_entropy(model(x).reshape(batch * time, 64), y)

    return trainer(lib, model, loss_of, lib.optim.Adam(model.parameters(), lr=1e-3), x, y)


@case("programs", "MLP of 6 layers of 256 with batch-norm, ReLU and dropout, batch 128, Adam", random=True)
def deep_mlp(lib: Library, drop: float = 0.5) -> Step:
    nn = lib.nn
    layers: list[Any] = []
    for inputs in (64, 256, 256, 256, 256):
        layers += [nn.Linear(inputs, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(drop)]
    model = prepared(lib, nn.Sequential(*layers, nn.Linear(256, 10)))
    x, y = lib.tensor(normal(128, 64)), lib.tensor(np.random.default_rng(3).integers(0, 10, 128))
    criterion = nn.CrossEntropyLoss()
    return trainer(lib, model, lambda x, y: criterion(model(x), y), lib.optim.Adam(model.parameters(), lr=1e-3), x, y)


@case("programs", "Small ResNet: 3×32×32, blocks of 16, 32 and 64 with batch-norm, batch 32, SGD with momentum")
def small_resnet(lib: Library) -> Step:
    nn, F = lib.nn, lib.F

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
            self.side = nn.Identity()
            if stride != 1:
                self.side = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

        def forward(self, x: Any) -> Any:
            y = F.relu(self.norm1(self.conv1(x)))
            return F.relu(self.norm2(self.conv2(y)) + self.side(x))

    first = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    blocks = Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)
    model = prepared(lib, nn.Sequential(first, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)))
    x, y = lib.tensor(normal(32, 3, 32, 32)), lib.tensor(np.random.default_rng(3).integers(0, 10, 32))
    criterion = nn.CrossEntropyLoss()
    optimizer = lib.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return trainer(lib, model, lambda x, y: criterion(model(x), y), optimizer, x, y)
