"""What all image data sets share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..utils.data import Dataset


class StandardTransform:
    """A function of the image and one of the target as a function of both. Source: torchvision.datasets.vision."""

    def __init__(
        self, transform: Callable[[Any], Any] | None = None, target_transform: Callable[[Any], Any] | None = None
    ) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        lines = ["StandardTransform"]
        for name, part in (("Transform", self.transform), ("Target transform", self.target_transform)):
            if part is not None:
                first, *rest = repr(part).splitlines()
                lines += [f"{name}: {first}", *(" " * (len(name) + 2) + line for line in rest)]
        return "\n".join(lines)


class VisionDataset(Dataset[Any]):
    """A data set of (image, target) pairs under a folder, each passed through transforms.

    Args:
        root: the folder.
        transforms: a function of (image, target) together, or
        transform, target_transform: functions of the image and of the target alone; not with `transforms`.
    Attributes: the three, where `transforms` is made of the other two if these were given; a subclass may apply either.
    Source: torchvision.datasets.VisionDataset.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "",
        transforms: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError(f"{type(self).__name__}: transforms excludes transform and target_transform")
        self.root = str(Path(root).expanduser())
        self.transform = transform
        self.target_transform = target_transform
        self.transforms = transforms

    @property
    def transforms(self) -> Callable[[Any, Any], tuple[Any, Any]] | None:
        """The function of (image, target), None if there is nothing to apply."""
        if self._transforms is None and (self.transform is not None or self.target_transform is not None):
            return StandardTransform(self.transform, self.target_transform)
        return self._transforms

    @transforms.setter
    def transforms(self, function: Callable[[Any, Any], tuple[Any, Any]] | None) -> None:
        self._transforms = function

    def _transformed(self, img: Any, target: Any) -> tuple[Any, Any]:
        return (img, target) if self.transforms is None else self.transforms(img, target)

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__(self)")

    def extra_repr(self) -> str:
        """One more line for repr; empty for none."""
        return ""

    def __repr__(self) -> str:
        lines = [f"Number of datapoints: {len(self)}", f"Root location: {self.root}"]
        if self.extra_repr():
            lines.append(self.extra_repr())
        if self.transforms is not None:
            lines += repr(self.transforms).splitlines()
        return "\n    ".join([f"Dataset {type(self).__name__}", *lines])
