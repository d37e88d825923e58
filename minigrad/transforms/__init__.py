"""Image transforms: the face of torchvision.transforms, on PIL images, NumPy arrays and tensors.

Random transforms draw from minigrad's default CPU generator, so `minigrad.manual_seed` makes them repeat.
"""

from . import functional
from ._resize import InterpolationMode
from .transforms import (
    CenterCrop,
    Compose,
    ConvertImageDtype,
    Lambda,
    Normalize,
    Pad,
    PILToTensor,
    RandomCrop,
    RandomHorizontalFlip,
    RandomVerticalFlip,
    Resize,
    ToPILImage,
    ToTensor,
)

__all__ = [
    "CenterCrop",
    "Compose",
    "ConvertImageDtype",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomVerticalFlip",
    "Resize",
    "ToPILImage",
    "ToTensor",
    "functional",
]


def __getattr__(name: str) -> object:
    raise AttributeError(f"minigrad.transforms has no {name!r}; it offers {', '.join(__all__)}")
