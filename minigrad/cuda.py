"""The GPU, through CuPy. Importing this module never imports CuPy and no question asked here ever raises."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Any

from .errors import DeviceError

generator: Any = None  # the function that gives the GPU's generator (set by minigrad.random)


@cache
def _find() -> tuple[ModuleType | None, str]:
    """CuPy if it imports *and* can use a GPU, else the reason why not."""
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # a broken driver makes the import itself raise more than ImportError
        return None, f"CuPy does not import ({type(error).__name__}: {error})"
    try:
        if cupy.cuda.runtime.getDeviceCount() < 1:
            return None, "CuPy sees no GPU"
        cupy.zeros(1).sum().item()  # the count alone does not prove that a kernel can run
    except Exception as error:
        return None, f"CuPy imports but cannot use a GPU ({type(error).__name__}: {error})"
    return cupy, ""


def is_available() -> bool:
    """Whether ``device="cuda"`` can be used. Never raises."""
    return _find()[0] is not None


def device_count() -> int:
    """How many GPUs there are; 0 where none can be used."""
    cupy = _find()[0]
    return int(cupy.cuda.runtime.getDeviceCount()) if cupy else 0


def get_device_name(index: int = 0) -> str:
    """The GPU's name as its driver gives it."""
    return str(require().cuda.runtime.getDeviceProperties(index)["name"].decode())


def manual_seed(seed: int) -> None:
    """Seed the GPU's generator alone; nothing without a GPU. ``minigrad.manual_seed`` seeds those of all devices."""
    if is_available():
        generator().manual_seed(seed)


manual_seed_all = manual_seed  # one generator serves all GPUs


def synchronize() -> None:
    """Wait until the GPU has done all it was given (CuPy returns before its kernels end). Nothing without a GPU."""
    cupy = _find()[0]
    if cupy:
        cupy.cuda.get_current_stream().synchronize()


def memory_allocated() -> int:
    """Bytes of GPU memory in use by arrays; 0 without a GPU."""
    cupy = _find()[0]
    return int(cupy.get_default_memory_pool().used_bytes()) if cupy else 0


def empty_cache() -> None:
    """Give cached GPU memory back to the driver."""
    cupy = _find()[0]
    if cupy:
        cupy.get_default_memory_pool().free_all_blocks()


def require() -> ModuleType:
    """CuPy itself. Raises :class:`DeviceError` that says why it cannot be used and how to install it."""
    cupy, why = _find()
    if cupy is None:
        raise DeviceError(
            f"device='cuda' cannot be used here: {why}. A GPU needs NVIDIA's driver and one of "
            "pip install 'minigrad[cuda12]' or 'minigrad[cuda13]' (never both); everything also runs with device='cpu'."
        )
    return cupy
