"""Between PIL images, NumPy arrays and tensors, and between the ranges of their dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.modes import modes
from ..devices import array_module
from ..dtypes import as_dtype, float32, float64, get_default_dtype
from ..pixels import scaled_to_bytes
from ..tensor import Tensor
from ._image import is_pil

# dtype → PIL modes of one channel, the usual one first
_ONE_CHANNEL = {
    "uint8": ("L",),
    "int16": ("I;16",),
    "uint16": ("I;16",),
    "int32": ("I", "I;16"),
    "float32": ("F",),
}
_MODES = {1: ("L",), 2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}


def to_tensor(pic: Any) -> Tensor:
    """A PIL image or an array (H, W) or (H, W, C) as a tensor (C, H, W).

    Bytes 0 … 255 become floats 0 … 1 (x/255, in the default dtype); other dtypes keep their values. Greys of 16 bits
    (mode I;16) are int32, since no tensor is uint16.
    Source: torchvision.transforms.functional.to_tensor.
    """
    if not is_pil(pic) and not isinstance(pic, np.ndarray):
        raise TypeError(f"to_tensor: pic is a {type(pic).__name__}; expected a PIL image or a NumPy array (H, W[, C])")
    array = _channels_first(_pil_array(pic) if is_pil(pic) else _three_axes(pic))
    if array.dtype == np.uint8:
        dtype = get_default_dtype().numpy
        return Tensor._wrap(np.divide(array, dtype.type(255), dtype=dtype))
    as_dtype(array.dtype)  # refuses what no tensor can hold
    return Tensor._wrap(np.array(array, order="C"))


def pil_to_tensor(pic: Any) -> Tensor:
    """A PIL image as a tensor (C, H, W), values unchanged: uint8, int32 (modes I and I;16) or float32 (mode F).

    Source: torchvision.transforms.functional.pil_to_tensor, whose I;16 is uint16.
    """
    if not is_pil(pic):
        raise TypeError(f"pil_to_tensor: pic is a {type(pic).__name__}; expected a PIL image")
    return Tensor._wrap(np.array(_channels_first(_pil_array(pic)), order="C"))


def _pil_array(pic: Any) -> np.ndarray:
    """The pixels (H, W, C) of a PIL image."""
    array = np.asarray(pic)
    if pic.mode == "1":
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype.kind in "iu" and array.itemsize > 1:  # I and the kinds of I;16, in either order of bytes
        array = array.astype(np.int32)
    return array[:, :, None] if array.ndim == 2 else array


def _three_axes(pic: np.ndarray) -> np.ndarray:
    if pic.ndim not in (2, 3):
        raise ValueError(f"to_tensor: pic has shape {pic.shape}; expected (H, W) or (H, W, C)")
    return pic[:, :, None] if pic.ndim == 2 else pic


def _channels_first(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(2, 0, 1))  # (H, W, C) → (C, H, W)


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a PIL image.

    Floats are taken as 0 … 1 and become bytes (⌊255 x⌋, clipped to 0 … 255), unless mode is "F". `mode` names PIL's
    reading of the channels; by their number it is L, LA, RGB or RGBA (one channel: by dtype).
    Raises ValueError for a number of channels, a mode or values that do not fit, TypeError for a dtype that PIL does
    not know. Source: torchvision's to_pil_image.
    """
    from PIL import Image

    if isinstance(pic, Tensor):
        array = pic.numpy(force=True)
        if array.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: pic has shape {array.shape}; expected (H, W) or (C, H, W)")
        array = array.transpose(1, 2, 0) if array.ndim == 3 else array[:, :, None]
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: pic has shape {pic.shape}; expected (H, W) or (H, W, C)")
        array = pic if pic.ndim == 3 else pic[:, :, None]
    else:
        raise TypeError(f"to_pil_image: pic is a {type(pic).__name__}; expected a Tensor or a NumPy array")
    if array.dtype.kind == "f":
        array = array.astype(np.float32) if mode == "F" else scaled_to_bytes(array)
    channels = array.shape[2]
    if channels not in _MODES:
        raise ValueError(f"to_pil_image: pic has {channels} channels; an image has 1 to 4")
    if channels == 1:
        permitted: tuple[str, ...] = _ONE_CHANNEL.get(array.dtype.name, ())
    else:
        permitted = _MODES[channels] if array.dtype == np.uint8 else ()
    if not permitted:
        raise TypeError(f"to_pil_image: PIL has no image of {channels} channels of dtype {array.dtype}")
    if mode is not None and mode not in permitted:
        raise ValueError(
            f"to_pil_image: mode = {mode!r}; {channels} channels of dtype {array.dtype} are {' or '.join(permitted)}"
        )
    mode = mode or permitted[0]
    if mode == "I;16" and array.size and not 0 <= array.min() <= array.max() < 2**16:
        raise ValueError(f"to_pil_image: mode I;16 holds 0 … 65535, pic goes from {array.min()} to {array.max()}")
    native = np.dtype("<u2") if mode == "I;16" else array.dtype.newbyteorder("=")
    height, width = array.shape[:2]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(array, native).tobytes())


def normalize(tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """y = (x − mean) / std, channel by channel.

    Args: tensor (…, C, H, W), floating; mean and std, C numbers each (or one for all channels).
    Raises ValueError where a std is 0, TypeError for an integer tensor. Source: torchvision's normalize.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"normalize: the image is a {type(tensor).__name__}; expected a Tensor (ToTensor comes before Normalize)"
        )
    if not tensor.is_floating_point():
        raise TypeError(
            f"normalize: the image has dtype {tensor.dtype}; expected a floating one (ToTensor or ConvertImageDtype)"
        )
    if tensor.ndim < 3:
        raise ValueError(f"normalize: the image has shape {tuple(tensor.shape)}; expected (…, C, H, W)")
    xp = array_module(tensor.device)
    arrays = []
    for name, values in (("mean", mean), ("std", std)):
        numbers = np.asarray(values, dtype=tensor._array.dtype).reshape(-1)
        if len(numbers) not in (1, tensor.shape[-3]):
            raise ValueError(f"normalize: {name} has {len(numbers)} numbers, the image {tensor.shape[-3]} channels")
        if name == "std" and not numbers.all():
            raise ValueError(
                f"normalize: std = {list(values)} has a 0 in {tensor.dtype}, and the image is divided by it"
            )
        arrays.append(xp.asarray(numbers.reshape(-1, 1, 1)))  # (C,) → (C, 1, 1)
    if inplace:
        return tensor.sub_(Tensor._wrap(arrays[0])).div_(Tensor._wrap(arrays[1]))
    if modes.grad and tensor.requires_grad:
        return (tensor - Tensor._wrap(arrays[0])) / Tensor._wrap(arrays[1])
    y = tensor._array - arrays[0]
    y /= arrays[1]
    return Tensor._wrap(y)


def convert_image_dtype(image: Tensor, dtype: Any = None) -> Tensor:
    """Change the dtype and the range with it: floats span 0 … 1, integers 0 … their largest value.

    Floats outside 0 … 1 are clipped on the way to integers.

    Raises RuntimeError for float32 → int32 or int64 and float64 → int64, where large values would not
    survive.
    Source: torchvision.transforms.functional.convert_image_dtype.
    """
    target = get_default_dtype() if dtype is None else as_dtype(dtype)
    source = image.dtype
    if source == target or (source.is_floating_point and target.is_floating_point):
        return image.to(target)
    if source.is_floating_point:
        if target.itemsize >= 4 and (target.itemsize == 8 or source.itemsize <= 4):
            raise RuntimeError(
                f"convert_image_dtype: {source} cannot hold all values of {target}; convert by way of uint8"
            )
        wide = image.to(float64 if target.itemsize >= 4 else float32)  # float16 does not hold 255.999
        return (wide.clamp(0, 1) * (_largest(target) + 1 - 1e-3)).to(target)
    if target.is_floating_point:
        return image.to(target) / _largest(source)
    high, low = _largest(source), _largest(target)
    if high > low:
        return (image // ((high + 1) // (low + 1))).to(target)
    return image.to(target) * ((low + 1) // (high + 1))


def _largest(dtype: Any) -> int:
    return 1 if dtype.numpy.kind == "b" else int(np.iinfo(dtype.numpy).max)
