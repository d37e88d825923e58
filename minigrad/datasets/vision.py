"""What all image data sets share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..utils.data import Dataset


class VisionDataset(Dataset[Any]):
    """A data set of (image, target) pairs under a folder, each passed through transforms.

    Args:
        root: the folder.
        transforms: a function of (image, target) together, or
        transform, target_transform: functions of the image and of the target alone; not with `transforms`.
    Source: torchvision.datasets.VisionDataset.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transforms: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError(f"{type(self).__name__}: transforms excludes transform and target_transform")
        self.root = str(Path(root).expanduser())
        self.transforms = transforms
        self.transform = transform
        self.target_transform = target_transform

    def _transformed(self, img: Any, target: Any) -> tuple[Any, Any]:
        if self.transforms is not None:
            return self.transforms(img, target)
        if self.transform is not None:
            img = self.transform(img)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return img, target

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__(self)")

    def extra_repr(self) -> str:
        """One more line for repr; empty for none."""
        return ""

    def __repr__(self) -> str:
        lines = [f"Number of datapoints: {len(self)}", f"Root location: {self.root}"]
        if self.extra_repr():
            lines.append(self.extra_repr())
        parts = {
            "Transforms": self.transforms,
            "Transform": self.transform,
            "Target transform": self.target_transform,
        }
        chosen = {name: part for name, part in parts.items() if part is not None}
        if chosen:
            lines.append("StandardTransform")
        for name, part in chosen.items():
            first, *rest = repr(part).splitlines()
            lines += [f"{name}: {first}", *(" " * (len(name) + 2) + line for line in rest)]
        return "\n    ".join([f"Dataset {type(self).__name__}", *lines])
