"""Training steps of the labs' convolutional networks, and of the tabular one with batch-norm, skips and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..libraries import Library
from .registry import Step, case
from .training import loan, normal, prepared, trainer


def classifier(
    lib: Library,
    model: Any,
    inputs: tuple[int, ...],
    classes: int,
    parameters: int | None = None,
    decay: float = 0.0,
) -> Step:
    """A step of a net on random images (N, C, H, W) of random classes: cross-entropy, Adam at 0.001."""
    model = prepared(lib, model, parameters)
    x, y = lib.tensor(normal(*inputs)), lib.tensor(np.random.default_rng(3).integers(0, classes, inputs[0]))
    criterion = lib.nn.CrossEntropyLoss()
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-3, weight_decay=decay)
    return trainer(lib, model, lambda x, y: criterion(model(x), y), optimizer, x, y)


def lenet(lib: Library, batch: int) -> Step:
    nn = lib.nn
    model = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )
    return classifier(lib, model, (batch, 1, 32, 32), 10, 61_706)


@case("training", "Lab 4, LeNet-5: 1×32×32, convolutions 6 and 16 (5×5), 120-84-10, batch 64, Adam")
def lenet_64(lib: Library) -> Step:
    return lenet(lib, 64)


@case("training", "Lab 4, LeNet-5, batch 128, Adam")
def lenet_128(lib: Library) -> Step:
    return lenet(lib, 128)


@case("training", "Lab 5, CNN: 1×28×28, convolutions 32 and 64 (3×3), 128-10, dropout, batch 64, Adam", random=True)
def mnist_cnn(lib: Library, drop: float = 0.25) -> Step:
    nn = lib.nn
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Dropout(drop), nn.Linear(128, 10)),
    )
    return classifier(lib, model, (64, 1, 28, 28), 10, 421_642)


@case("training", "Lab 5, ResCNN: 3×32×32, residual blocks of 32 and 64 with batch-norm, batch 64, Adam")
def res_cnn(lib: Library) -> Step:
    nn = lib.nn

    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        """relu(f(x) + shortcut(x)), f two 3×3 convolutions; the shortcut is x itself unless the shape changes."""

        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                *(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
                *(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)),
            )
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(self.body(x) + self.shortcut(x))

    model = nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        *(Residual(32, 32, 1), Residual(32, 64, 2)),
        *(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64 * 4 * 4, 10)),
    )
    return classifier(lib, model, (64, 3, 32, 32), 10, 87_498, decay=5e-4)


@case(
    "training",
    "Lab 9, SimpleCNN: 3×32×32, convolutions 64, 128, 256 with batch-norm, 512-5, dropout, batch 128, Adam",
    random=True,
)
def simple_cnn(lib: Library, drop: float = 0.5) -> Step:
    nn = lib.nn
    layers: list[Any] = []
    for inputs, outputs in ((3, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(256 * 4 * 4, 512), nn.ReLU(), nn.Dropout(drop), nn.Linear(512, 5)
    )
    return classifier(lib, model, (128, 3, 32, 32), 5, 2_471_941, decay=1e-4)


@case("training", "Lab 8, loans, deep with batch-norm, skips and dropout, batch 32, SGD", random=True)
def loan_skips(lib: Library, drop: float = 0.5) -> Step:
    nn = lib.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.BatchNorm1d(128), nn.Linear(128, 512), nn.ReLU(), nn.Dropout(drop), nn.Linear(512, 128)
            )

        def forward(self, x: Any) -> Any:
            return x + self.body(x)

    return loan(lib, [nn.Linear(11, 128), Block(), Block(), Block(), nn.Linear(128, 1)], 397_569)
