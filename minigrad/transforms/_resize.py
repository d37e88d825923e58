"""Resizing: PIL's own for its images, two matrix products for tensors."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from ..devices import array_module
from ..tensor import Tensor


class InterpolationMode(enum.Enum):
    """How a new pixel is made from the old ones. Tensors know the first three."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


def resize_pil(img: Any, size: tuple[int, int], mode: InterpolationMode) -> Any:
    """A PIL image scaled to (height, width)."""
    from PIL import Image

    name = "NEAREST" if mode is InterpolationMode.NEAREST_EXACT else mode.name
    return img.resize((size[1], size[0]), Image.Resampling[name])


def resize_tensor(img: Tensor, size: tuple[int, int], mode: InterpolationMode, antialias: bool) -> Tensor:
    """A tensor (…, H, W) scaled to (…, height, width); integers are computed in float32 and rounded."""
    h, w = img.shape[-2:]
    if mode in (InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT):
        shift = 0.5 if mode is InterpolationMode.NEAREST_EXACT else 0.0
        rows, columns = (
            np.floor((np.arange(n) + shift) * (m / n)).astype(np.int64) for n, m in zip(size, (h, w), strict=True)
        )
        return img[..., rows, :][..., columns]
    if mode is not InterpolationMode.BILINEAR:
        raise NotImplementedError(
            f"resize: {mode} for tensors is not part of minigrad; use BILINEAR, or resize a PIL image "
            "(ToPILImage) instead"
        )
    x = img if img.is_floating_point() else img.float()
    xp = array_module(img.device)
    down, across = (
        Tensor._wrap(xp.asarray(bilinear_weights(m, n, antialias), dtype=x._array.dtype))
        for n, m in zip(size, (h, w), strict=True)
    )
    y = down @ x @ across.T  # (height, H) @ (…, H, W) @ (W, width)
    return y if img.is_floating_point() else y.round().to(img.dtype)


def bilinear_weights(old: int, new: int, antialias: bool) -> np.ndarray:
    """The matrix (new, old) that scales a line of `old` pixels to `new`.

    New pixel i has its centre at c = (i + ½) · old/new on the old line, and old pixel j, with centre j + ½,
    weighs max(0, 1 − |j + ½ − c| / r), each row scaled to sum 1. r is 1, or, with antialias, old/new where
    the line shrinks, so that the triangle covers all that the new pixel stands for.
    """
    scale = old / new
    reach = max(scale, 1.0) if antialias else 1.0
    centres = (np.arange(new) + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centres[:, None])
    weights = np.maximum(0.0, 1.0 - distance / reach)
    return weights / weights.sum(axis=1, keepdims=True)
