"""The register tile: the inner loop of matrix products and of convolutions.

    C[i, j] = Σₖ A[i, k] · B[k, j]   for a block of ``rows`` × (``columns`` vectors)

Why it is fast. A core can do two multiply-adds on whole vectors per clock, but it can also load only two vectors per
clock. The plain loop, "load a, load b, add a·b to c", loads more than it computes. The tile keeps a block of C, say 12
rows × 2 vectors = 24 running sums, in registers. One step of k then loads 2 vectors of B and 12 numbers of A, and makes
24 vector products from them: the multipliers, not the loads, set the pace. Two more things have to fit: a multiply-add
takes four clocks until its sum can be used again, so at least eight sums must be under way at once; and the processor
has 32 vector registers (AVX-512, NEON) or 16 (AVX2), which all the sums have to share with what was loaded.

Why one tile serves a convolution too. Nothing above says that the rows of A lie at equal distances, nor that k counts
neighbours. So

    A[i, k] lies at  a_start + a_rows[i] + (what step k adds),

with a table ``a_rows``: the rows may be pixels anywhere in an image. And k runs in two loops: ``runs`` pieces whose
places stand in tables (one row of a convolution's window each, say), and ``depth`` steps of equal distance inside a
piece. The output's rows have a table as well, so results go straight to the pixels they belong to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import intrinsic

from .compile import jit
from .simd import COLUMNS, LANES, ROWS
from .vector import Emitter, Vector, emitted

WIDTH = COLUMNS * LANES  # columns of a tile


def register_tile(rows: int, columns: int, adjacent: bool = False) -> Any:
    """The tile of ``rows`` × ``columns`` vectors as an intrinsic: a function for compiled code.

    With ``adjacent`` the rows of A lie one number apart, and only the first one's place is looked up: all rows are then
    read through one address register instead of twelve.

    Its arguments count in elements from the start of each array's memory:

    - ``a, a_start, a_rows, a_runs, a_step`` and ``b, b_start, b_runs, b_step``: in run r and step k, row i of A is at
      a_start + a_rows[i_start + i] + a_runs[r] + k·a_step, the columns of B are at b_start + b_runs[r] + k·b_step,
    - ``runs``, ``depth``: how many runs, and how many steps in each,
    - ``c, c_start, c_rows``: row i of C is at c_start + c_rows[i_start + i],
    - ``add``: C grows by the sums if it is not 0, else it is overwritten.
    """

    @intrinsic
    def tile(  # type: ignore[no-untyped-def]
        typing_context,
        a,
        a_start,
        a_rows,
        a_runs,
        a_step,
        b,
        b_start,
        b_runs,
        b_step,
        runs,
        depth,
        c,
        c_start,
        c_rows,
        i_start,
        add,
    ):
        def body(
            emit: Emitter, a: Any, a_start: Any, a_rows: Any, a_runs: Any, a_step: Any, b: Any, b_start: Any,
            b_runs: Any, b_step: Any, runs: Any, depth: Any, c: Any, c_start: Any, c_rows: Any, i_start: Any, add: Any,
        ) -> None:  # fmt: skip
            places = emit.at(a_rows, i_start)
            first = emit.at(a, emit.plus(a_start, emit.element(places)))
            a_lines = [
                first if adjacent else emit.at(a, emit.plus(a_start, emit.element(places, i))) for i in range(rows)
            ]
            b_line = emit.at(b, b_start)

            def run(r: Any, sums: list[Any]) -> list[Any]:
                a_run = emit.element(a_runs, r)
                a_here = [emit.at(line, a_run) for line in a_lines]
                b_here = emit.at(b_line, emit.element(b_runs, r))

                def step(k: Any, sums: list[Any]) -> list[Any]:
                    b_now, a_now = emit.at(b_here, emit.times(k, b_step)), emit.times(k, a_step)
                    vectors = [emit.load(b_now, j * LANES) for j in range(columns)]
                    new = []
                    for i in range(rows):
                        factor = emit.in_all_lanes(emit.at(a_here[i], a_now), i if adjacent else 0)
                        new += [emit.fma(factor, v, sums[i * columns + j]) for j, v in enumerate(vectors)]
                    return new

                return emit.loop(depth, sums, step)

            sums: list[Vector] = emit.loop(runs, [emit.zero()] * (rows * columns), run)
            into = emit.at(c_rows, i_start)

            def write(to_old: bool) -> None:
                for i in range(rows):
                    line = emit.at(c, emit.plus(c_start, emit.element(into, i)))
                    for j in range(columns):
                        s = sums[i * columns + j]
                        emit.store(emit.load(line, j * LANES) + s if to_old else s, line, j * LANES)

            emit.either(add, lambda: write(True), lambda: write(False))

        return emitted(
            body, a, a_start, a_rows, a_runs, a_step, b, b_start, b_runs, b_step, runs, depth, c, c_start, c_rows,
            i_start, add,
        )  # fmt: skip

    return tile


@intrinsic
def panel_tile(  # type: ignore[no-untyped-def]
    typing_context, a, a_start, b, b_start, b_step, ahead, depth, c, c_start, c_step, add
):
    """The plain tile of a large matrix product, ROWS × COLUMNS vectors: no tables, and A lies in a panel.

    A[i, k] is at a_start + k·ROWS + i, the columns of B at b_start + k·b_step, row i of C at c_start + i·c_step.
    Memory is slow, so while the sums are made the tile fetches what will be needed: its rows of C, and a quarter of the
    next panel of B, which begins at ``ahead`` in B's memory.
    """

    def body(
        emit: Emitter, a: Any, a_start: Any, b: Any, b_start: Any, b_step: Any, ahead: Any, depth: Any,
        c: Any, c_start: Any, c_step: Any, add: Any,
    ) -> None:  # fmt: skip
        a_first, b_first, b_next = emit.at(a, a_start), emit.at(b, b_start), emit.at(b, ahead)
        lines = [emit.at(c, emit.plus(c_start, emit.times(i, c_step))) for i in range(ROWS)]
        for line in lines:
            emit.prefetch(line)
            emit.prefetch(line, WIDTH - 1)

        def step(k: Any, sums: list[Any]) -> list[Any]:
            a_now, b_now = emit.at(a_first, emit.times(k, ROWS)), emit.at(b_first, emit.times(k, b_step))
            emit.prefetch(b_next, emit.times(k, WIDTH // 4), level=2)
            vectors = [emit.load(b_now, j * LANES) for j in range(COLUMNS)]
            new = []
            for i in range(ROWS):
                factor = emit.in_all_lanes(a_now, i)
                new += [emit.fma(factor, v, sums[i * COLUMNS + j]) for j, v in enumerate(vectors)]
            return new

        sums: list[Vector] = emit.loop(depth, [emit.zero()] * (ROWS * COLUMNS), step, unroll=4)

        def write(to_old: bool) -> None:
            for i, line in enumerate(lines):
                for j in range(COLUMNS):
                    s = sums[i * COLUMNS + j]
                    emit.store(emit.load(line, j * LANES) + s if to_old else s, line, j * LANES)

        emit.either(add, lambda: write(True), lambda: write(False))

    return emitted(body, a, a_start, b, b_start, b_step, ahead, depth, c, c_start, c_step, add)


def _transpose(emit: Emitter, rows: list[Vector]) -> list[Vector]:
    """A square of LANES × LANES numbers, its rows in registers, transposed.

    Halve the square again and again: at distance d, the upper right d × d blocks of row pairs (i, i + d) change places
    with the lower left ones. log₂ LANES rounds of shuffles transpose the whole.
    """
    rows = list(rows)
    d = LANES // 2
    while d:
        upper = [LANES + j - d if j & d else j for j in range(LANES)]
        lower = [LANES + j if j & d else j + d for j in range(LANES)]
        for i in range(LANES):
            if not i & d:
                a, b = rows[i], rows[i + d]
                rows[i], rows[i + d] = emit.shuffle(a, b, upper), emit.shuffle(a, b, lower)
        d //= 2
    return rows


@intrinsic
def transpose_square(typing_context, x, x_start, x_rows, y, y_start, y_rows, i_start):  # type: ignore[no-untyped-def]
    """y = xᵀ for LANES × LANES numbers: column i of x goes to y_start + y_rows[i_start + i]."""

    def body(emit: Emitter, x: Any, x_start: Any, x_rows: Any, y: Any, y_start: Any, y_rows: Any, i_start: Any) -> None:
        first, into = emit.at(x, x_start), emit.at(y_rows, i_start)
        rows = [emit.load(first, emit.times(r, x_rows)) for r in range(LANES)]
        for r, row in enumerate(_transpose(emit, rows)):
            emit.store(row, y, emit.plus(y_start, emit.element(into, r)))

    return emitted(body, x, x_start, x_rows, y, y_start, y_rows, i_start)


@intrinsic
def copy_vector(typing_context, x, x_start, y, y_start):  # type: ignore[no-untyped-def]
    """y = x for LANES numbers."""

    def body(emit: Emitter, x: Any, x_start: Any, y: Any, y_start: Any) -> None:
        emit.store(emit.load(x, x_start), y, y_start)

    return emitted(body, x, x_start, y, y_start)


@intrinsic
def copy_vector_above(typing_context, x, x_start, bias, floor, o, y, y_start):  # type: ignore[no-untyped-def]
    """y = max(x + bias[o], floor[0]) for LANES numbers. NaN stays NaN."""

    def body(emit: Emitter, x: Any, x_start: Any, bias: Any, floor: Any, o: Any, y: Any, y_start: Any) -> None:
        shifted = emit.load(x, x_start) + emit.in_all_lanes(bias, o)
        emit.store(shifted.maximum(emit.in_all_lanes(floor)), y, y_start)

    return emitted(body, x, x_start, bias, floor, o, y, y_start)


@intrinsic
def transpose_square_above(  # type: ignore[no-untyped-def]
    typing_context, x, x_start, x_rows, bias, floor, o, y, y_start, y_rows
):
    """y = max(xᵀ + bias, floor[0]): column i of x gets bias[o + i] and goes to y_start + i·y_rows.

    With a floor of -∞ nothing is cut off, with 0 it is a ReLU. NaN stays NaN.
    """

    def body(
        emit: Emitter,
        x: Any,
        x_start: Any,
        x_rows: Any,
        bias: Any,
        floor: Any,
        o: Any,
        y: Any,
        y_start: Any,
        y_rows: Any,
    ) -> None:
        first, lowest = emit.at(x, x_start), emit.in_all_lanes(floor)
        rows = [emit.load(first, emit.times(r, x_rows)) for r in range(LANES)]
        for r, row in enumerate(_transpose(emit, rows)):
            shifted = (row + emit.in_all_lanes(bias, emit.plus(o, r))).maximum(lowest)
            emit.store(shifted, y, emit.plus(y_start, emit.times(r, y_rows)))

    return emitted(body, x, x_start, x_rows, bias, floor, o, y, y_start, y_rows)


def dot_tile(rows: int, columns: int) -> Any:
    """A tile of ``rows`` × ``columns`` dot products of long vectors, for results too few to fill vectors themselves.

    Both factors are vectors along k, and so is each running sum: LANES partial sums, added up only at the very end.

    - ``a, a_start, a_rows, a_runs``: row i of A in run r is at a_start + i·a_rows + a_runs[r], LANES numbers a step,
    - ``b, b_start, b_rows, b_runs``: column j of B in run r is at b_start + b_rows[j_start + j] + b_runs[r],
    - ``c, c_start, c_rows``: the vector of sums (i, j) is added to c_start + i·c_rows + (j_start + j)·LANES.
    """

    @intrinsic
    def tile(  # type: ignore[no-untyped-def]
        typing_context, a, a_start, a_rows, a_runs, b, b_start, b_rows, b_runs, j_start, runs, depth, c, c_start, c_rows
    ):
        def body(
            emit: Emitter, a: Any, a_start: Any, a_rows: Any, a_runs: Any, b: Any, b_start: Any, b_rows: Any,
            b_runs: Any, j_start: Any, runs: Any, depth: Any, c: Any, c_start: Any, c_rows: Any,
        ) -> None:  # fmt: skip
            a_first, b_first = emit.at(a, a_start), emit.at(b, b_start)
            places = emit.at(b_rows, j_start)
            b_lines = [emit.at(b_first, emit.element(places, j)) for j in range(columns)]

            def run(r: Any, sums: list[Any]) -> list[Any]:
                a_line, b_run = emit.at(a_first, emit.element(a_runs, r)), emit.element(b_runs, r)
                a_here = [emit.at(a_line, emit.times(i, a_rows)) for i in range(rows)]
                b_here = [emit.at(line, b_run) for line in b_lines]

                def step(k: Any, sums: list[Any]) -> list[Any]:
                    now = emit.times(k, LANES)
                    left, right = [emit.load(p, now) for p in a_here], [emit.load(p, now) for p in b_here]
                    return [
                        emit.fma(left[i], v, sums[i * columns + j]) for i in range(rows) for j, v in enumerate(right)
                    ]

                return emit.loop(depth, sums, step)

            sums: list[Vector] = emit.loop(runs, [emit.zero()] * (rows * columns), run)
            for i in range(rows):
                line = emit.at(c, emit.plus(c_start, emit.times(i, c_rows), emit.times(j_start, LANES)))
                for j in range(columns):
                    emit.store(emit.load(line, j * LANES) + sums[i * columns + j], line, j * LANES)

        return emitted(
            body, a, a_start, a_rows, a_runs, b, b_start, b_rows, b_runs, j_start, runs, depth, c, c_start, c_rows
        )

    return tile


@jit
def multiples(count: int, step: int, most: int) -> Any:
    """0, 1, …, count - 1, none larger than ``most``, times ``step``."""
    table = np.empty(count, np.int64)
    for i in range(count):
        table[i] = min(i, most) * step
    return table


@jit
def zeros(size: int) -> Any:
    array = np.empty(size, np.float32)
    for i in range(size):
        array[i] = np.float32(0)
    return array
