"""LeNet-5, and MNIST as it likes it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import labkit
import numpy as np

import minigrad
from minigrad import nn
from minigrad.datasets import MNIST, data_root
from minigrad.utils.data import TensorDataset

VALIDATION = 6000  # images at the start of the training set
CLASSES = [str(digit) for digit in range(10)]


class LeNet5(nn.Module):
    """Images of bytes (N, 1, 32, 32) → scores (N, 10); 61,706 parameters.

        conv 6@5×5 → 28×28, mean of 2×2 → 14×14, conv 16@5×5 → 10×10, mean of 2×2 → 5×5, 120, 84, 10, with tanh between

    Images stay bytes until they are needed, a quarter of the memory; ``scale`` makes numbers of them.
    Source: Y. LeCun et al., Gradient-based learning applied to document recognition, 1998, with ten outputs for softmax
    in place of radial basis functions, and all of the first map layer joined with the second.
    """

    def __init__(self, scale: float = 1 / 255) -> None:
        super().__init__()
        self.scale = scale
        self.layers = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 6, 5),  # (N, 1, 32, 32) → (N, 6, 28, 28)
                tanh1=nn.Tanh(),
                pool1=nn.AvgPool2d(2),  # → (N, 6, 14, 14)
                conv2=nn.Conv2d(6, 16, 5),  # → (N, 16, 10, 10)
                tanh2=nn.Tanh(),
                pool2=nn.AvgPool2d(2),  # → (N, 16, 5, 5)
                flatten=nn.Flatten(),  # → (N, 400)
                fc1=nn.Linear(400, 120),
                tanh3=nn.Tanh(),
                fc2=nn.Linear(120, 84),
                tanh4=nn.Tanh(),
                fc3=nn.Linear(84, 10),
            )
        )

    def forward(self, images: minigrad.Tensor) -> Any:
        return self.layers(images.float() * self.scale)


def initialise(model: nn.Module, how: str) -> None:
    """New weights: "glorot", uniform with zero biases; "wide", normal with a deviation of 1.5, biases of 1."""
    for name, parameter in model.named_parameters():
        if how == "glorot":
            nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.xavier_uniform_(parameter)
        else:
            nn.init.normal_(parameter, std=1.0 if name.endswith("bias") else 1.5)


@dataclass
class Digits:
    """Bytes (N, 1, 32, 32) and digits (N,) to learn from, to choose by and to be judged by."""

    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset
    kind: str  # "MNIST", or what stands in for it
    warning: str = ""


def load(data: str | None, quick: bool, seed: int, device: str = "cpu") -> Digits:
    """MNIST, padded from 28×28 to 32×32; with --quick a few of them or, where it is not at hand, a look-alike."""

    def both(root: Path, download: bool = False) -> list[MNIST]:
        return [MNIST(str(root), train, download=download) for train in (True, False)]

    if quick:
        try:
            sets = both(data_root(data))
        except RuntimeError:
            return look_alike(np.random.default_rng(seed), device)
    else:
        sets = labkit.fetched(both, data, "MNIST", "MNIST/raw/ with its four files")
    arrays = [(s.data.numpy(), s.targets.numpy()) for s in sets]
    if quick:
        arrays = [(images[:n], labels[:n]) for (images, labels), n in zip(arrays, (1400, 300), strict=True)]
    held = 200 if quick else VALIDATION
    (images, labels), test = arrays
    return Digits(
        _dataset(images[held:], labels[held:], device),
        _dataset(images[:held], labels[:held], device),
        _dataset(*test, device),
        "MNIST",
        "Only 1,200 images of MNIST are learned from." if quick else "",
    )


def look_alike(rng: np.random.Generator, device: str) -> Digits:
    """Noise over one blurred pattern per class: something to run on where there are no digits."""
    patterns = rng.uniform(0, 255, (10, 7, 7)).repeat(4, axis=1).repeat(4, axis=2)

    def made(count: int) -> TensorDataset:
        labels = rng.integers(0, 10, count)
        noisy = 0.6 * patterns[labels] + 0.4 * rng.uniform(0, 255, (count, 28, 28))
        return _dataset(noisy.astype(np.uint8), labels, device)

    warning = "MNIST is not at hand, so this runs on made-up images. No figure below is one of MNIST."
    return Digits(made(1200), made(200), made(300), "look-alike", warning)


def _dataset(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], device: str) -> TensorDataset:
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))[:, None]  # (N, 28, 28) → (N, 1, 32, 32)
    return TensorDataset(minigrad.tensor(padded, device=device), minigrad.tensor(labels, device=device))
