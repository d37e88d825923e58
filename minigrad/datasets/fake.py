"""Noise in the form of a data set of images, to try a program without data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .vision import VisionDataset


class FakeData(VisionDataset):
    """Images of random bytes with random labels: sample i is the same each time, whatever was drawn in between.

    Args:
        size: how many there are.
        image_size: (channels, height, width); 1 or 3 channels.
        num_classes: labels are 0 … num_classes − 1.
        transform, target_transform: applied to the image (a PIL image) and to the label (an int).
        random_offset: added to the index before drawing, for another set of the same kind.
    Raises ValueError for sizes that make no image; IndexError beyond the end.
    Source: torchvision.datasets.FakeData; its numbers are others.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__("", transform=transform, target_transform=target_transform)
        if len(image_size) != 3 or image_size[0] not in (1, 3) or min(image_size) < 1:
            raise ValueError(f"FakeData: image_size must be (1 or 3 channels, height, width), got {image_size!r}")
        if size < 0 or num_classes < 1:
            raise ValueError(f"FakeData: size = {size!r} and num_classes = {num_classes!r} must be 0 and 1 at least")
        self.size = size
        self.image_size = image_size
        self.num_classes = num_classes
        self.random_offset = random_offset

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label), each after its transform."""
        from PIL import Image

        if not -self.size <= index < self.size:
            raise IndexError(f"FakeData: index {index} is out of range for {self.size} images")
        rng = np.random.default_rng([self.random_offset, index % self.size])
        channels, height, width = self.image_size
        pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
        return self._transformed(image, int(rng.integers(self.num_classes)))
