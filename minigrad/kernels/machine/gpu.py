"""From a CUDA source to a kernel that runs: which arrays are taken, compiling, and starting a grid of threads."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ... import cuda

THREADS = 256  # of a block, where a thread works on a number by itself
LARGEST = 2**31 - 2**20  # elements: indices are 32 bits wide, and those of a grid's last block go beyond the array
MOST_BLOCKS = 65535  # along the second and third axis of a grid
_DTYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


def takes(*arrays: Any) -> bool:
    """Whether these (None aside) are arrays of one GPU and of one dtype, float32 or float64, none empty or too large
    for 32-bit indices."""
    if not cuda.is_available():
        return False
    cupy = cuda.require()
    given = [a for a in arrays if a is not None]
    return (
        all(isinstance(a, cupy.ndarray) and 0 < a.size <= LARGEST for a in given)
        and given[0].dtype in _DTYPES
        and all(a.dtype == given[0].dtype and a.device.id == given[0].device.id for a in given)
    )


def contiguous(array: Any) -> Any:
    """The array itself if its elements lie in order, else a copy of which that is true. None stays None."""
    return array if array is None or array.flags.c_contiguous else cuda.require().ascontiguousarray(array)


def empty(shape: Any, like: Any, dtype: Any = None) -> Any:
    """A new array of that shape on the current GPU, of ``like``'s dtype if no other is given."""
    return cuda.require().empty(shape, dtype=dtype or like.dtype)


def record(kind: np.dtype[Any], *values: int) -> Any:
    """A C struct of integers, as CuPy passes it by value: an array of one element."""
    return np.array(values, dtype=kind)


def integers(names: str) -> np.dtype[Any]:
    """The dtype of a C struct of ints."""
    return np.dtype([(name, np.int32) for name in names.split()])


def up(n: int, size: int) -> int:
    """How many pieces of ``size`` cover n: ⌈n / size⌉."""
    return -(-n // size)


@cache
def source(family: str) -> str:
    """The text of a family's ``.cu`` file."""
    return (Path(__file__).parents[1] / family / f"{family}.cu").read_text(encoding="utf-8")


def options(dtype: Any, **settings: int) -> tuple[str, ...]:
    """What a source is compiled with: its number type, and its settings as macros."""
    return ("-std=c++14", f"-DREAL={_DTYPES[np.dtype(dtype)]}", *(f"-D{name}={n}" for name, n in settings.items()))


@cache
def _kernel(family: str, name: str, given: tuple[str, ...]) -> Any:
    return cuda.require().RawModule(code=source(family), options=given).get_function(name)


def launch(
    family: str,
    name: str,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    like: Any,
    args: tuple[Any, ...],
    **settings: int,
) -> None:
    """Start a kernel on the current GPU and stream, compiled for ``like``'s dtype. Integers are passed as C's int."""
    kernel = _kernel(family, name, options(like.dtype, **settings))
    kernel(grid, block, tuple([np.int32(a) if type(a) is int else a for a in args]))


@cache
def _elementwise(name: str, operation: str, result: str, given: tuple[str, ...]) -> Any:
    arguments = ", ".join(f"T {argument}" for argument in given)
    return cuda.require().ElementwiseKernel(arguments, f"T {result}", operation, f"minigrad_{name}")


def launch_elementwise(name: str, operation: str, result: str, **arrays: Any) -> Any:
    """A new array of what ``operation``, in C, assigns to ``result``; its arrays have one shape and one dtype, T."""
    kernel = _elementwise(name, operation, result, tuple(arrays))
    with next(iter(arrays.values())).device:
        return kernel(*arrays.values())


def launch_each(family: str, name: str, n: int, like: Any, args: tuple[Any, ...]) -> None:
    """Start a kernel with (at least) n threads, one per number."""
    launch(family, name, (up(n, THREADS),), (THREADS,), like, args)
