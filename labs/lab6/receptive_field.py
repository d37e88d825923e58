"""The receptive field of a network's feature maps: computed layer by layer, and measured by gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import minigrad
from minigrad import nn
from minigrad.nn.inspection.costs import Field, field_after, window_axes
from minigrad.training.probes import ReceptiveField, ReceptiveFieldProbe

IMAGES = 32  # random images to measure with
AROUND = 10  # pixels on each side of the middle that a picture shows


class Step(NamedTuple):
    """A layer with a window, and what its outputs see of the image: size pixels along each axis, jump apart."""

    name: str
    kernel: Any
    stride: Any
    dilation: Any
    size: tuple[int, ...]
    jump: tuple[int, ...]


def steps(features: nn.Module) -> list[Step]:
    """r ← r + d (k − 1) j and j ← j s, layer after layer in the order of their definition, from r = j = 1.

    That order is the longest path through the network. The shortcut of a residual block leads past some of it, so it
    adds nothing to what the block sees: a shortcut that is a layer of its own, in a module named `shortcut`, is left
    out. Raises ValueError for a layer behind which no field is defined, such as Flatten.
    """
    found: list[Step] = []
    seen = Field()
    for name, layer in _path(features):
        after = field_after(layer, seen)
        if after is None:
            raise ValueError(f"steps: behind {name}, a {type(layer).__name__}, no receptive field is defined")
        seen = after
        if window_axes(layer):
            settings: Any = layer
            stride = settings.kernel_size if settings.stride is None else settings.stride
            dilation = getattr(layer, "dilation", 1)
            found.append(Step(name, settings.kernel_size, stride, dilation, seen.size, seen.jump))
    return found


def _path(features: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, layer in features.named_modules():
        if not layer._modules and "shortcut" not in name.split("."):
            yield name, layer


def computed(features: nn.Module) -> tuple[int, ...]:
    """(height, width) of what one output of the last layer sees."""
    size = steps(features)[-1].size
    return size if len(size) == 2 else size * 2


def noise(shape: tuple[int, ...]) -> minigrad.Tensor:
    """Images to measure with, always the same: standard normal, as standardised pixels are."""
    random = np.random.default_rng(0).standard_normal((IMAGES, *shape))
    return minigrad.from_numpy(random.astype(np.float32))


def measured(features: nn.Module, images: minigrad.Tensor) -> ReceptiveField:
    """The field by gradients, see :class:`ReceptiveFieldProbe`."""
    device = next(features.parameters()).device
    return ReceptiveFieldProbe(features).measure(images.to(device))


def middle(gradients: Any, size: tuple[int, ...]) -> tuple[Any, tuple[float, float, float, float]]:
    """For a picture: the part of the map around the middle, and there the frame (top, left, height, width) of `size`.

    For networks that keep the size of the image, in which output and input have the same middle.
    """
    height, width = gradients.shape
    top, left = height // 2 - AROUND, width // 2 - AROUND
    cut = gradients[max(top, 0) : top + 2 * AROUND + 1, max(left, 0) : left + 2 * AROUND + 1]
    row, column = height // 2 - max(top, 0), width // 2 - max(left, 0)
    return cut, (row - (size[0] - 1) / 2, column - (size[1] - 1) / 2, size[0], size[1])
