"""Compiled kernels, kept on disk from one process to the next.

One file holds one compiled kernel: a digest, then the code it was taken of. So a file that was cut, emptied or changed
is never executed but compiled again and replaced, and a file appears whole or not at all, whoever else writes at the
same time. What goes wrong with a file is said once on standard error and never ends the program: a kernel that cannot
be kept has been compiled all the same.

The folder is ``MINIGRAD_CACHE``, else ``NUMBA_CACHE_DIR``, else the user's cache folder, else one in the system's
temporary folder: the first that can be written to.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps


def say(line: str) -> None:
    """A line on standard error, where there is one."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(f"minigrad: {line}", file=sys.stderr, flush=True)


_said: set[str] = set()


def _say_once(trouble: str, details: str) -> None:
    if trouble not in _said:
        _said.add(trouble)
        say(f"{trouble} {details}")


def cache_folder() -> Path:
    """The folder for this version of the kernels, in the first of the places above that can be written to.

    A kernel's compiled code holds that of the functions it calls, whichever file they are in. So the folder's name
    holds a digest of all files.
    """
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    digest.update(os.environ.get("MINIGRAD_SIMD", "").encode())  # compiled into the kernels
    return _base_folder() / digest.hexdigest()[:16]


def _base_folder() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "minigrad", "kernels")
    for chosen in (os.environ.get("MINIGRAD_CACHE"), os.environ.get("NUMBA_CACHE_DIR"), home):
        if chosen and _writable(Path(chosen)):
            return Path(chosen)
    with contextlib.suppress(OSError):  # there may be no temporary folder either
        private = Path(tempfile.gettempdir(), f"minigrad-kernels-{os.getuid() if hasattr(os, 'getuid') else 'user'}")
        return private if _writable(private) else Path(tempfile.mkdtemp(prefix="minigrad-kernels-"))
    return home


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
        # Compiled code is read back from here: a folder that another user owns is no place for it.
        return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    except OSError:
        return False


FOLDER = cache_folder()


@lru_cache
def _digest_of_file(path: str) -> str | None:
    """None for what was typed in."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if os.path.isfile(path) else None


def _made_of(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The function, and those that it closes over: a factory puts them into one text of code, in place of a name."""
    cells = function.__closure__ or ()
    return [function, *(f for cell in cells for f in _made_of(cell.cell_contents.dispatcher.py_func))]


class KernelCache(FunctionCache):  # type: ignore[misc]
    """The compiled versions of one function, one for each signature and processor. What Numba's dispatchers ask."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._py_func = function
        functions = _made_of(function)
        sources = [_digest_of_file(inspect.getfile(f)) for f in functions]
        # Where the code stands in its file tells apart lambdas of one line, whose code may differ in a name alone.
        codes = [(f.__module__, f.__qualname__, f.__code__.co_code, [*f.__code__.co_positions()]) for f in functions]
        self._identity = sources, codes
        self._enabled = None not in sources

    @property
    def cache_path(self) -> str:
        return str(FOLDER)

    def flush(self) -> None:
        """Nothing waits to be written."""

    def _path(self, signature: Any, codegen: Any) -> Path:
        key = (signature, codegen.magic_tuple(), self._identity, numba.__version__, sys.version_info[:2])
        name = f"{self._py_func.__module__.rpartition('.')[2]}.{self._py_func.__name__}"
        return FOLDER / f"{name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}"

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled version, or None where there is none, or no sound one."""
        target_context.refresh()
        if not self._enabled:
            return None
        path = self._path(signature, target_context.codegen())
        try:
            content = path.read_bytes()
            seal, code = content[:32], content[32:]
            if seal != hashlib.sha256(code).digest():
                raise ValueError("its digest does not fit")
            return CompileResult._rebuild(target_context, *pickle.loads(code))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:
            _say_once("a damaged file in the cache of kernels:", f"{path} ({error}); its kernel is compiled again")
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a compiled version, if its folder lets us."""
        if not self._enabled or compiled.lifted or compiled.library.has_dynamic_globals:
            return  # with such globals, the code holds addresses of this process
        path = self._path(signature, compiled.codegen)
        code = dumps(compiled._reduce())
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            unfinished = tempfile.NamedTemporaryFile(dir=path.parent, delete=False)  # noqa: SIM115 (closed below)
            try:
                with unfinished:
                    unfinished.write(hashlib.sha256(code).digest() + code)
                os.replace(unfinished.name, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(unfinished.name)
                raise
        except OSError as error:
            _say_once("compiled kernels cannot be kept:", f"{error}; each process compiles them again")
