"""The matrix product of small and middling float32 matrices on the CPU: C = A B.

BLAS libraries are tuned for large matrices. They first copy both operands into packed panels, which pays when each
number is then used hundreds of times; the products of a training step with a batch of 32 or 64 are over before that.
Here a register tile (see ``kernels/simd.py``) walks along k and reads A and B where they lie:

    for each block of ROWS rows of A and COLUMNS vectors of columns of B:
        sums = 0
        for k: sums[i][j] += A[i, k] · B[k, j-th vector]
        write sums to C

A may have any strides (so Aᵀ costs nothing); the rows of B and C must be contiguous. What the tile would read beyond
B's last column is kept from it by a copy of the last columns with zeros behind them, and what it would write beyond C
goes to a scratch tile.

The micro-kernel is emitted as LLVM code, because no loop of Python's reliably becomes a register tile: each sum is a
value of its own in the loop, and LLVM keeps values in registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compile import jit
from ..simd import COLUMNS, LANES, ROWS
from ..threads import get_num_threads

WIDTH = COLUMNS * LANES  # columns of a tile
PACK_FROM = 4  # row blocks from which copying a panel of B into one piece pays
PARALLEL_FROM = 1 << 18  # multiply-adds from which a second thread pays


@intrinsic  # type: ignore[misc]
def tile(  # type: ignore[no-untyped-def]
    typing_context, a, a_start, a_rows, a_step, b, b_start, b_step, depth, c, c_start, c_rows
):
    """C[c_start + i·c_rows + j] = Σₖ A[a_start + i·a_rows + k·a_step] · B[b_start + k·b_step + j] for a whole tile.

    All numbers are counted in elements from the start of the arrays' memory.
    """
    i8 = types.int64
    signature = types.void(a, i8, i8, i8, b, i8, i8, i8, c, i8, i8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        scalar, index = ir.FloatType(), ir.IntType(64)
        vector = ir.VectorType(scalar, LANES)
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{LANES}f32"
        )

        def data(i: int) -> Any:
            return context.make_array(signature.args[i])(context, builder, args[i]).data

        def at(pointer: Any, offset: Any) -> Any:
            return builder.gep(pointer, [offset])

        def constant(n: int) -> Any:
            return ir.Constant(index, n)

        def in_all_lanes(x: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(undefined, x, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))

        _, a_start, a_rows, a_step, _, b_start, b_step, depth, _, c_start, c_rows = args
        a0, b0, c0 = at(data(0), a_start), at(data(4), b_start), at(data(8), c_start)
        rows = [at(a0, builder.mul(a_rows, constant(i))) for i in range(ROWS)]
        before = builder.block
        head, body, end = (builder.append_basic_block(f"tile.{name}") for name in ("head", "body", "end"))
        builder.branch(head)

        builder.position_at_end(head)
        k = builder.phi(index)
        k.add_incoming(constant(0), before)
        zero = ir.Constant(vector, [0.0] * LANES)
        sums = [[builder.phi(vector) for _ in range(COLUMNS)] for _ in range(ROWS)]
        for row in sums:
            for s in row:
                s.add_incoming(zero, before)
        builder.cbranch(builder.icmp_signed("<", k, depth), body, end)

        builder.position_at_end(body)
        line = at(b0, builder.mul(k, b_step))
        columns = []
        for j in range(COLUMNS):
            loaded = builder.load(builder.bitcast(at(line, constant(j * LANES)), vector.as_pointer()))
            loaded.align = 4
            columns.append(loaded)
        step = builder.mul(k, a_step)
        for i, row in enumerate(sums):
            factor = in_all_lanes(builder.load(at(rows[i], step)))
            for j, s in enumerate(row):
                s.add_incoming(builder.call(fma, [factor, columns[j], s]), body)
        k.add_incoming(builder.add(k, constant(1)), body)
        builder.branch(head)

        builder.position_at_end(end)
        for i, row in enumerate(sums):
            line = at(c0, builder.mul(c_rows, constant(i)))
            for j, s in enumerate(row):
                stored = builder.store(s, builder.bitcast(at(line, constant(j * LANES)), vector.as_pointer()))
                stored.align = 4
        return context.get_dummy_value()

    return signature, generate


@jit
def _panels(a: Any, a_rows: int, a_step: int, b: Any, c: Any, top: int, bottom: int, left: int, right: int) -> None:
    """The part of C = A B between rows ``top``, ``bottom`` and columns ``left``, ``right``; at least ROWS rows.

    ``a`` is flat memory: A[i, k] lies at i · a_rows + k · a_step.
    """
    depth, n = b.shape
    scratch = np.empty((ROWS, WIDTH), np.float32)
    flat_b, flat_c, flat_scratch = b.ravel(), c.ravel(), scratch.ravel()
    packed = np.empty((depth, WIDTH), np.float32)
    pack_all = bottom - top >= PACK_FROM * ROWS
    for j in range(left, right, WIDTH):
        inside = min(WIDTH, right - j)
        source, start, step = flat_b, j, n
        if inside < WIDTH or pack_all:
            for k in range(depth):
                line, into = b[k], packed[k]
                for q in range(inside):
                    into[q] = line[j + q]
                for q in range(inside, WIDTH):
                    into[q] = np.float32(0)
            source, start, step = packed.ravel(), 0, WIDTH
        for block in range(top, bottom, ROWS):
            i = min(block, bottom - ROWS)  # the last tile steps back and does some rows again
            if inside == WIDTH:
                tile(a, i * a_rows, a_rows, a_step, source, start, step, depth, flat_c, i * n + j, n)
            else:
                tile(a, i * a_rows, a_rows, a_step, source, start, step, depth, flat_scratch, 0, WIDTH)
                for r in range(ROWS):
                    for q in range(inside):
                        c[i + r, j + q] = scratch[r, q]


@jit(parallel=True)
def _shared(a: Any, a_rows: int, a_step: int, b: Any, c: Any, parts: int) -> None:
    """C = A B, shared out over threads by columns if there are enough of them, else by rows."""
    m, n = c.shape
    by_columns = n >= parts * WIDTH
    length = (n // parts + WIDTH - 1) // WIDTH * WIDTH if by_columns else m // parts
    for t in prange(parts):
        start = t * length
        if by_columns:
            _panels(a, a_rows, a_step, b, c, 0, m, min(n, start), n if t == parts - 1 else min(n, start + length))
        else:
            _panels(a, a_rows, a_step, b, c, start, m if t == parts - 1 else start + length, 0, n)


@jit
def transpose(x: Any, y: Any) -> None:
    """y = xᵀ, block by block, so that neither side jumps through memory for long."""
    m, n = x.shape
    for i in range(0, m, 16):
        for j in range(0, n, 16):
            for q in range(j, min(n, j + 16)):
                for r in range(i, min(m, i + 16)):
                    y[q, r] = x[r, q]


def _product(a: Any, a_rows: int, a_step: int, m: int, b: Any) -> Any:
    """C (m, n) = A B; ``a`` is flat, ``b`` (depth, n) contiguous, and m at least ROWS."""
    depth, n = b.shape
    c = np.empty((m, n), np.float32)
    parts = get_num_threads()
    if parts > 1 and m * n * depth >= PARALLEL_FROM and (n >= parts * WIDTH or m >= parts * ROWS):
        _shared(a, a_rows, a_step, b, c, parts)
    else:
        _panels(a, a_rows, a_step, b, c, 0, m, 0, n)
    return c


def _transposed(x: Any) -> Any:
    y = np.empty((x.shape[1], x.shape[0]), np.float32)
    transpose(x, y)
    return y


def _pays(rows: int, depth: int, columns: int) -> bool:
    """Whether the tile is worth filling; BLAS does the rest (on one thread: such products are small)."""
    return rows >= ROWS and columns >= LANES and depth >= LANES // 2


def times(a: Any, b: Any) -> Any:
    """A B for contiguous float32 matrices (m, k), (k, n)."""
    m, k = a.shape
    return _product(a.ravel(), k, 1, m, b) if _pays(m, k, b.shape[1]) else a @ b


def transposed_times(a: Any, b: Any) -> Any:
    """Aᵀ B for contiguous float32 matrices (k, m), (k, n)."""
    k, m = a.shape
    return _product(a.ravel(), 1, m, m, b) if _pays(m, k, b.shape[1]) else a.T @ b


def times_transposed(a: Any, b: Any) -> Any:
    """A Bᵀ for contiguous float32 matrices (m, k), (n, k).

    The tile wants a factor with contiguous columns. Either B is transposed, or the whole is: (A Bᵀ)ᵀ = B Aᵀ, with Aᵀ and
    the result to transpose. Whichever moves fewer numbers.
    """
    (m, k), n = a.shape, b.shape[0]
    if not (_pays(m, k, n) and _pays(n, k, m)):
        return a @ b.T
    if m * (k + n) < k * n:
        return _transposed(_product(b.ravel(), k, 1, n, _transposed(a)))
    return _product(a.ravel(), k, 1, m, _transposed(b))
