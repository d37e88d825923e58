"""Reading the "python version" of CIFAR, which is pickled, without trusting it.

A pickle is a program that may call any function it can name. The reader here lets it name three things only,
the ones that Python 2 wrote to describe a NumPy array, and gives it harmless stand-ins of our own for them: a
description is collected, checked, and turned into an array by us. Everything else that a pickle can name is
refused before it is looked up.

A pickle can do harm without calling anything: values nested a hundred thousand deep overflow the stack of whoever
compares or prints them, and a memo with index 2²⁸ takes 4 GB. So its instructions are counted before they are carried
out: CIFAR's files hold a dozen containers, and number their memo from 0 on.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from .limits import refuse_larger


class UnsafePickleError(ValueError):
    """A pickle that asks for more than the data of CIFAR needs."""


class _ByteArray:
    """Collects the description of an array of bytes. A pickle can fill it in once, and nothing else."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        if self.array is not None or not isinstance(dtype, _Byte) or fortran or not isinstance(raw, bytes):
            raise UnsafePickleError("an array of another kind than rows of unsigned bytes")
        if not all(isinstance(n, int) and 0 <= n <= len(raw) for n in shape) or math.prod(shape) != len(raw):
            raise UnsafePickleError(f"an array of shape {shape!r:.60} with {len(raw)} bytes")
        self.array = np.frombuffer(raw, dtype=np.uint8).reshape(shape)


class _Byte:
    """Stands for the dtype "u1", whose state says nothing that we need."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


class _Ndarray:
    """Stands for numpy.ndarray, which is only ever passed to `_reconstruct`. It cannot be called."""

    __slots__ = ()


class _Reconstruct:
    """Stands for the function that makes an empty array. It has no attribute that a pickle could set."""

    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, code: Any) -> _ByteArray:
        if not isinstance(kind, _Ndarray):
            raise UnsafePickleError(f"a reconstruction of {kind!r:.60}")
        return _ByteArray()


class _DtypeCall:
    """Stands for numpy.dtype, which may be asked for unsigned bytes only."""

    __slots__ = ()

    def __call__(self, name: Any, align: Any = None, copy: Any = None) -> _Byte:
        if name not in ("u1", b"u1"):
            raise UnsafePickleError(f"an array of dtype {name!r:.60}")
        return _Byte()


_PERMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy", "ndarray"): _Ndarray(),
    ("numpy", "dtype"): _DtypeCall(),
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PERMITTED:
            raise UnsafePickleError(f"the name {module}.{name}")
        return _PERMITTED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafePickleError("an object stored elsewhere")


_MAKES_A_CONTAINER = {
    *("EMPTY_LIST", "LIST", "EMPTY_DICT", "DICT", "EMPTY_SET", "FROZENSET", "EMPTY_TUPLE", "TUPLE"),
    *("TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"),
}
_MOST_CONTAINERS = 100  # and so they cannot be nested deeper


def _check_instructions(raw: bytes) -> None:
    """Raise unless the pickle keeps within the bounds of CIFAR's; carries out nothing."""
    containers = 0
    for count, (code, argument, _) in enumerate(pickletools.genops(raw)):
        containers += code.name in _MAKES_A_CONTAINER
        if containers > _MOST_CONTAINERS:
            raise UnsafePickleError(f"more than {_MOST_CONTAINERS} lists, tuples and dicts")
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > count:
            raise UnsafePickleError(f"a memo of {argument} entries after {count} instructions")


def read_batch(path: Path) -> dict[str, Any]:
    """The dict in a pickled CIFAR batch: `data` an array (N, 3072) uint8, the rest lists, numbers and text.

    Raises UnsafePickleError, having run nothing, where the pickle asks for anything but byte arrays;
    ValueError where it is damaged, too large or not a dict.
    """
    refuse_larger(path, path.stat().st_size)
    try:
        raw = path.read_bytes()
        _check_instructions(raw)
        content = _Reader(io.BytesIO(raw), encoding="bytes").load()
    except UnsafePickleError as error:
        raise UnsafePickleError(
            f"{path} is refused: as a pickle it asks for {error}, which CIFAR's data does not need. Nothing "
            "was run. Use the binary version of the archive instead (download=True)."
        ) from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}); get it again, or use download=True"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected the dict of a CIFAR batch")
    return {
        key.decode("latin-1") if isinstance(key, bytes) else str(key): value.array
        if isinstance(value, _ByteArray)
        else value
        for key, value in content.items()
    }
