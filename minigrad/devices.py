"""Where a tensor's numbers live: ``cpu`` (NumPy arrays) or ``cuda`` (CuPy arrays)."""

from __future__ import annotations

import contextlib
from types import ModuleType
from typing import Any

import numpy as np

from . import cuda
from .errors import DeviceError


class device:
    """``device("cpu")``, ``device("cuda")``, ``device("cuda:1")`` or ``device("cuda", 1)``, as in PyTorch."""

    __slots__ = ("index", "type")

    def __init__(self, spec: str | int | device, index: int | None = None) -> None:
        if isinstance(spec, device):
            self.type: str = spec.type
            self.index: int | None = spec.index
            return
        if isinstance(spec, int):
            index, spec = spec, "cuda"
        kind, _, number = str(spec).partition(":")
        if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
            raise DeviceError(f"device: {spec!r} is not a device; use 'cpu', 'cuda' or 'cuda:N'")
        self.type = kind
        self.index = int(number) if number else index

    def __repr__(self) -> str:
        return (
            f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))


CPU = device("cpu")


def of_array(array: Any) -> device:
    """The device that holds an array."""
    return CPU if isinstance(array, np.ndarray) else device("cuda", int(array.device.id))


def array_module(where: device | str | None) -> ModuleType:
    """NumPy for the CPU, CuPy for a GPU. Raises :class:`DeviceError` where no GPU can be used."""
    if where is None or (where if isinstance(where, device) else device(where)).type == "cpu":
        return np
    return cuda.require()


def active(where: device | None) -> contextlib.AbstractContextManager[Any]:
    """A context in which new arrays land on the given GPU; it does nothing for the CPU."""
    if where is None or where.type == "cpu" or where.index is None:
        return contextlib.nullcontext()
    return cuda.require().cuda.Device(where.index)


def move(array: Any, where: device) -> Any:
    """The array on another device: the same array if it is there already, else a copy."""
    here = of_array(array)
    if where.type == "cpu":
        return array if here.type == "cpu" else array.get()
    xp = array_module(where)
    if here.type == "cuda" and (where.index is None or here.index == where.index):
        return array
    if here.type == "cuda":  # from GPU to GPU: CuPy takes an array as it is, wherever it is, unless told to copy
        with active(here):
            array = xp.ascontiguousarray(array)
        with active(where):
            return array.copy()
    with active(where):
        return xp.asarray(array)
