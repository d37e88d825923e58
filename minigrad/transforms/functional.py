"""The transforms as functions: the same names as in torchvision.transforms.functional.

Geometric ones take a PIL image or a tensor (…, H, W), so a batch (N, C, H, W) as well, and give the same kind
back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ._image import check_image, height_width, is_pil, pair
from ._resize import InterpolationMode, resize_pil, resize_tensor
from .conversion import convert_image_dtype, normalize, pil_to_tensor, to_pil_image, to_tensor

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


def hflip(img: Any) -> Any:
    """Mirror left and right: y[…, i, j] = x[…, i, W − 1 − j]."""
    check_image("hflip", img)
    if is_pil(img):
        from PIL import Image

        return img.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return img.flip(-1)


def vflip(img: Any) -> Any:
    """Mirror top and bottom: y[…, i, j] = x[…, H − 1 − i, j]."""
    check_image("vflip", img)
    if is_pil(img):
        from PIL import Image

        return img.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return img.flip(-2)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The window of `height` rows from `top` and `width` columns from `left`; 0 outside the image."""
    check_image("crop", img)
    if is_pil(img):
        return img.crop((left, top, left + width, top + height))
    h, w = height_width(img)
    rows, above, below = _overlap(top, height, h)
    columns, before, after = _overlap(left, width, w)
    window = img[..., rows, columns]
    outside = (before, above, after, below)
    return pad(window, outside) if any(outside) else window


def _overlap(start: int, length: int, available: int) -> tuple[slice, int, int]:
    """What `length` places from `start` share with 0 … available; how many lie before it and after it."""
    first, last = min(max(start, 0), available), min(max(start + length, 0), available)
    before = min(max(-start, 0), length)
    return slice(first, last), before, length - (last - first) - before


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle of the image, (height, width) = output_size; a smaller image is padded with 0 around."""
    check_image("center_crop", img)
    height, width = pair("center_crop", "output_size", output_size)
    h, w = height_width(img)
    if width > w or height > h:
        more_w, more_h = max(width - w, 0), max(height - h, 0)
        img = pad(img, [more_w // 2, more_h // 2, (more_w + 1) // 2, (more_h + 1) // 2])
        h, w = height_width(img)
    return crop(img, round((h - height) / 2), round((w - width) / 2), height, width)


def pad(img: Any, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Widen the image.

    Args:
        padding: one number for all sides, (left and right, top and bottom), or (left, top, right, bottom).
        fill: the value of new pixels under "constant"; for PIL images also a tuple, one number a band.
        padding_mode: "constant"; "edge" repeats the outermost pixel; "reflect" mirrors without it
            (…cb|abc|ba…), "symmetric" with it (…ba|abc|cb…).
    Source: torchvision.transforms.functional.pad.
    """
    check_image("pad", img)
    left, top, right, bottom = sides(padding)
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"pad: padding_mode = {padding_mode!r}; expected one of {', '.join(PADDING_MODES)}")
    if padding_mode == "constant":
        if is_pil(img):
            from PIL import ImageOps

            colour = _colour(fill, len(img.getbands()))
            return ImageOps.expand(img, border=(left, top, right, bottom), fill=colour)
        if not isinstance(fill, (int, float)):
            raise TypeError(f"pad: fill = {fill!r} for a tensor; expected a single number")
        return nn.functional.pad(img, (left, right, top, bottom), value=fill)
    h, w = height_width(img)
    if padding_mode == "reflect" and (max(left, right) >= w or max(top, bottom) >= h):
        raise ValueError(
            f"pad: padding_mode 'reflect' by {padding!r} needs an image larger than that; it is {h} by {w}"
        )
    # Which row and column of the image each new row and column shows: NumPy pads the numbers 0 … H − 1 for
    # us.
    rows = np.pad(np.arange(h), (top, bottom), mode=padding_mode)  # type: ignore[call-overload]
    columns = np.pad(np.arange(w), (left, right), mode=padding_mode)  # type: ignore[call-overload]
    if is_pil(img):
        from PIL import Image

        widened = Image.fromarray(np.ascontiguousarray(np.asarray(img)[rows][:, columns]))
        if img.mode == "P":
            widened.putpalette(img.getpalette())
        return widened
    return img[..., rows, :][..., columns]


def _colour(fill: Any, bands: int) -> Any:
    """What PIL takes as a colour: a number for one band, else a tuple with a number for each."""
    numbers = (fill,) * bands if isinstance(fill, (int, float)) else tuple(fill)
    if len(numbers) != bands:
        raise ValueError(f"pad: fill = {fill!r} has {len(numbers)} numbers, the image {bands} bands")
    return numbers if bands > 1 else numbers[0]


def sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) from one, two or four numbers."""
    numbers = (padding,) if isinstance(padding, int) else tuple(padding)
    if len(numbers) not in (1, 2, 4) or any(not isinstance(n, (int, np.integer)) or n < 0 for n in numbers):
        raise ValueError(
            f"pad: padding = {padding!r}; expected one, two (left and right, top and bottom) or four (left, "
            "top, right, bottom) whole numbers, 0 or more"
        )
    if len(numbers) == 4:
        left, top, right, bottom = numbers
        return left, top, right, bottom
    return numbers[0], numbers[-1], numbers[0], numbers[-1]


def resize(
    img: Any,
    size: int | Sequence[int],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Scale the image to (height, width) = size; with a single number, the shorter edge to it, in proportion.

    PIL images go through PIL, which always averages over the pixels a new pixel covers. Tensors do the same
    under `antialias=True` (in floating point; integers are rounded at the end), so both give nearly equal
    images; without it, new pixels of a shrunken image look at their nearest neighbours only. Tensors know
    NEAREST, NEAREST_EXACT and BILINEAR. With `max_size` the longer edge stays at most that.
    Source: torchvision.transforms.functional.resize.
    """
    check_image("resize", img)
    if not isinstance(interpolation, InterpolationMode):
        raise TypeError(f"resize: interpolation = {interpolation!r}; expected a member of InterpolationMode")
    target = resized_size(height_width(img), size, max_size)
    if target == height_width(img):
        return img
    if is_pil(img):
        return resize_pil(img, target, interpolation)
    return resize_tensor(img, target, interpolation, bool(antialias))


def resized_size(current: tuple[int, int], size: int | Sequence[int], max_size: int | None = None) -> tuple[int, int]:
    """The (height, width) that `resize` gives an image of `current` size."""
    height, width = pair("resize", "size", size)
    if not isinstance(size, int) and len(size) == 2:
        if max_size is not None:
            raise ValueError(f"resize: max_size = {max_size} goes with a single number for size, not with {size!r}")
        return height, width
    short = height
    h, w = current
    long = int(short * max(h, w) / min(h, w))
    if max_size is not None:
        if max_size <= short:
            raise ValueError(f"resize: max_size = {max_size} must be larger than size = {size!r}, the shorter edge")
        if long > max_size:
            short, long = int(max_size * short / long), max_size
    return (short, long) if h <= w else (long, short)


__all__ = [
    "InterpolationMode",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "hflip",
    "normalize",
    "pad",
    "pil_to_tensor",
    "resize",
    "to_pil_image",
    "to_tensor",
    "vflip",
]
