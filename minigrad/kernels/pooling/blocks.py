"""What the blocks of the pooling kernels are emitted from.

A *block* is LANES neighbouring outputs, one in each lane of a vector register. For every tap it loads what that tap
reads in all lanes and folds it in: with a stride of 1 these are neighbouring numbers, with a stride of 2 every second
one, which two loads and one shuffle bring into a register. Blocks are LLVM code, since the loops of a compiler give up
at the stride, or at the bytes beside floats.

A block always works on whole registers. Behind the end of a row it writes what has no meaning, into places that later
rows fill; where the memory ends, the loops around the blocks take care that it does not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from ..machine.simd import LANES

ZERO = np.float32(0)
I8, I32, I64, F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
FLOATS = ir.VectorType(F32, LANES)


def memory(context: Any, builder: Any, signature: Any, args: Any, i: int) -> Any:
    """The address of the first element of array argument ``i``."""
    return context.make_array(signature.args[i])(context, builder, args[i]).data


def load(builder: Any, data: Any, place: Any, element: Any = F32) -> Any:
    """LANES numbers from ``place`` on."""
    pointer = builder.bitcast(builder.gep(data, [place]), ir.VectorType(element, LANES).as_pointer())
    loaded = builder.load(pointer)
    loaded.align = 1 if element is I8 else 4
    return loaded


def store(builder: Any, value: Any, data: Any, place: Any) -> None:
    """LANES numbers to ``place`` and what follows."""
    pointer = builder.bitcast(builder.gep(data, [place]), value.type.as_pointer())
    stored = builder.store(value, pointer)
    stored.align = 1 if value.type.element is I8 else 4


def _shuffle(builder: Any, a: Any, b: Any, picks: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(picks)), picks))


def in_all_lanes(builder: Any, x: Any) -> Any:
    """The number x, LANES times."""
    undefined = ir.Constant(ir.VectorType(x.type, LANES), ir.Undefined)
    return _shuffle(builder, builder.insert_element(undefined, x, ir.Constant(I32, 0)), undefined, [0] * LANES)


def parted(builder: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """(a₀ a₂ … b₀ b₂ …) and (a₁ a₃ … b₁ b₃ …)."""
    even, odd = list(range(0, 2 * LANES, 2)), list(range(1, 2 * LANES, 2))
    return _shuffle(builder, a, b, even), _shuffle(builder, a, b, odd)


def interleaved(builder: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """(a₀ b₀ a₁ b₁ …) in two registers."""
    order = [i // 2 + (LANES if i % 2 else 0) for i in range(2 * LANES)]
    return _shuffle(builder, a, b, order[:LANES]), _shuffle(builder, a, b, order[LANES:])


def stepped(builder: Any, data: Any, place: Any, step: Any) -> Any:
    """LANES numbers from ``place`` on, ``step`` apart, which is 1 or 2. Nothing behind the last of them is read."""
    numbers = cgutils.alloca_once(builder, FLOATS)
    first = load(builder, data, place)
    builder.store(first, numbers)
    with builder.if_then(builder.icmp_signed("==", step, ir.Constant(I64, 2))):
        second = load(builder, data, builder.add(place, ir.Constant(I64, LANES - 1)))
        half = LANES // 2
        picks = [2 * i for i in range(half)] + [LANES + 2 * i + 1 for i in range(half)]
        builder.store(_shuffle(builder, first, second, picks), numbers)
    return builder.load(numbers)


def exceeds(builder: Any, v: Any, best: Any) -> Any:
    """Where v takes the place of the best so far: if it is larger, or NaN."""
    return builder.or_(builder.fcmp_ordered(">", v, best), builder.fcmp_unordered("uno", v, v))


def absolute(builder: Any, v: Any) -> Any:
    """|v|."""
    bits = builder.bitcast(v, ir.VectorType(I32, LANES))
    return builder.bitcast(builder.and_(bits, ir.Constant(bits.type, [0x7FFFFFFF] * LANES)), v.type)


@contextlib.contextmanager
def each_tap(builder: Any, start: Any, step: Any, taps: Any) -> Iterator[Any]:
    """A loop over ``taps`` places, ``step`` apart: gives the number of the tap and the place that it reads."""
    with cgutils.for_range(builder, taps) as tap:
        yield tap.index, builder.add(start, builder.mul(tap.index, step))
