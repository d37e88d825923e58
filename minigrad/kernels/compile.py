"""How a kernel is compiled: with Numba, once per machine, into a cache folder of our own.

Numba's cache lies beside the source by default, which fails where the package is installed read-only; here it is
``MINIGRAD_CACHE``, else the user's cache folder, else (neither writable) a folder in the system's temporary one.
Compiling takes seconds, so the first kernel that has to be compiled in a process is announced on standard error, unless
``MINIGRAD_QUIET`` is set.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding
from numba.core import event

from .memory import keep_freed_memory
from .simd import LANES
from .threads import apply_to_kernels


def cache_folder() -> Path:
    """A folder for this version of the kernels in the first of the places above that can be written to.

    Numba looks whether a kernel's own file has changed, but not at the files of the functions that the kernel calls. So
    the folder's name holds a digest of them all.
    """
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for source in sorted([*here.glob("*.py"), *(here / "cpu").glob("*.py")]):
        digest.update(source.read_bytes())
    digest.update(os.environ.get("MINIGRAD_SIMD", "").encode())  # compiled into the kernels
    return _writable_place() / digest.hexdigest()[:16]


def _writable_place() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    candidates = [os.environ.get("MINIGRAD_CACHE"), Path(home) / "minigrad" / "kernels"]
    for candidate in candidates:
        if candidate and _writable(Path(candidate)):
            return Path(candidate)
    private = Path(tempfile.gettempdir()) / f"minigrad-kernels-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    return private if _writable(private) else Path(tempfile.mkdtemp(prefix="minigrad-kernels-"))


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return False
    # Compiled code is read back from here: a folder that another user owns is no place for it.
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()


# In Numba's settings, not in the environment: a process started from here may have other registers (MINIGRAD_SIMD).
if not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(cache_folder())
apply_to_kernels()
keep_freed_memory()


def _use_whole_registers() -> None:
    """Let LLVM fill AVX-512 registers when it turns loops into SIMD.

    On most processors that have them it stops at half (``prefer-256-bit``), because the first ones slowed their clock
    for the rest of the program. A kernel is worth it: sigmoid and tanh gain a third and more. This has no effect where
    Numba has compiled something in this process before; what the user chose for Numba stands.
    """
    features = binding.get_host_cpu_features()
    chosen = numba.config.CPU_NAME is not None or numba.config.CPU_FEATURES is not None
    if LANES == 16 and features.get("avx512f") and numba.config.ENABLE_AVX and not chosen:
        numba.config.CPU_FEATURES = features.flatten() + ",-prefer-256-bit"


_use_whole_registers()


class _Announcer(event.Listener):  # type: ignore[misc]
    """Says once in a process that kernels are being compiled. What comes out of the cache is no such event."""

    said = False

    def on_start(self, event: Any) -> None:
        if self.said or not event.data["dispatcher"].py_func.__module__.startswith(f"{__package__}."):
            return
        self.said = True
        if not os.environ.get("MINIGRAD_QUIET"):
            print(
                f"minigrad: compiling kernels, once per machine; they are kept in {numba.config.CACHE_DIR} "
                "(MINIGRAD_QUIET=1 hides this line)",
                file=sys.stderr,
                flush=True,
            )

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcer())


def jit(function: Callable[..., Any] | None = None, *, parallel: bool = False) -> Any:
    """``numba.njit`` with the flags every kernel here uses.

    Sums may be regrouped and products fused (``reassoc``, ``contract``) so that loops become SIMD; nothing may assume
    that NaN and infinity are absent. ``parallel=True`` splits ``prange`` loops over threads.
    """
    compile_ = numba.njit(
        cache=True, nogil=True, parallel=parallel, fastmath={"reassoc", "contract"}, error_model="numpy"
    )
    return compile_ if function is None else compile_(function)
