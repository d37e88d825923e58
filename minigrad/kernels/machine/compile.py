"""How a kernel is compiled: with Numba, once per machine, into a cache folder of our own.

Compiling takes seconds, so the first kernel that has to be compiled in a process is announced on standard error, unless
``MINIGRAD_QUIET`` is set.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import binding
from numba.core import event, types
from numba.extending import typeof_impl

from ...interrupts import HeldBack
from .cache import FOLDER, KernelCache, say
from .memory import keep_freed_memory
from .parallel_for import guard_the_pool
from .simd import LANES
from .threading_layer import choose
from .threads import apply_to_kernels


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


_use_whole_registers()  # before anything is compiled
guard_the_pool(choose().name)
apply_to_kernels()
keep_freed_memory()


class _Announcer(event.Listener):  # type: ignore[misc]
    """Says once in a process that kernels are being compiled. What comes out of the cache is no such event."""

    said = False

    def on_start(self, event: Any) -> None:
        if self.said or not event.data["dispatcher"].py_func.__module__.startswith("minigrad.kernels."):
            return
        self.said = True
        if not os.environ.get("MINIGRAD_QUIET"):
            say(f"compiling kernels, once per machine; they are kept in {FOLDER} (MINIGRAD_QUIET=1 hides this line)")

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcer())


def _at_one_go(work: Callable[..., Any]) -> Callable[..., Any]:
    """``work``, which Ctrl-C does not interrupt: it takes effect afterwards.

    An exception that breaks into LLVM's work leaves it with modules freed twice, and the process crashes later.
    """

    @functools.wraps(work)
    def run(*args: Any) -> Any:
        with HeldBack():
            return work(*args)

    return run


class Compiled:
    """A function compiled for the CPU: other compiled functions call it, Python runs it by ``launch(...)``.

    There is no other way from Python into compiled code, so whoever wants to know what runs replaces ``launch``. (The
    GPU's is :func:`minigrad.kernels.machine.gpu.launch`.)

    ``fixed``: the arguments have the same types in all launches. Numba looks at the type of every argument every time,
    some 30 ns each: most of the cost of a launch that does little. Here the machine code is found once and entered
    straight. Whoever launches answers for the types: dtypes, numbers of axes, layouts, and which arguments are None.
    """

    __slots__ = ("dispatcher", "launch")

    def __init__(self, dispatcher: Any, fixed: bool = False) -> None:
        self.dispatcher = dispatcher
        self.launch: Callable[..., Any] = self._first if fixed else dispatcher

    def _first(self, *args: Any) -> Any:
        self.launch = self.dispatcher.compile(tuple(map(self.dispatcher.typeof_pyval, args)))
        return self.launch(*args)


@typeof_impl.register(Compiled)
def _type_of(value: Compiled, context: Any) -> Any:
    return types.Dispatcher(value.dispatcher)


def jit(
    function: Callable[..., Any] | None = None,
    *,
    parallel: bool = False,
    fixed: bool = False,
    inline: bool = False,
    allocates: bool = True,
) -> Any:
    """A :class:`Compiled` function: ``numba.njit`` with the flags every kernel here uses.

    Sums may be regrouped and products fused (``reassoc``, ``contract``) so that loops become SIMD; nothing may assume
    that NaN and infinity are absent.

    Args:
        parallel: split ``prange`` loops over threads.
        fixed: see :class:`Compiled`.
        inline: put the code into the function that calls it, however long it is. A loop becomes SIMD only if nothing
            in it is a call.
        allocates: whether the function itself makes arrays. If not, it need not count who holds which array: an atomic
            operation, some 5 ns, for each slice that it takes.
    """

    def compile_(f: Callable[..., Any]) -> Compiled:
        flags = {"nogil": True, "fastmath": {"reassoc", "contract"}, "error_model": "numpy"}
        dispatcher = numba.njit(parallel=parallel, forceinline=inline, _nrt=allocates, **flags)(f)
        dispatcher._cache = KernelCache(f)  # what cache=True does, with Numba's own
        dispatcher.compile = _at_one_go(dispatcher.compile)
        return Compiled(dispatcher, fixed)

    return compile_ if function is None else compile_(function)
