"""What kernels do in a forked child: they run on one thread, and give the same numbers.

A fork copies the thread that calls it and no other. The pool of threads that shares out a kernel's loops is gone in the
child, and who enters it ends the process (GNU OpenMP as Numba uses it) or waits for ever. So Numba starts parallel
loops through a function of ours, which in a forked child runs all shares itself, one after another. They are the
parent's shares, so their sums round as the parent's do. A child that shall have threads is started by "spawn" or
"forkserver".

A lock that another thread held at that moment would never be released in the child either. So a fork waits until
nobody compiles, and until nobody is in the store of memory.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from llvmlite import binding, ir
from numba.core.compiler_lock import global_compiler_lock

_alone = ctypes.c_int32(0)  # 1 in a forked child
_keep: list[Any] = []  # the engine that owns the function's machine code


def stay_alone_in_forks() -> None:
    """From now on forked children use no thread pool. Call it once, after Numba has chosen its threads."""
    if not hasattr(os, "register_at_fork"):  # Windows has no fork
        return
    binding.add_symbol("numba_parallel_for", _compile(binding.address_of_symbol("numba_parallel_for")))
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=_in_child,
    )


def _in_child() -> None:
    _alone.value = 1
    global_compiler_lock.release()


def _compile(pool: int) -> int:
    """The address of ``parallel_for(kernel, args, sizes, steps, data, dimensions, arrays, threads)``.

    With threads it calls the pool's function of this signature, which lies at the address ``pool``. Alone it calls
    ``kernel(args, sizes, steps, data)``, which does the ``sizes[0]`` shares in a loop.
    """
    word = ir.IntType(8 * ctypes.sizeof(ctypes.c_void_p))  # integers and pointers alike
    of_kernel = ir.FunctionType(ir.VoidType(), [word] * 4)
    of_pool = ir.FunctionType(ir.VoidType(), [word] * 8)
    module = ir.Module()
    function = ir.Function(module, of_pool, "minigrad_parallel_for")
    code = ir.IRBuilder(function.append_basic_block())
    flag = code.load(code.inttoptr(word(ctypes.addressof(_alone)), ir.IntType(32).as_pointer()))
    with code.if_else(code.icmp_signed("!=", flag, flag.type(0))) as (alone, together):
        with alone:
            kernel = code.inttoptr(function.args[0], of_kernel.as_pointer())
            code.call(kernel, function.args[1:5])
        with together:
            code.call(code.inttoptr(word(pool), of_pool.as_pointer()), function.args)
    code.ret_void()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine()
    engine = binding.create_mcjit_compiler(binding.parse_assembly(str(module)), machine)
    engine.finalize_object()
    _keep.append(engine)
    address: int = engine.get_function_address("minigrad_parallel_for")
    return address
