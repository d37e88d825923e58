"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 by 32 in ten or a hundred classes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .cifar100_classes import CIFAR100_CLASSES
from .download import extract, fetch, sizes_in
from .limits import refuse_larger
from .restricted_pickle import read_batch
from .vision import VisionDataset

_PIXELS = 3 * 32 * 32


class CIFAR10(VisionDataset):
    """Ten classes of things and animals: 50,000 images to train, 10,000 to test.

    Args:
        root: the folder that holds `cifar-10-batches-bin/` (the binary version of the archive, which is
            preferred) or `cifar-10-batches-py/` (the pickled one, read without running anything), or the
            batch files themselves.
        train: the training set, else the test set.
        transform, target_transform: applied to the image (a PIL image, mode RGB) and to the label (an int).
        download: get the binary archive from the University of Toronto if the files are not there.
    Attributes: `data` (N, 32, 32, 3) uint8 array, `targets` list of int, `classes`, `class_to_idx`.
    Raises RuntimeError where the files are not there, ValueError where one is damaged.
    Source: torchvision.datasets.CIFAR10; A. Krizhevsky, Learning multiple layers of features from tiny
        images, 2009.
    """

    url: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    md5: ClassVar[str] = "c32a1d4ab5d03f1284b67883e8d87530"
    binary_folder: ClassVar[str] = "cifar-10-batches-bin"
    pickle_folder: ClassVar[str] = "cifar-10-batches-py"
    train_files: ClassVar[list[str]] = [f"data_batch_{i}" for i in range(1, 6)]
    test_files: ClassVar[list[str]] = ["test_batch"]
    label_bytes: ClassVar[int] = 1  # in a binary record, before the pixels; the last of them is the label
    label_key: ClassVar[str] = "labels"  # in a pickled batch
    classes: ClassVar[list[str]] = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]

    data: np.ndarray
    targets: list[int]

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
        files = self._find(self.train_files if train else self.test_files)
        if files is None:
            raise RuntimeError(self._not_found())
        parts = [self._read(path) for path in files]
        pixels = np.concatenate([pixels for pixels, _ in parts])
        self.targets = np.concatenate([labels for _, labels in parts]).tolist()
        # (N, C, H, W) → (N, H, W, C), as torchvision has it
        self.data = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """From a class's name to its label."""
        return {name: i for i, name in enumerate(self.classes)}

    def _find(self, names: list[str]) -> list[Path] | None:
        """The files of a split in the first folder that has any; RuntimeError if some are missing there."""
        for folder, suffix in (
            (self.binary_folder, ".bin"),
            ("", ".bin"),
            (self.pickle_folder, ""),
            ("", ""),
        ):
            paths = [Path(self.root, folder, name + suffix) for name in names]
            missing = [path.name for path in paths if not path.is_file()]
            if not missing:
                return paths
            if len(missing) < len(paths):
                raise RuntimeError(
                    f"{type(self).__name__}: {paths[0].parent} is incomplete, {', '.join(missing)} not "
                    f"there; unpack the archive {self.url.rsplit('/', 1)[1]} again"
                )
        return None

    def _not_found(self) -> str:
        archive = self.url.rsplit("/", 1)[1]
        return (
            f"{type(self).__name__}: Dataset not found in {self.root}. Use download=True to get it from "
            f"{self.url}; offline, put {archive} there and use download=True, or unpack it there, so that "
            f"{self.binary_folder}/ lies in {self.root}"
        )

    def download(self) -> None:
        """Unless the files are there and whole: get the binary archive, if it is not there either, and unpack it."""
        archive = Path(self.root, self.url.rsplit("/", 1)[1])
        brought = archive.exists()
        if self._is_whole(archive if brought else None):
            return
        fetch([self.url], archive, md5=self.md5)
        names = [f"{self.binary_folder}/{name}.bin" for name in self.train_files + self.test_files]
        extract(archive, names, Path(self.root, self.binary_folder))
        if not brought:  # what somebody put there stays
            archive.unlink()

    def _is_whole(self, archive: Path | None) -> bool:
        """Whether all files are there, can be read, and are as long as in the archive, if that lies beside them."""
        try:
            found = [self._find(names) for names in (self.train_files, self.test_files)]
            paths = [path for files in found if files is not None for path in files]
            for path in paths:
                self._read(path)
        except (ValueError, RuntimeError):
            return False
        sizes: dict[str, int] = {}
        if archive is not None:
            with contextlib.suppress(ValueError):  # a damaged archive does no harm to files that can be read
                sizes = sizes_in(archive)
        return None not in found and all(
            path.stat().st_size == sizes.get(f"{self.binary_folder}/{path.name}", path.stat().st_size) for path in paths
        )

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 3072) and labels (N,) of one file. The checks do not ask how many images there are."""
        pixels, labels = self._read_binary(path) if path.suffix == ".bin" else self._read_pickle(path)
        if labels.size and not 0 <= labels.min() <= labels.max() < len(self.classes):
            wrong = labels[(labels < 0) | (labels >= len(self.classes))][0]
            raise ValueError(
                f"{path} has a label {wrong}, expected 0 to {len(self.classes) - 1}; it is damaged, or not "
                f"of {type(self).__name__}"
            )
        return pixels, labels

    def _read_binary(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        record = self.label_bytes + _PIXELS
        refuse_larger(path, path.stat().st_size)
        raw = np.fromfile(path, dtype=np.uint8)
        if raw.size == 0 or raw.size % record:
            raise ValueError(
                f"{path} has {raw.size} bytes, which is not a whole number of records of {record} bytes "
                f"({self.label_bytes} of labels, {_PIXELS} of pixels); it is cut short or not of "
                f"{type(self).__name__}. Get it again."
            )
        records = raw.reshape(-1, record)
        return records[:, self.label_bytes :], records[:, self.label_bytes - 1]

    def _read_pickle(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        batch = read_batch(path)
        pixels, labels = batch.get("data"), batch.get(self.label_key)
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != _PIXELS:
            raise ValueError(
                f"{path} has no 'data' of shape (N, {_PIXELS}); it is damaged, or not of {type(self).__name__}"
            )
        if (
            not isinstance(labels, list)
            or len(labels) != len(pixels)
            or any(type(label) is not int for label in labels)
        ):
            raise ValueError(f"{path} has no {self.label_key!r} with one whole number for each of {len(pixels)} images")
        try:
            return pixels, np.array(labels, dtype=np.int64)
        except OverflowError:
            raise ValueError(f"{path} has a label that is no number of a class; it is damaged") from None

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label): a PIL image of mode RGB and an int, each after its transform."""
        from PIL import Image

        return self._transformed(Image.fromarray(np.ascontiguousarray(self.data[index])), self.targets[index])

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """A hundred classes, the fine labels of CIFAR-100: 50,000 images to train, 10,000 to test.

    root holds `cifar-100-binary/` or `cifar-100-python/`, or `train.bin` and `test.bin` themselves. Else as
    CIFAR10.
    Source: torchvision.datasets.CIFAR100.
    """

    url: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
    md5: ClassVar[str] = "03b5dce01913d631647c71ecec9e9cb8"
    binary_folder: ClassVar[str] = "cifar-100-binary"
    pickle_folder: ClassVar[str] = "cifar-100-python"
    train_files: ClassVar[list[str]] = ["train"]
    test_files: ClassVar[list[str]] = ["test"]
    label_bytes: ClassVar[int] = 2  # coarse, fine
    label_key: ClassVar[str] = "fine_labels"
    classes: ClassVar[list[str]] = CIFAR100_CLASSES
