"""What kinds of image there are, and their sizes."""

from __future__ import annotations

import sys
from typing import Any

from ..tensor import Tensor


def is_pil(img: Any) -> bool:
    """Whether this is a PIL image. Where PIL was not loaded there is none, and it stays unloaded."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(img, module.Image)


def check_image(op: str, img: Any) -> None:
    """Raise unless `img` is a PIL image or a tensor (…, H, W)."""
    if is_pil(img):
        return
    if not isinstance(img, Tensor):
        raise TypeError(f"{op}: the image is a {type(img).__name__}; expected a PIL image or a Tensor (…, H, W)")
    if img.ndim < 2:
        raise ValueError(f"{op}: the image has shape {tuple(img.shape)}; expected at least the two axes (…, H, W)")


def height_width(img: Any) -> tuple[int, int]:
    """The size (H, W) of a PIL image or a tensor (…, H, W)."""
    if is_pil(img):
        return int(img.height), int(img.width)
    return int(img.shape[-2]), int(img.shape[-1])


def pair(op: str, name: str, value: Any) -> tuple[int, int]:
    """(height, width) from one number (a square), a pair, or a list of one."""
    if isinstance(value, int) and not isinstance(value, bool):
        numbers: tuple[Any, ...] = (value, value)
    else:
        try:
            numbers = tuple(value)
        except TypeError:
            raise TypeError(f"{op}: {name} = {value!r}; expected a whole number or a pair (height, width)") from None
        if len(numbers) == 1:
            numbers = numbers * 2
    if len(numbers) != 2 or any(not isinstance(n, int) or n < 1 for n in numbers):
        raise ValueError(f"{op}: {name} = {value!r}; expected a whole number above 0 or a pair (height, width) of them")
    return numbers
