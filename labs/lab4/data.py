"""MNIST for LeNet-5: padded to 32×32, with a validation set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kit.download import fetched

import minigrad
from minigrad.datasets import MNIST, data_root
from minigrad.utils.data import TensorDataset

VALIDATION = 6000  # images at the start of the training set
CLASSES = [str(digit) for digit in range(10)]


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
        sets = fetched(both, data, "MNIST", "MNIST/raw/ with its four files")
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
