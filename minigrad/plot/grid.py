"""Images side by side in one tensor or file: ``torchvision.utils``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from ..autograd import no_grad
from ..creation import full
from ..ops.shape import cat, stack
from ..pixels import scaled_to_bytes
from ..tensor import Tensor


@no_grad()
def make_grid(
    tensor: Tensor | Sequence[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images in rows on one canvas (C, height, width); grey ones become three equal channels.

    With ⌈N / nrow⌉ rows the canvas is rows · (H + padding) + padding high; the width likewise, with the number of
    columns. A single image comes back as it is, without a frame.

    Args:
        tensor: (N, C, H, W), one image (C, H, W) or (H, W), or a list of images of one shape.
        nrow: how many images stand in a row, the largest number of columns.
        padding: pixels around and between the images.
        normalize: map values so that ``value_range`` becomes 0 … 1, clipped.
        value_range: (smallest, largest); those of all images, or of each with ``scale_each``, if None.
        pad_value: the value of the frame's pixels.
    Raises TypeError for other values than tensors, ValueError for other shapes and sizes.
    Source: torchvision.utils.make_grid.
    """
    images = _batch(tensor)
    if isinstance(nrow, bool) or not isinstance(nrow, int) or nrow < 1:
        raise ValueError(f"make_grid: nrow must be a positive integer, got {nrow!r}")
    if normalize:
        if value_range is not None and (not isinstance(value_range, tuple) or len(value_range) != 2):
            raise ValueError(f"make_grid: value_range must be a pair (smallest, largest), got {value_range!r}")
        images = stack([_rescaled(x, value_range) for x in images]) if scale_each else _rescaled(images, value_range)
    n, channels, height, width = images.shape
    if n == 1:
        return images[0]
    columns = min(nrow, n)
    high, wide = height + padding, width + padding
    grid = full(
        (channels, high * -(-n // columns) + padding, wide * columns + padding),
        pad_value,
        dtype=images.dtype,
        device=images.device,
    )
    for k in range(n):
        top, left = k // columns * high + padding, k % columns * wide + padding
        grid[:, top : top + height, left : left + width] = images[k]
    return grid


def save_image(
    tensor: Tensor | Sequence[Tensor], fp: str | os.PathLike[str] | IO[bytes], format: str | None = None, **kwargs: Any
) -> None:
    """Write images, values 0 … 1, into one picture file: byte = ⌊255 · value + ½⌋, clipped to 0 … 255.

    Args:
        tensor, kwargs: as for :func:`make_grid`, of any dtype.
        fp: a path or an open binary file.
        format: such as "png"; by the file's name if None.
    Raises OSError where the file cannot be written, ValueError where its name tells no format.
    Source: torchvision.utils.save_image.
    """
    from PIL import Image

    grid = make_grid(tensor, **kwargs)
    pixels = scaled_to_bytes(grid.numpy(force=True), 0.5).transpose(1, 2, 0)  # (C, H, W) → (H, W, C)
    Image.fromarray(np.ascontiguousarray(pixels)).save(fp, format=format)


def _batch(tensor: Tensor | Sequence[Tensor]) -> Tensor:
    """The images as (N, C, H, W) with three channels at least."""
    if isinstance(tensor, (list, tuple)) and tensor and all(isinstance(x, Tensor) for x in tensor):
        images = stack(list(tensor))
    elif isinstance(tensor, Tensor):
        images = tensor.detach()
    else:
        raise TypeError(f"make_grid: tensor is a {type(tensor).__name__}; expected a Tensor or a list of Tensors")
    if images.dim() not in (2, 3, 4) or not images.numel():
        raise ValueError(
            f"make_grid: tensor has shape {tuple(images.shape)}; expected (N, C, H, W), (C, H, W) or (H, W), not empty"
        )
    if images.dim() == 2:  # (H, W) → (1, H, W)
        images = images.unsqueeze(0)
    if images.dim() == 3:  # (C, H, W) → (1, C, H, W)
        images = images.unsqueeze(0)
    return cat([images] * 3, 1) if images.shape[1] == 1 else images


def _rescaled(images: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    images = images if images.is_floating_point() else images.float()  # the span of integers may not fit their dtype
    low, high = value_range or (images.min().item(), images.max().item())
    return (images.clamp(low, high) - low) / max(high - low, 1e-5)
