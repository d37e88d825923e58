"""Images of one's own, a folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .vision import VisionDataset

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def default_loader(path: str) -> Any:
    """The file as a PIL image of mode RGB."""
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB")


class ImageFolder(VisionDataset):
    """The images under ``root/<class>/…``: every folder in ``root`` is a class, at whatever depth its files lie.

    Classes are numbered in the order of their names, and samples follow in the order of classes and paths.

    Args:
        root: the folder of folders.
        transform, target_transform: applied to the image (what ``loader`` gave) and to the label (an int).
        loader: from a path to an image; a PIL image of mode RGB by default.
        is_valid_file: from a path to whether it counts; by default the usual extensions of images do.
        allow_empty: take a class without images.
    Attributes: ``classes``, ``class_to_idx``, ``samples`` (path, label), also as ``imgs``, ``targets``.
    Raises FileNotFoundError where there is no such folder, no class in it, or a class without images.
    Source: torchvision.datasets.ImageFolder.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader = loader
        self.classes, self.class_to_idx = self.find_classes(self.root)
        valid = is_valid_file or (lambda path: path.lower().endswith(IMG_EXTENSIONS))
        self.samples = [
            (path, label)
            for name, label in self.class_to_idx.items()
            for path in _files(os.path.join(self.root, name))
            if valid(path)
        ]
        self.imgs = self.samples
        self.targets = [label for _, label in self.samples]
        without = [name for name, label in self.class_to_idx.items() if label not in set(self.targets)]
        if without and not allow_empty:
            known = "" if is_valid_file else f"; files must end in {', '.join(IMG_EXTENSIONS)}"
            raise FileNotFoundError(f"ImageFolder: no image for the classes {', '.join(without)} in {self.root}{known}")

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        """The names of the classes in order, and the label of each. A subclass may choose others."""
        if not Path(directory).is_dir():
            raise FileNotFoundError(f"ImageFolder: there is no folder {directory!r}")
        classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
        if not classes:
            raise FileNotFoundError(f"ImageFolder: no folder in {directory!r}; expected one for each class")
        return classes, {name: label for label, name in enumerate(classes)}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label), each after its transform."""
        path, label = self.samples[index]
        return self._transformed(self.loader(path), label)


def _files(folder: str) -> list[str]:
    """All files under a folder, in order; links to folders are followed."""
    return [
        os.path.join(place, name)
        for place, _, names in sorted(os.walk(folder, followlinks=True))
        for name in sorted(names)
    ]
