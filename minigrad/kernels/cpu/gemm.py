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
SMALLEST = 1 << 17  # multiply-adds from which this beats the shorter way to BLAS
DEPTH = 512  # of one walk of the tile
WIDE = 512  # columns from which a tile with empty rows still beats BLAS
TRANSPOSE_PARALLEL_FROM = 1 << 14  # elements
PARALLEL_FROM = 1 << 18  # multiply-adds from which a second thread pays


@intrinsic
def tile(  # type: ignore[no-untyped-def]
    typing_context, a, a_start, a_rows, a_step, b, b_start, b_step, depth, c, c_start, c_rows, add
):
    """C[c_start + i·c_rows + j] = Σₖ A[a_start + i·a_rows + k·a_step] · B[b_start + k·b_step + j] for a whole tile.

    All numbers are counted in elements from the start of the arrays' memory. If ``add`` is not 0, C grows by the sums.
    """
    i8 = types.int64
    signature = types.void(a, i8, i8, i8, b, i8, i8, i8, c, i8, i8, i8)

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
            return builder.shuffle_vector(
                one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            )

        _, a_start, a_rows, a_step, _, b_start, b_step, depth, _, c_start, c_rows, add = args
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
        with builder.if_else(builder.icmp_signed("!=", add, constant(0))) as (adding, writing):
            for block, to_old in ((adding, True), (writing, False)):
                with block:
                    for i, row in enumerate(sums):
                        line = at(c0, builder.mul(c_rows, constant(i)))
                        for j, s in enumerate(row):
                            place = builder.bitcast(at(line, constant(j * LANES)), vector.as_pointer())
                            new = s
                            if to_old:
                                old = builder.load(place)
                                old.align = 4
                                new = builder.fadd(old, s)
                            stored = builder.store(new, place)
                            stored.align = 4
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _transpose_block(typing_context, x, x_start, x_rows, y, y_start, y_rows):  # type: ignore[no-untyped-def]
    """y = xᵀ for a square of LANES × LANES numbers, in registers.

    Halve the square again and again: at distance d, the upper right d × d blocks of row pairs (i, i + d) change places
    with the lower left ones. log₂ LANES rounds of shuffles transpose the whole.
    """
    i8 = types.int64
    signature = types.void(x, i8, i8, y, i8, i8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = ir.IntType(64)
        vector = ir.VectorType(ir.FloatType(), LANES)
        mask_type = ir.VectorType(ir.IntType(32), LANES)

        def line(i: int, start: Any, step: Any, row: int) -> Any:
            memory = context.make_array(signature.args[i])(context, builder, args[i]).data
            place = builder.add(start, builder.mul(step, ir.Constant(index, row)))
            return builder.bitcast(builder.gep(memory, [place]), vector.as_pointer())

        rows = []
        for r in range(LANES):
            loaded = builder.load(line(0, args[1], args[2], r))
            loaded.align = 4
            rows.append(loaded)
        d = LANES // 2
        while d:
            upper = ir.Constant(mask_type, [LANES + j - d if j & d else j for j in range(LANES)])
            lower = ir.Constant(mask_type, [LANES + j if j & d else j + d for j in range(LANES)])
            for i in range(LANES):
                if not i & d:
                    a, b = rows[i], rows[i + d]
                    rows[i] = builder.shuffle_vector(a, b, upper)
                    rows[i + d] = builder.shuffle_vector(a, b, lower)
            d //= 2
        for r, row in enumerate(rows):
            stored = builder.store(row, line(3, args[4], args[5], r))
            stored.align = 4
        return context.get_dummy_value()

    return signature, generate


@jit
def _transpose_rows(x: Any, y: Any, top: int, bottom: int) -> None:
    """Rows ``top`` to ``bottom`` of x into y = xᵀ, in squares of LANES × LANES; the edges one by one."""
    m, n = x.shape
    flat_x, flat_y = x.ravel(), y.ravel()
    rows, columns = bottom - (bottom - top) % LANES, n - n % LANES
    for i in range(top, rows, LANES):
        for j in range(0, columns, LANES):
            _transpose_block(flat_x, i * n + j, n, flat_y, j * m + i, m)
        for j in range(columns, n):
            for r in range(i, i + LANES):
                y[j, r] = x[r, j]
    for i in range(rows, bottom):
        for j in range(n):
            y[j, i] = x[i, j]


@jit
def _pack_columns(b: Any, start: int, stop: int, left: int, width: int, packed: Any) -> None:
    """Rows ``start`` to ``stop`` of a panel of B's columns in one piece, zeros behind the last column."""
    for k in range(start, stop):
        line, into = b[k], packed[k - start]
        for q in range(width):
            into[q] = line[left + q]
        for q in range(width, WIDTH):
            into[q] = np.float32(0)


@jit
def _copy_tile(scratch: Any, c: Any, top: int, rows: int, left: int, columns: int, add: int) -> None:
    for r in range(rows):
        for q in range(columns):
            c[top + r, left + q] = scratch[r, q] + (c[top + r, left + q] if add else np.float32(0))


@jit
def _panels(a: Any, a_rows: int, a_step: int, b: Any, c: Any, top: int, bottom: int, left: int, right: int) -> None:
    """The part of C = A B between rows ``top``, ``bottom`` and columns ``left``, ``right``.

    ``a`` is flat memory: A[i, k] lies at i · a_rows + k · a_step. It must hold at least ROWS rows, C may have fewer.
    The depth is walked in pieces of at most DEPTH, so that a panel of B and a block of A stay in the cache.
    """
    n = b.shape[1]
    longest = min(b.shape[0], DEPTH)
    scratch = np.empty((ROWS, WIDTH), np.float32)
    packed = np.empty((longest, WIDTH), np.float32)
    rows = np.empty((bottom - top + ROWS) * longest if a_rows == 1 else 0, np.float32)
    flat_b, flat_c, flat_scratch, flat_packed = b.ravel(), c.ravel(), scratch.ravel(), packed.ravel()
    pack_all = bottom - top >= PACK_FROM * ROWS
    for start in range(0, b.shape[0], DEPTH):
        stop = min(b.shape[0], start + DEPTH)
        depth, add = stop - start, 1 if start else 0
        if a_rows == 1:
            # A is a transpose: its columns lie far apart, often by a power of two, where they push each other out of
            # the cache. So the rows of each tile are copied together first.
            for block in range(top, bottom, ROWS):
                i, to = max(top, min(block, bottom - ROWS)), (block - top) * depth
                for k in range(depth):
                    for r in range(ROWS):
                        rows[to + k * ROWS + r] = a[(start + k) * a_step + i + r]
        for j in range(left, right, WIDTH):
            width = min(WIDTH, right - j)
            direct = width == WIDTH and not pack_all
            if not direct:
                _pack_columns(b, start, stop, j, width, packed)
            for block in range(top, bottom, ROWS):
                i = max(top, min(block, bottom - ROWS))  # the last tile steps back, and writes only what is new
                fresh = block - i
                into_c = width == WIDTH and fresh == 0 and bottom - i >= ROWS
                from_b, from_b_step = (start * n + j, n) if direct else (0, WIDTH)
                to_c, to_c_step = (i * n + j, n) if into_c else (0, WIDTH)
                source_b, target = flat_b if direct else flat_packed, flat_c if into_c else flat_scratch
                to_add = add if into_c else 0
                if a_rows == 1:
                    at = (block - top) * depth
                    tile(rows, at, 1, ROWS, source_b, from_b, from_b_step, depth, target, to_c, to_c_step, to_add)
                else:
                    at = i * a_rows + start * a_step
                    tile(a, at, a_rows, a_step, source_b, from_b, from_b_step, depth, target, to_c, to_c_step, to_add)
                if not into_c:
                    _copy_tile(scratch[fresh:], c, block, min(ROWS, bottom - block), j, width, add)


@jit(parallel=True)
def _shared(a: Any, a_rows: int, a_step: int, b: Any, c: Any, parts: int, by_columns: bool) -> None:
    """C = A B, shared out over threads by columns or by rows."""
    m, n = c.shape
    length = (n // parts + WIDTH - 1) // WIDTH * WIDTH if by_columns else m // parts
    for t in prange(parts):
        start = t * length
        if by_columns:
            _panels(a, a_rows, a_step, b, c, 0, m, min(n, start), n if t == parts - 1 else min(n, start + length))
        else:
            _panels(a, a_rows, a_step, b, c, start, m if t == parts - 1 else start + length, 0, n)


@jit(parallel=True)
def _shared_depth(a: Any, a_rows: int, a_step: int, b: Any, c: Any, sums: Any) -> None:
    """C = A B, shared out by depth: each thread takes some of A's columns and B's rows, and the products add up."""
    m, n = c.shape
    depth = b.shape[0]
    parts = sums.shape[0]
    length = depth // parts
    for t in prange(parts):
        start = t * length
        stop = depth if t == parts - 1 else start + length
        _panels(a[start * a_step :], a_rows, a_step, b[start:stop], sums[t], 0, m, 0, n)
    for i in range(m):
        for t in range(parts):
            for j in range(n):
                c[i, j] = sums[t, i, j] if t == 0 else c[i, j] + sums[t, i, j]


def _product(a: Any, a_rows: int, a_step: int, m: int, b: Any) -> Any:
    """C (m, n) = A B; ``a`` is flat, ``b`` (depth, n) contiguous, and m at least ROWS."""
    depth, n = b.shape
    c = np.empty((m, n), np.float32)
    parts = get_num_threads()
    if parts == 1 or m * n * depth < PARALLEL_FROM:
        _panels(a, a_rows, a_step, b, c, 0, m, 0, n)
    elif m >= parts * 3 * ROWS:
        # Rows of a weight (or of its gradient) go to the same core as in the other products and in the optimizer, and
        # lie in its own cache.
        _shared(a, a_rows, a_step, b, c, parts, False)
    elif depth >= parts * 64 and m * n <= depth * 128:
        _shared_depth(a, a_rows, a_step, b, c, np.empty((parts, m, n), np.float32))  # B's rows, for the same reason
    elif n >= parts * WIDTH:
        _shared(a, a_rows, a_step, b, c, parts, True)
    else:
        _panels(a, a_rows, a_step, b, c, 0, m, 0, n)
    return c


@jit(parallel=True)
def _transpose_shared(x: Any, y: Any, parts: int) -> None:
    """y = xᵀ, the rows of x shared out over threads in whole squares."""
    length = (x.shape[0] // LANES + parts - 1) // parts * LANES
    for t in prange(parts):
        _transpose_rows(x, y, min(x.shape[0], t * length), x.shape[0] if t == parts - 1 else (t + 1) * length)


def _transposed(x: Any) -> Any:
    y = np.empty((x.shape[1], x.shape[0]), np.float32)
    parts = get_num_threads()
    if parts == 1 or x.size < TRANSPOSE_PARALLEL_FROM or x.shape[0] < parts * LANES:
        _transpose_rows(x, y, 0, x.shape[0])
    else:
        _transpose_shared(x, y, parts)
    return y


def _pays(rows: int, depth: int, columns: int) -> bool:
    """Whether the tile is worth filling; BLAS does the rest, on one thread: such products are small."""
    return rows >= ROWS and columns >= LANES and depth >= LANES // 2 and rows * depth * columns > SMALLEST


def times(a: Any, b: Any) -> Any:
    """A B for contiguous float32 matrices (m, k), (k, n)."""
    m, k = a.shape
    return _product(a.ravel(), k, 1, m, b) if _pays(m, k, b.shape[1]) else a @ b


def transposed_times(a: Any, b: Any) -> Any:
    """Aᵀ B for contiguous float32 matrices (k, m), (k, n)."""
    (k, m), n = a.shape, b.shape[1]
    if _pays(m, k, n):
        return _product(a.ravel(), 1, m, m, b)
    if ROWS // 2 <= m < ROWS and n >= WIDE and k >= LANES:  # a few rows, but long ones: a tile that is not quite full
        padded = np.zeros((k, ROWS), np.float32)
        padded[:, :m] = a
        return _product(padded.ravel(), 1, ROWS, m, b)
    return a.T @ b


def times_transposed(a: Any, b: Any) -> Any:
    """A Bᵀ for contiguous float32 matrices (m, k), (n, k).

    The tile wants a right factor with contiguous rows. Either B is transposed, or everything is: (A Bᵀ)ᵀ = B Aᵀ, with
    Aᵀ and the result to transpose; whichever moves fewer numbers.
    """
    (m, k), n = a.shape, b.shape[0]
    if m * k * n <= SMALLEST or not (_pays(m, k, n) and _pays(n, k, m)):
        return a @ b.T
    if m * (k + n) < k * n:
        return _transposed(_product(b.ravel(), k, 1, n, _transposed(a)))
    return _product(a.ravel(), k, 1, m, _transposed(b))
