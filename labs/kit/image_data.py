"""MNIST and CIFAR-10 for labs 5 to 7: float pixels, standardised by channel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad.datasets import CIFAR10, MNIST, data_root
from minigrad.utils.data import TensorDataset

from .download import fetched

Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]

TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
CLASSES = {"mnist": [str(digit) for digit in range(10)], "cifar10": list(CIFAR10.classes)}
SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}  # (C, H, W)
BY_HAND = {
    "mnist": "MNIST/raw/ with its four files",
    "cifar10": "cifar-10-binary.tar.gz, or its folder cifar-10-batches-bin/,",
}
FULL = {"mnist": (60_000, 10_000), "cifar10": (50_000, 10_000)}  # images to learn from and to be judged by
QUICK = (256, 128)


@dataclass
class Images:
    """Standardised images (N, C, H, W) of float32 and their classes (N,), to learn from and to be judged by."""

    name: str  # "mnist" or "cifar10"
    train: TensorDataset
    test: TensorDataset
    kind: str  # "MNIST", "CIFAR-10", or what stands in for it
    warning: str = ""

    @property
    def classes(self) -> list[str]:
        return CLASSES[self.name]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return SHAPES[self.name]

    @property
    def complete(self) -> bool:
        """Whether these are all images of the real data set, so that figures may stand beside a reference."""
        return not self.warning


def load(name: str, data: str | None, quick: bool, seed: int, device: str = "cpu") -> Images:
    """A data set by its name; with --quick a few of its images or, where it is not at hand, a look-alike.

    It is read once: asked for again in the same way, the same images come. The seed is that of a look-alike.
    Ends the program with one message if files are missing or damaged.
    """
    return _load(name, data_root(data), quick, seed if quick else 0, device)


@lru_cache(maxsize=2)
def _load(name: str, root: Path, quick: bool, seed: int, device: str) -> Images:
    if quick:
        try:
            splits = _read(name, root)
        except RuntimeError:
            return _look_alike(name, np.random.default_rng(seed), device)
        except ValueError as error:
            raise SystemExit(f"error: {error}") from None
        splits = [(images[:n], labels[:n]) for (images, labels), n in zip(splits, QUICK, strict=True)]
    else:
        splits = fetched(lambda root, download: _read(name, root, download), str(root), TITLES[name], BY_HAND[name])
    counts = tuple(len(labels) for _, labels in splits)
    warning = ""
    if counts != FULL[name]:
        warning = (
            f"Only {counts[0]:,} images of {TITLES[name]} are learned from and {counts[1]:,} tested, instead of "
            f"{FULL[name][0]:,} and {FULL[name][1]:,}. No figure below is to be held against the report's."
        )
    return _standardised(name, splits, TITLES[name], warning, device)


def _read(name: str, root: Path, download: bool = False) -> list[Arrays]:
    """Bytes (N, C, H, W) and classes (N,) of the training and the test images."""
    if name == "mnist":
        digits = [MNIST(str(root), train, download=download) for train in (True, False)]
        return [(split.data.numpy()[:, None], split.targets.numpy()) for split in digits]
    things = [CIFAR10(root, train, download=download) for train in (True, False)]
    return [(split.data.transpose(0, 3, 1, 2), np.array(split.targets)) for split in things]


def _look_alike(name: str, rng: np.random.Generator, device: str) -> Images:
    """Noise over one blurred pattern per class: something to run on where there are no images."""
    channels, height, width = SHAPES[name]
    patterns = rng.uniform(0, 255, (10, channels, height // 4, width // 4)).repeat(4, axis=2).repeat(4, axis=3)
    splits = []
    for count in QUICK:
        labels = rng.integers(0, 10, count)
        noisy = 0.6 * patterns[labels] + 0.4 * rng.uniform(0, 255, (count, channels, height, width))
        splits.append((noisy.astype(np.uint8), labels))
    warning = (
        f"{TITLES[name]} is not at hand, so this runs on made-up images. No figure below is one of {TITLES[name]}."
    )
    return _standardised(name, splits, "look-alike", warning, device)


def _standardised(name: str, splits: list[Arrays], kind: str, warning: str, device: str) -> Images:
    """(x − mean) / std, both of the training images' channel, so that every channel is around 0 and about 1 wide."""
    pixels = splits[0][0]
    levels = np.arange(256)
    mean, scale = np.empty((2, pixels.shape[1], 1, 1), np.float32)
    for channel in range(pixels.shape[1]):
        share = np.bincount(pixels[:, channel].ravel(), minlength=256) / pixels[:, channel].size  # exact, no float copy
        mean[channel] = share @ levels
        scale[channel] = np.sqrt(share @ (levels - mean[channel].item()) ** 2)
    sets = []
    for images, labels in splits:
        x = images.astype(np.float32)
        x -= mean
        x /= scale
        sets.append(
            TensorDataset(minigrad.tensor(x, device=device), minigrad.tensor(labels.astype(np.int64), device=device))
        )
    return Images(name, sets[0], sets[1], kind, warning)
