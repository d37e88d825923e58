"""The door to the thread pool: the function through which Numba starts every parallel loop, here one of ours.

It runs all shares of a loop itself, one after another, where the pool must not be entered, or need not:

- if there is but one;
- in a forked child. A fork copies the thread that calls it and no other. The pool of threads is gone in the child, and
  who enters it ends the process (GNU OpenMP as Numba uses it) or waits for ever. A child that shall have threads is
  started by "spawn" or "forkserver".
- while another thread is in it, if the pool takes one at a time: ours does, and Numba's workqueue, which ends the
  process when two threads meet in it.

They are the same shares, so their sums round as they do with threads.

At a fork Numba may print "Unable to join threads to shut down before fork()", if another thread has run kernels, or
"Attempted to fork from a non-main thread". Both speak of a pool that a child would enter; ours does not.

A lock that another thread held when a process forked would never be released in the child either. So a fork waits
until nobody compiles, and until nobody is in the store of memory.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numba
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from .pool import Pool, share_out
from .threading_layer import OWN

_alone = ctypes.c_int32(0)  # 1 in a forked child
_inside = ctypes.c_int32(0)  # 1 while a thread is in a pool that takes one at a time
_keep: list[Any] = []  # the engine that owns the function's machine code, and the pool
_INT = ir.IntType(32)


def guard_the_pool(layer: str) -> None:
    """From now on Numba's loops come through here, to the pool of this name. Call it once, after Numba has started its
    threads."""
    if layer == OWN:
        own = Pool(numba.config.NUMBA_NUM_THREADS)
        _keep.append(own)
        first, pool = [own.address], share_out.address
    else:
        first, pool = [], binding.address_of_symbol("numba_parallel_for")
    binding.add_symbol("numba_parallel_for", _compile(pool, first, one_at_a_time=layer in (OWN, "workqueue")))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=global_compiler_lock.acquire,
            after_in_parent=global_compiler_lock.release,
            after_in_child=_in_child,
        )


def _in_child() -> None:
    _alone.value = 1
    global_compiler_lock.release()


def _compile(pool: int, first: list[int], one_at_a_time: bool) -> int:
    """The address of ``parallel_for(kernel, args, sizes, steps, data, dimensions, arrays, threads)``.

    With threads it calls the pool's function, which lies at the address ``pool``, with these arguments after ``first``.
    Alone it calls ``kernel(args, sizes, steps, data)``, which does the ``sizes[0]`` shares in a loop.
    """
    word = ir.IntType(8 * ctypes.sizeof(ctypes.c_void_p))  # integers and pointers alike
    of_kernel = ir.FunctionType(ir.VoidType(), [word] * 4)
    of_pool = ir.FunctionType(ir.VoidType(), [word] * (len(first) + 8))
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [word] * 8), "minigrad_parallel_for")
    code = ir.IRBuilder(function.append_basic_block())

    def flag(variable: Any) -> Any:
        return code.inttoptr(word(ctypes.addressof(variable)), _INT.as_pointer())

    def enter() -> None:
        code.call(code.inttoptr(word(pool), of_pool.as_pointer()), [*map(word, first), *function.args])

    several = code.icmp_unsigned(">", code.load(code.inttoptr(function.args[2], word.as_pointer())), word(1))
    together = code.and_(several, code.icmp_signed("==", code.load(flag(_alone)), _INT(0)))
    if one_at_a_time:
        with code.if_then(together):
            entered = code.extract_value(code.cmpxchg(flag(_inside), _INT(0), _INT(1), "seq_cst", "seq_cst"), 1)
            with code.if_then(entered):
                enter()
                code.atomic_rmw("xchg", flag(_inside), _INT(0), "seq_cst")
                code.ret_void()
    else:
        with code.if_then(together):
            enter()
            code.ret_void()
    code.call(code.inttoptr(function.args[0], of_kernel.as_pointer()), function.args[1:5])
    code.ret_void()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine()
    engine = binding.create_mcjit_compiler(binding.parse_assembly(str(module)), machine)
    engine.finalize_object()
    _keep.append(engine)
    address: int = engine.get_function_address("minigrad_parallel_for")
    return address


@intrinsic
def at_most(typing_context, n):  # type: ignore[no-untyped-def]
    """In a kernel: let the loops that follow use at most ``n`` threads; returns how many they could use before.

    A loop of fewer shares than threads would wake threads for nothing.
    """
    integer = ir.IntType(32)

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        function = cgutils.get_or_insert_function
        get = function(builder.module, ir.FunctionType(ir.IntType(context.address_size), []), "get_num_threads")
        set_ = function(builder.module, ir.FunctionType(ir.VoidType(), [integer]), "set_num_threads")
        before = builder.call(get, [])
        asked = context.cast(builder, args[0], signature.args[0], types.intp)
        fewer = builder.select(builder.icmp_signed("<", asked, before), asked, before)
        builder.call(set_, [builder.trunc(fewer, integer)])
        return before

    return types.intp(n), code


@intrinsic
def again(typing_context, before):  # type: ignore[no-untyped-def]
    """In a kernel: let loops use as many threads as before :func:`at_most`."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
        set_ = cgutils.get_or_insert_function(builder.module, kind, "set_num_threads")
        builder.call(set_, [builder.trunc(args[0], ir.IntType(32))])
        return context.get_dummy_value()

    return types.void(types.intp), code
