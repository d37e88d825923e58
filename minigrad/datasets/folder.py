"""Images of one's own, a folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .vision import VisionDataset

# What PIL may take a file for, whatever its name says. Left out are formats that hand the file to other programs, such
# as EPS (Ghostscript).
_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "GIF", "JPEG2000", "TGA", "ICO")
IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def default_loader(path: str) -> Any:
    """The file as a PIL image of mode RGB. Raises OSError, naming the file, where it is damaged or no image."""
    from PIL import Image

    try:
        with Image.open(path, formats=_FORMATS) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise
    except Exception as error:  # PIL's decoders raise nearly anything
        raise OSError(f"{path} is damaged or no image ({type(error).__name__}: {error})") from error


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
    Raises FileNotFoundError where there is no such folder, no class in it, or a class without images; OSError, naming
    it, for a file that is damaged or no regular file.
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
            for path in _files(os.path.join(self.root, name), valid)
        ]
        self.imgs = self.samples
        self.targets = [label for _, label in self.samples]
        present = set(self.targets)
        without = [name for name, label in self.class_to_idx.items() if label not in present]
        if without and not allow_empty:
            known = "" if is_valid_file else f"; files must end in {', '.join(IMG_EXTENSIONS)}"
            raise FileNotFoundError(f"ImageFolder: no image for the classes {', '.join(without)} in {self.root}{known}")

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        """The names of the classes in order, and the label of each. A subclass may choose others."""
        if not Path(directory).is_dir():
            raise FileNotFoundError(f"ImageFolder: there is no folder {directory!r}")
        with os.scandir(directory) as entries:
            classes = sorted(entry.name for entry in entries if _is(entry.is_dir))
        if not classes:
            raise FileNotFoundError(f"ImageFolder: no folder in {directory!r}; expected one for each class")
        return classes, {name: label for label, name in enumerate(classes)}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label), each after its transform."""
        path, label = self.samples[index]
        try:
            image = self.loader(path)
        except Exception as error:
            error.add_note(f"Raised by the loader of {type(self).__name__} for {path}.")
            raise
        return self._transformed(image, label)


def _files(folder: str, valid: Callable[[str], bool]) -> list[str]:
    """The valid files under a folder, in order. Links to folders are followed, each folder is entered once.

    Raises OSError for what is no regular file: a program that opens a pipe waits for somebody to write into it.
    """
    found: list[tuple[str, str]] = []
    entered: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        with os.scandir(place) as entries:
            here = sorted(entries, key=lambda entry: entry.name)
        waiting += [entry.path for entry in reversed(here) if _is(entry.is_dir)]
        for entry in here:
            if _is(entry.is_dir) or not valid(entry.path):
                continue
            if not _is(entry.is_file) and os.path.exists(entry.path):
                raise OSError(f"ImageFolder: {entry.path} is neither a file nor a folder")
            found.append((place, entry.name))
    return [os.path.join(place, name) for place, name in sorted(found)]


def _is(kind: Callable[[], bool]) -> bool:
    """What an entry says of itself; a link to itself is nothing."""
    try:
        return kind()
    except OSError:
        return False
