"""The transforms as objects, to be chained by Compose; names and reprs are torchvision's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..random import default_generator
from ..tensor import Tensor
from . import functional as F
from ._image import check_image, height_width, pair
from ._resize import InterpolationMode


class Compose:
    """Transforms one after another: `Compose([f, g])(x) = g(f(x))`."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        for i, t in enumerate(transforms):
            if not callable(t):
                raise TypeError(f"Compose: transforms[{i}] is a {type(t).__name__}, which cannot be called")
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for t in self.transforms:
            img = t(img)
        return img

    def __repr__(self) -> str:
        inner = "".join(f"\n    {t}" for t in self.transforms)
        return f"Compose({inner}\n)"


class Lambda:
    """Any function as a transform."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Lambda: lambd is a {type(lambd).__name__}; expected a function")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


class ToTensor:
    """A PIL image or bytes (H, W[, C]) as a float tensor (C, H, W), 0 … 1. See `functional.to_tensor`."""

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor:
    """A PIL image as a tensor (C, H, W), values unchanged. See `functional.pil_to_tensor`."""

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return "PILToTensor()"


class ToPILImage:
    """A tensor (C, H, W) or an array (H, W, C) as a PIL image. See `functional.to_pil_image`."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return "ToPILImage()" if self.mode is None else f"ToPILImage(mode={self.mode})"


class ConvertImageDtype:
    """Another dtype, and its range with it. See `functional.convert_image_dtype`."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __call__(self, image: Tensor) -> Tensor:
        return F.convert_image_dtype(image, self.dtype)

    def __repr__(self) -> str:
        return "ConvertImageDtype()"


class Normalize:
    """y = (x − mean) / std by channel, for float tensors (…, C, H, W). See `functional.normalize`."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def __call__(self, tensor: Tensor) -> Tensor:
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Pad:
    """Widen the image on its sides. See `functional.pad`."""

    def __init__(self, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> None:
        F.sides(padding)
        if padding_mode not in F.PADDING_MODES:
            raise ValueError(f"Pad: padding_mode = {padding_mode!r}; expected one of {', '.join(F.PADDING_MODES)}")
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def __call__(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return f"Pad(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class Resize:
    """Scale the image to (height, width), or its shorter edge to one number. See `functional.resize`."""

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        F.resized_size((1, 1), size)
        self.size = size
        self.interpolation = interpolation
        self.max_size = max_size
        self.antialias = antialias

    def __call__(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"Resize(size={self.size}, interpolation={self.interpolation.value}, max_size={self.max_size}, "
            f"antialias={self.antialias})"
        )


class CenterCrop:
    """The middle of the image. See `functional.center_crop`."""

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = pair("CenterCrop", "size", size)

    def __call__(self, img: Any) -> Any:
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


class RandomCrop:
    """A window of (height, width) = size at a random place, all places equally likely.

    Args:
        padding: widen the image first, as `functional.pad` takes it.
        pad_if_needed: widen an image that is smaller than size by what is missing, on both sides.
        fill, padding_mode: how to widen.
    Place from minigrad's default generator; a batch is cut at one place. Raises ValueError where the image is
    too small.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = pair("RandomCrop", "size", size)
        if padding is not None:
            F.sides(padding)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """A random window (top, left, height, width) of the image."""
        (h, w), (height, width) = height_width(img), output_size
        if h < height or w < width:
            raise ValueError(
                f"RandomCrop: the image is {h} by {w}, smaller than size = {(height, width)}; set padding or "
                "pad_if_needed=True"
            )
        if (h, w) == (height, width):
            return 0, 0, h, w
        numbers = default_generator()._numpy
        return int(numbers.integers(h - height + 1)), int(numbers.integers(w - width + 1)), height, width

    def __call__(self, img: Any) -> Any:
        check_image("RandomCrop", img)
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            h, w = height_width(img)
            missing = [max(self.size[1] - w, 0), max(self.size[0] - h, 0)]
            if any(missing):
                img = F.pad(img, missing, self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size}, padding={self.padding})"


class _RandomFlip:
    """Flip with probability p, by minigrad's default generator; a batch is flipped as a whole."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p = {p}; expected a probability between 0 and 1")
        self.p = p

    def __call__(self, img: Any) -> Any:
        check_image(type(self).__name__, img)
        return self._flip(img) if default_generator()._numpy.random() < self.p else img

    def _flip(self, img: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomHorizontalFlip(_RandomFlip):
    """Mirror left and right with probability p. See `functional.hflip`."""

    def _flip(self, img: Any) -> Any:
        return F.hflip(img)


class RandomVerticalFlip(_RandomFlip):
    """Mirror top and bottom with probability p. See `functional.vflip`."""

    def _flip(self, img: Any) -> Any:
        return F.vflip(img)
