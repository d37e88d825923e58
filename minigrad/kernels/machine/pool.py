"""The threads that help with a parallel loop.

A loop is divided into shares. The calling thread publishes it, does the first share, and goes on with whatever share
nobody has begun; the helpers do the same meanwhile. So a helper that comes late, because the system runs another
program on its core, is not waited for: there is nothing left to do, and the caller goes on. It waits for shares that
are being computed and for nothing else. If the system stops a helper in the middle of one, or keeps a helper that is
awake from the loops of some time (*a stall*), then loops run without helpers for ten times as long as that took, and
for twice as long each time that it happens again at once: a busy machine costs little, whatever its other programs do.

Between two loops a helper looks out for the next one for some 0.3 ms, in which it is there at once, and sleeps then.
Starting a loop takes a microsecond or less, where TBB takes two to five.

All that the threads share are 64-bit integers in one block of memory, in cache lines of their own where several threads
change them. ``CLAIM`` holds the number of the loop, how many shares it has, and how many of them were begun; who raises
the last by one with a compare-and-swap has a share. Until this share is counted in ``DONE``, the loop is not over, so
all that describes it may be read. Sleeping is waiting for a lock of Python's C interface, until another thread releases
it.
"""

from __future__ import annotations

import _thread
import ctypes
import platform
import time
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from .cache import KernelCache

LINE = 8  # words in a cache line
# Where each word lies. What describes a loop is written by the caller alone, and shares lines.
CLAIM, DONE, WAITS = (LINE * i for i in range(3))
HELPERS, LOCK, ACQUIRE, RELEASE, CLOCK, WHICH_CLOCK, LENGTH, MISSED = range(LINE * 3, LINE * 4)
KERNEL, ARGUMENTS, SIZES, STEPS, DATA, INNER, ARRAYS, UNTIL = range(LINE * 4, LINE * 5)
PARTS = LINE * 5  # each thread's own part begins here
SLEEPS, OWN_LOCK, TIME = range(3)  # of a part: whether it sleeps, its lock, two words for the clock
MOST_ARRAYS = 256  # that a loop may have: more, and the caller does all shares
PART = LINE + MOST_ARRAYS + LINE  # those words, the addresses of a share's arrays, its sizes
LOOKS_OUT = 10_000  # at the claim, some 0.03 us each, before a helper sleeps
LOOKS_BACK = 2_000  # at what is done, before the caller sleeps
STALL = 200_000  # nanoseconds that the caller has waited longer than it has computed: a helper was stopped
AWAY = 300_000  # nanoseconds of loops in a row without a helper that could have come: it does not get its core
WAKING = 100_000  # nanoseconds that a helper takes to wake up
ALONE, LONGEST = 10, 1_000_000_000  # for how many times as long as the stall loops then run alone, and nanoseconds

_X86: tuple[str, list[int]] = ("llvm.x86.sse2.pause", [])
_ARM = ("llvm.aarch64.hint", [1])
_PAUSES = {"x86_64": _X86, "AMD64": _X86, "aarch64": _ARM, "arm64": _ARM}


@intrinsic
def load(typing_context, block, word):  # type: ignore[no-untyped-def]
    """A word of a block of memory."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.load_atomic(_at(builder, *args), "seq_cst", 8)

    return types.int64(block, word), code


def _storing(order: str, says: str) -> Any:
    def store(typing_context, block, word, value):  # type: ignore[no-untyped-def]
        def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
            builder.store_atomic(args[2], _at(builder, *args[:2]), order, 8)
            return context.get_dummy_value()

        return types.void(block, word, types.int64), code

    store.__doc__ = says
    return intrinsic(store)


store = _storing("release", "Change a word. Who reads what is stored later sees this too.")
publish = _storing("seq_cst", "Change a word before anything that this thread reads next.")


@intrinsic
def add(typing_context, block, word, value):  # type: ignore[no-untyped-def]
    """Add to a word; returns what it was before."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.atomic_rmw("add", _at(builder, *args[:2]), args[2], "seq_cst")

    return types.int64(block, word, types.int64), code


@intrinsic
def swap(typing_context, block, word, expected, value):  # type: ignore[no-untyped-def]
    """Change a word from the expected value to another; False if it holds something else."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        pair = builder.cmpxchg(_at(builder, *args[:2]), args[2], args[3], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(block, word, types.int64, types.int64), code


@intrinsic
def call(typing_context, address, arguments):  # type: ignore[no-untyped-def]
    """Call the C function at an address with a tuple of words; what it returns is not looked at."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        words = cgutils.unpack_tuple(builder, args[1])
        kind = ir.FunctionType(ir.VoidType(), [w.type for w in words])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), words)
        return context.get_dummy_value()

    return types.void(address, arguments), code


@intrinsic
def pause(typing_context):  # type: ignore[no-untyped-def]
    """Tell the processor that this thread waits in a loop, where there is a way to say so."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        if platform.machine() in _PAUSES:
            name, numbers = _PAUSES[platform.machine()]
            words = [ir.IntType(32)(n) for n in numbers]
            kind = ir.FunctionType(ir.VoidType(), [w.type for w in words])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), words)
        return context.get_dummy_value()

    return types.void(), code


def _at(builder: Any, block: Any, word: Any) -> Any:
    pointer = builder.inttoptr(block, ir.IntType(64).as_pointer())
    return builder.gep(pointer, [word])


def _native(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """A function that has a C function's address once it is compiled, and is kept on disk as kernels are."""

    def native(function: Callable[..., Any]) -> Any:
        found: Any = CFunc(function, (signature.args, signature.return_type), {}, {"error_model": "numpy"})
        found._cache = KernelCache(function)
        return found

    return native


@njit
def _left(claim):  # type: ignore[no-untyped-def]
    """How many shares nobody has begun."""
    return ((claim >> 16) & 0xFFFF) - (claim & 0xFFFF)


@njit
def _claim(block):  # type: ignore[no-untyped-def]
    """The claim after this thread has taken a share, whose number is one less than those begun; 0 if none is left."""
    while True:
        claim = load(block, CLAIM)
        if _left(claim) == 0:
            return 0
        if swap(block, CLAIM, claim, claim + 1):
            return claim + 1


@njit
def _do(block, scratch, share):  # type: ignore[no-untyped-def]
    """Compute a share: call the kernel with the address of each array moved on by as many steps, and a size of 1."""
    arguments, sizes, steps = load(block, ARGUMENTS), load(block, SIZES), load(block, STEPS)
    arrays, inner = load(block, ARRAYS), load(block, INNER)
    for i in range(arrays):
        store(scratch, LINE + i, load(arguments, i) + share * load(steps, i))
    store(scratch, LINE + arrays, 1)
    for i in range(1, inner + 1):
        store(scratch, LINE + arrays + i, load(sizes, i))
    call(load(block, KERNEL), (scratch + 8 * LINE, scratch + 8 * (LINE + arrays), steps, load(block, DATA)))


@njit
def _part(block, thread):  # type: ignore[no-untyped-def]
    """The address of a thread's own words; the caller's are the first."""
    return block + 8 * (PARTS + thread * PART)


@njit
def _now(block):  # type: ignore[no-untyped-def]
    """Nanoseconds, from the system's clock; always 0 where there is none."""
    clock, own = load(block, CLOCK), _part(block, 0)
    if clock == 0:
        return 0
    call(clock, (load(block, WHICH_CLOCK), own + 8 * TIME))
    return load(own, TIME) * 1_000_000_000 + load(own, TIME + 1)


@njit
def _wait(block, shares):  # type: ignore[no-untyped-def]
    """Until all shares are done."""
    looks = 0
    while load(block, DONE) < shares:
        looks += 1
        if looks < LOOKS_BACK:
            pause()
            continue
        publish(block, WAITS, 1)
        # Who does the last share may already have seen that nobody waits. Who has seen that somebody does releases.
        if load(block, DONE) < shares or not swap(block, WAITS, 1, 0):
            call(load(block, ACQUIRE), (load(block, LOCK), 1))


@njit
def _go_alone(block, now, lost):  # type: ignore[no-untyped-def]
    """After a stall: let loops run without helpers for a while."""
    length, before = ALONE * lost, load(block, LENGTH)
    if now - load(block, UNTIL) < before:  # it has not been long since the last one
        length = max(length, 2 * before)
    length = min(length, LONGEST)
    store(block, LENGTH, length)
    store(block, UNTIL, now + length)


@_native(types.void(*[types.int64] * 9))
def share_out(block, kernel, arguments, sizes, steps, data, inner, arrays, threads):  # type: ignore[no-untyped-def]
    """Run a loop, as Numba's ``numba_parallel_for`` does, in the calling thread and the helpers."""
    shares, own, begun = load(sizes, 0), _part(block, 0), _now(block)
    if shares > 0xFFFF or arrays + inner >= MOST_ARRAYS or begun < load(block, UNTIL):
        call(kernel, (arguments, sizes, steps, data))
        return
    store(block, KERNEL, kernel)
    store(block, ARGUMENTS, arguments)
    store(block, SIZES, sizes)
    store(block, STEPS, steps)
    store(block, DATA, data)
    store(block, INNER, inner)
    store(block, ARRAYS, arrays)
    store(block, DONE, 0)
    number = (load(block, CLAIM) >> 32) + 1
    publish(block, CLAIM, (number << 32) | (shares << 16) | 1)
    awake = True
    for helper in range(1, min(shares, load(block, HELPERS) + 1)):
        part = _part(block, helper)
        if load(part, SLEEPS):
            awake = False
            if swap(part, SLEEPS, 1, 0):
                call(load(block, RELEASE), (load(part, OWN_LOCK),))
    claim, done = 1, 0
    while claim:
        _do(block, own, (claim & 0xFFFF) - 1)
        add(block, DONE, 1)
        claim, done = _claim(block), done + 1
    computed = _now(block)
    alone = max(0, computed - begun - (0 if awake else WAKING))
    missed = load(block, MISSED) + alone if done == shares else 0
    store(block, MISSED, missed)
    if missed > AWAY:
        store(block, MISSED, 0)
        _go_alone(block, computed, missed)
    elif load(block, DONE) < shares:
        _wait(block, shares)
        waited = _now(block) - computed
        if waited > STALL + computed - begun:
            _go_alone(block, computed + waited, waited)


@_native(types.void(types.int64, types.int64))
def _help(block, number):  # type: ignore[no-untyped-def]
    """What a helper does, for ever."""
    own, looks = _part(block, number), 0
    while True:
        claim = _claim(block)
        if claim:
            _do(block, own, (claim & 0xFFFF) - 1)
            if add(block, DONE, 1) + 1 == (claim >> 16) & 0xFFFF and swap(block, WAITS, 1, 0):
                call(load(block, RELEASE), (load(block, LOCK),))
            looks = 0
        elif looks < LOOKS_OUT:
            looks += 1
            pause()
        else:
            publish(own, SLEEPS, 1)
            # A loop may have begun before anybody could see that this thread sleeps. Who has seen it releases.
            if _left(load(block, CLAIM)) == 0 or not swap(own, SLEEPS, 1, 0):
                call(load(block, ACQUIRE), (load(own, OWN_LOCK), 1))
            looks = 0


class Pool:
    """The block and the threads. One loop at a time may be in it."""

    def __init__(self, threads: int) -> None:
        for function in (share_out, _help):
            function.compile()
        python = ctypes.pythonapi
        python.PyThread_allocate_lock.restype = ctypes.c_void_p
        self._memory = (ctypes.c_int64 * (PARTS + threads * PART + LINE))()
        self.address = -(-ctypes.addressof(self._memory) // 64) * 64  # at the beginning of a cache line
        words = (ctypes.c_int64 * (len(self._memory) - LINE)).from_address(self.address)
        for word, function in ((ACQUIRE, python.PyThread_acquire_lock), (RELEASE, python.PyThread_release_lock)):
            words[word] = ctypes.cast(function, ctypes.c_void_p).value or 0
        if hasattr(time, "CLOCK_MONOTONIC"):
            words[CLOCK] = ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value or 0
            words[WHICH_CLOCK] = time.CLOCK_MONOTONIC
        words[LOCK] = _locked(python)
        for helper in range(1, threads):
            words[PARTS + helper * PART + OWN_LOCK] = _locked(python)
            try:  # not a Thread: nobody waits for it when the program ends
                _thread.start_new_thread(_help.ctypes, (self.address, helper))
            except RuntimeError:  # the system lets this process have no more threads
                break
            words[HELPERS] = helper


def _locked(python: Any) -> int:
    lock: int = python.PyThread_allocate_lock()
    python.PyThread_acquire_lock(ctypes.c_void_p(lock), 1)
    return lock
