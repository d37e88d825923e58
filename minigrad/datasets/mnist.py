"""MNIST and Fashion-MNIST: 70,000 grey images of 28 by 28 in ten classes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..tensor import Tensor
from .download import fetch
from .idx import is_whole, read_idx
from .vision import VisionDataset


class MNIST(VisionDataset):
    """Handwritten digits: 60,000 to train, 10,000 to test.

    Args:
        root: the folder that holds `MNIST/raw/train-images-idx3-ubyte` and its three siblings, plain or as
            .gz.
        train: the training set, else the test set.
        transform, target_transform: applied to the image (a PIL image, mode L) and to the label (an int).
        download: get what is missing or cut short from the public archives, or from the archive beside it.
    Attributes: `data` (N, 28, 28) uint8, `targets` (N,) int64, `classes`, `class_to_idx`.
    Raises RuntimeError where the files are not there, ValueError where one is damaged.
    Source: torchvision.datasets.MNIST; Y. LeCun et al., Gradient-based learning applied to document
        recognition, 1998.
    """

    mirrors: ClassVar[list[str]] = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes: ClassVar[list[str]] = [
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ]

    data: Tensor
    targets: Tensor

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        images, labels = self._read()
        self.data, self.targets = Tensor._wrap(images), Tensor._wrap(labels.astype(np.int64))

    @property
    def raw_folder(self) -> str:
        """Where the four files lie."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """From a class's name to its label."""
        return {name: i for i, name in enumerate(self.classes)}

    def _find(self, archive: str) -> Path | None:
        """The file of a resource, plain if it was unpacked, else gzipped."""
        packed = Path(self.raw_folder, archive)
        return next((path for path in (packed.with_suffix(""), packed) if path.is_file()), None)

    def download(self) -> None:
        """Get the files that are not there yet, or cut short. They stay gzipped; reading unpacks them in memory.

        An unpacked file that is cut short gives way to the gzipped one beside it, or to a new one; of a gzipped one
        the rest is got.
        """
        for archive, md5 in self.resources:
            axes = 3 if "idx3" in archive else 1
            packed = Path(self.raw_folder, archive)
            plain = packed.with_suffix("")
            if plain.is_file() and is_whole(plain, axes):
                continue
            if packed.is_file() and not is_whole(packed, axes):
                packed.replace(packed.with_name(packed.name + ".part"))  # where fetch goes on
            if not packed.is_file():
                fetch([mirror + archive for mirror in self.mirrors], packed, md5=md5)
            plain.unlink(missing_ok=True)

    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        names = [archive for archive, _ in self.resources][0 if self.train else 2 :][:2]
        paths = [self._find(name) for name in names]
        missing = [name for name, path in zip(names, paths, strict=True) if path is None]
        if missing:
            raise RuntimeError(
                f"{type(self).__name__}: Dataset not found: {' and '.join(missing)} (or the same without "
                f".gz) not in {self.raw_folder}. Put the files there, or use download=True to get them from "
                f"{self.mirrors[0]}"
            )
        image_path, label_path = (path for path in paths if path is not None)
        images, labels = read_idx(image_path, 3), read_idx(label_path, 1)
        if len(images) != len(labels):
            raise ValueError(
                f"{image_path} has {len(images)} images, but {label_path} {len(labels)} labels; they are not of one set"
            )
        if labels.size and labels.max() >= len(self.classes):
            raise ValueError(f"{label_path} has a label {labels.max()}; expected 0 to {len(self.classes) - 1}")
        return images, labels

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label): a PIL image of mode L and an int, each after its transform."""
        from PIL import Image

        return self._transformed(Image.fromarray(self.data._array[index]), int(self.targets._array[index]))

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class FashionMNIST(MNIST):
    """Pictures of clothes in MNIST's format, under `root/FashionMNIST/raw`; else as MNIST.

    Source: torchvision.datasets.FashionMNIST; H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, 2017.
    """

    mirrors: ClassVar[list[str]] = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes: ClassVar[list[str]] = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]
