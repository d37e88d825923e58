"""Data sets: the face of torchvision.datasets, and the place where data is looked for."""

from .cifar import CIFAR10, CIFAR100
from .fake import FakeData
from .folder import ImageFolder
from .mnist import MNIST, FashionMNIST
from .root import data_root
from .vision import VisionDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "VisionDataset",
    "data_root",
]


def __getattr__(name: str) -> object:
    raise AttributeError(f"minigrad.datasets has no {name!r}; it offers {', '.join(__all__)}")
