"""The double's RawModule: a CUDA source compiled as C++ (see ``emulation.h``) and run on the arrays' host memory.

It is stricter than CuPy, which passes on to a GPU whatever it is given: arguments must have the types that the kernel
declares, arrays must lie on the current device with their elements in order. Every kernel runs twice, its threads in
one order and in the other, and must write the same bits. In the first run every array ends where a page of memory
begins that may not be touched, in the second it begins where such a page ends: to read or write beyond it is an error.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import mmap
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .array import host_of, ndarray, wrap
from .memory import Device

_KERNEL = re.compile(r'extern "C" __global__ void\s+(?:__launch_bounds__\(\w+\)\s+)?(\w+)\(([^)]*)\)')
_STRUCT = re.compile(r"struct Shape \{(.*?)\};", re.DOTALL)
_POINTERS = {
    "REAL*": None,
    "double*": np.dtype(np.float64),
    "int*": np.dtype(np.int32),
    "longlong*": np.dtype(np.int64),
}
_NO_ACCESS = 0  # PROT_NONE
LIMITS = (2**31 - 1, 65535, 65535)  # of a grid


def available() -> bool:
    """Whether kernels can be run here: it takes g++, and fibers as Linux has them."""
    return sys.platform == "linux" and shutil.which("g++") is not None


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="minigrad-emulation-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def signatures(code: str) -> dict[str, list[str]]:
    """The parameters' types of every kernel in a source, without blanks and ``const``."""
    found = {}
    for name, parameters in _KERNEL.findall(code):
        types = [re.sub(r"\w+$", "", p.strip()).replace("const", "").replace(" ", "") for p in parameters.split(",")]
        found[name] = types
    return found


def fields(code: str) -> list[str]:
    """The names of the ints in the source's ``struct Shape``."""
    struct = _STRUCT.search(code)
    lines = re.sub(r"//.*", "", struct.group(1)) if struct else ""
    return [name.strip() for part in re.findall(r"int ([^;]*);", lines) for name in part.split(",")]


@cache
def compiled(code: str, options: tuple[str, ...]) -> Any:
    """The source as a library with a function ``run_KERNEL(arguments, grid, block, backwards)`` for each kernel."""
    runners = []
    for name, types in signatures(code).items():
        values = ", ".join(
            f"({t}) arguments[{i}]" if t.endswith("*") else f"*({t}*) arguments[{i}]" for i, t in enumerate(types)
        ).replace("longlong", "long long")
        runners.append(
            f'extern "C" int run_{name}(void** arguments, const int* grid, const int* block, int backwards) {{\n'
            f"    return emulation::launch(grid, block, backwards, [&] {{ {name}({values}); }});\n}}\n"
        )
    text = "\n".join(['#include "emulation.h"', code, *runners])
    stem = _folder() / hashlib.sha256("\0".join((text, *options)).encode()).hexdigest()[:16]
    stem.with_suffix(".cpp").write_text(text)
    command = ["g++", "-O1", "-w", "-U_FORTIFY_SOURCE", "-shared", "-fPIC", "-I", str(Path(__file__).parent)]
    command += [*options, "-o", f"{stem}.so", f"{stem}.cpp"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"g++ does not take the source as C++:\n{done.stderr}")
    return ctypes.CDLL(f"{stem}.so")


class _Guarded:
    """A copy of an array for a kernel to work on, against a page that may not be touched: the one before or after."""

    def __init__(self, host: Any, after: bool) -> None:
        pages = -(-host.nbytes // mmap.PAGESIZE)
        self._memory = mmap.mmap(-1, (pages + 2) * mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for page in (0, pages + 1):
            if ctypes.CDLL(None, use_errno=True).mprotect(
                ctypes.c_void_p(start + page * mmap.PAGESIZE), mmap.PAGESIZE, _NO_ACCESS
            ):
                raise OSError(ctypes.get_errno(), "mprotect")
        worst = np.nan if host.dtype.kind == "f" else np.iinfo(host.dtype).min
        whole = np.frombuffer(self._memory, host.dtype, pages * mmap.PAGESIZE // host.itemsize, mmap.PAGESIZE)
        whole[...] = worst
        rest = whole.size - host.size
        self.inside, self._slack = (whole[rest:], whole[:rest]) if after else (whole[: host.size], whole[host.size :])
        self.inside[...] = host.ravel()
        self.pointer = self.inside.ctypes.data
        self._untouched = self._slack.tobytes()

    def intact(self) -> bool:
        return self._slack.tobytes() == self._untouched


class RawKernel:
    """Source: cupy.RawKernel, as RawModule.get_function returns it."""

    def __init__(self, code: str, name: str, options: tuple[str, ...]) -> None:
        self.code, self.name, self.options = code, name, options
        self.types = signatures(code)[name]
        self.real = np.dtype(np.float64 if "-DREAL=double" in options else np.float32)

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
        grid, block = ((*sizes, 1, 1)[:3] for sizes in (grid, block))
        if np.prod(block) > 1024 or min(*grid, *block) < 1 or any(n > m for n, m in zip(grid, LIMITS, strict=True)):
            raise RuntimeError(f"CUDA_ERROR_INVALID_VALUE: {self.name} with grid {grid}, block {block}")
        if len(args) != len(self.types):
            raise TypeError(f"{self.name} takes {len(self.types)} arguments, got {len(args)}")
        for i, (kind, value) in enumerate(zip(self.types, args, strict=True)):
            self._check(i, kind, value)
        results = []
        for backwards in (0, 1):
            copies = {id(a): _Guarded(a._host, after=not backwards) for a in args if isinstance(a, ndarray)}
            self._run(grid, block, args, copies, backwards)
            results.append(copies)
        for a in args:
            if isinstance(a, ndarray):
                one, other = (copies[id(a)].inside for copies in results)
                if one.tobytes() != other.tobytes():
                    raise AssertionError(f"{self.name}: the result depends on the order of a block's threads")
                a._host[...] = one.reshape(a.shape)

    def _run(self, grid: Any, block: Any, args: Any, copies: dict[int, _Guarded], backwards: int) -> None:
        held, pointers = [], []
        for kind, value in zip(self.types, args, strict=True):
            if kind.endswith("*"):
                pointers.append(None if value is None else copies[id(value)].pointer)
            else:
                held.append(np.array(value))
                pointers.append(held[-1].ctypes.data)
        run = getattr(compiled(self.code, self.options), f"run_{self.name}")
        triple = ctypes.c_int * 3
        result = run((ctypes.c_void_p * len(pointers))(*pointers), triple(*grid), triple(*block), backwards)
        if result == 1:
            raise AssertionError(f"{self.name}: a barrier that not all threads of a block reached")
        if result or not all(copy.intact() for copy in copies.values()):
            raise AssertionError(f"{self.name}: read or wrote beyond an array")

    def _check(self, i: int, kind: str, value: Any) -> None:
        where = f"{self.name}, argument {i}"
        if kind in _POINTERS:
            if value is None:
                return
            if not isinstance(value, ndarray) or value.dtype != (_POINTERS[kind] or self.real):
                raise TypeError(f"{where}: {kind} expected, got {type(value)} {getattr(value, 'dtype', '')}")
            if not value.flags.c_contiguous:
                raise ValueError(f"{where}: an array whose elements do not lie in order")
            if value.device.id != Device.current:
                raise RuntimeError(f"{where}: cudaErrorIllegalAddress, it is on another device")
        elif kind == "Shape":
            names = list(value.dtype.names) if isinstance(value, np.ndarray) and value.dtype.names else None
            if names != fields(self.code) or {str(value.dtype[n]) for n in names} != {"int32"}:
                raise TypeError(f"{where}: the struct's fields are {fields(self.code)}, got {names}")
        elif type(value) is not (np.int32 if kind == "int" else self.real.type):
            raise TypeError(f"{where}: {kind} expected, got {type(value)}")


class RawModule:
    """Source: cupy.RawModule, for sources whose kernels are ``extern "C"``."""

    def __init__(self, *, code: str, options: tuple[str, ...] = ()) -> None:
        self.code, self.options = code, options

    def get_function(self, name: str) -> RawKernel:
        if name not in signatures(self.code):
            raise RuntimeError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}")
        return RawKernel(self.code, name, self.options)


class ElementwiseKernel:
    """Source: cupy.ElementwiseKernel, for arrays of one shape whose dtype is the parameters' type T."""

    def __init__(self, in_params: str, out_params: str, operation: str, name: str) -> None:
        self.names = [param.split()[1] for param in in_params.split(",")]
        (self.result,) = [param.split()[1] for param in out_params.split(",")]
        arguments = "".join(f"const REAL* {name}_, " for name in self.names)
        loads = "".join(f"    const T {name} = {name}_[i];\n" for name in self.names)
        self.code = (
            "typedef REAL T;\n"
            f'extern "C" __global__ void {name}({arguments}REAL* {self.result}_, int n) {{\n'
            "    int i = blockIdx.x * blockDim.x + threadIdx.x;\n    if (i >= n) return;\n"
            f"{loads}    T {self.result};\n    {operation};\n    {self.result}_[i] = {self.result};\n}}\n"
        )
        self.name = name

    def __call__(self, *args: ndarray) -> ndarray:
        if len({(a.shape, a.dtype) for a in args}) != 1:
            raise TypeError(
                f"{self.name}: arrays of one shape and dtype expected, got {[(a.shape, a.dtype) for a in args]}"
            )
        result = wrap(np.empty(args[0].shape, args[0].dtype))
        given = [wrap(np.ascontiguousarray(host_of(a))) for a in args]
        real = {"float32": "float", "float64": "double"}[str(result.dtype)]
        kernel = RawKernel(self.code, self.name, ("-std=c++14", f"-DREAL={real}"))
        kernel(((result.size + 127) // 128,), (128,), (*given, result, np.int32(result.size)))
        return result
