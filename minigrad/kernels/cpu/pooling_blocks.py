"""Blocks of neighbouring windows, one in each lane of a vector register, and what the loops over planes share.

For every tap of the window, a block loads what that tap reads in all lanes, and folds it in. With a stride of 1 these
are neighbouring numbers; with a stride of 2 every second one, which two loads and one shuffle bring into a register;
with other strides they are loaded one by one. The blocks are emitted as LLVM code: the loops of a compiler give up at
the stride, or at the bytes beside floats.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compile import jit
from ..simd import LANES

MEAN, ABSOLUTE, SQUARE = 0, 1, 2  # what is summed: x, |x|, x² (and then the root taken)
WIDE, HALF, QUARTER = LANES, max(LANES // 2, 4), 4  # outputs of a block
ZERO = np.float32(0)

I8, I32, I64, F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()


def _memory(context: Any, builder: Any, signature: Any, args: Any, i: int) -> Any:
    """The address of the first element of array argument ``i``."""
    return context.make_array(signature.args[i])(context, builder, args[i]).data


def _load(builder: Any, data: Any, place: Any, lanes: int, element: Any = F32) -> Any:
    pointer = builder.bitcast(builder.gep(data, [place]), ir.VectorType(element, lanes).as_pointer())
    loaded = builder.load(pointer)
    loaded.align = 4 if element is F32 else 1
    return loaded


def _store(builder: Any, value: Any, data: Any, place: Any) -> None:
    pointer = builder.bitcast(builder.gep(data, [place]), value.type.as_pointer())
    stored = builder.store(value, pointer)
    stored.align = 4 if value.type.element is F32 else 1


def _shuffle(builder: Any, a: Any, b: Any, picks: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(picks)), picks))


def _in_all_lanes(builder: Any, x: Any, lanes: int) -> Any:
    undefined = ir.Constant(ir.VectorType(x.type, lanes), ir.Undefined)
    return _shuffle(builder, builder.insert_element(undefined, x, ir.Constant(I32, 0)), undefined, [0] * lanes)


def _strided(builder: Any, data: Any, place: Any, lanes: int, stride: Any) -> Any:
    """``lanes`` numbers from ``place`` on, ``stride`` apart; nothing behind the last of them is read."""
    numbers = cgutils.alloca_once(builder, ir.VectorType(F32, lanes))
    with builder.if_else(builder.icmp_signed("<=", stride, ir.Constant(I64, 2))) as (short, long):
        with short:
            first = _load(builder, data, place, lanes)
            builder.store(first, numbers)
            with builder.if_then(builder.icmp_signed("==", stride, ir.Constant(I64, 2))):
                second = _load(builder, data, builder.add(place, ir.Constant(I64, lanes - 1)), lanes)
                half = lanes // 2
                picks = [2 * i for i in range(half)] + [lanes + 2 * i + 1 for i in range(half)]
                builder.store(_shuffle(builder, first, second, picks), numbers)
        with long:
            gathered = ir.Constant(numbers.type.pointee, ir.Undefined)
            for lane in range(lanes):
                one = builder.load(builder.gep(data, [builder.add(place, builder.mul(stride, ir.Constant(I64, lane)))]))
                gathered = builder.insert_element(gathered, one, ir.Constant(I32, lane))
            builder.store(gathered, numbers)
    return builder.load(numbers)


def _interleaved(builder: Any, a: Any, b: Any, lanes: int) -> tuple[Any, Any]:
    """(a₀ b₀ a₁ b₁ …) in two registers."""
    order = [i // 2 + (lanes if i % 2 else 0) for i in range(2 * lanes)]
    return _shuffle(builder, a, b, order[:lanes]), _shuffle(builder, a, b, order[lanes:])


@contextlib.contextmanager
def _each_tap(builder: Any, start: Any, row_step: Any, tap_step: Any, rows: Any, taps: Any) -> Iterator[Any]:
    """A loop over ``rows`` × ``taps``: gives the number of the row, of the tap in it, and the place that it reads."""
    with cgutils.for_range(builder, rows) as row:
        line = builder.add(start, builder.mul(row.index, row_step))
        with cgutils.for_range(builder, taps) as tap:
            yield row.index, tap.index, builder.add(line, builder.mul(tap.index, tap_step))


def _max_block(lanes: int) -> Callable[..., Any]:
    """The block of ``lanes`` maxima, for :mod:`.pooling_max`."""

    @intrinsic
    def block(  # type: ignore[no-untyped-def]
        typing_context, x, start, stride, row_step, tap_step, zeroth, rows, taps, firsts, column, y, tap, at
    ):
        """y[at + l] = the largest x[start + l·stride + i·row_step + j·tap_step] over ``rows`` and ``taps``, and
        tap[at + l] = zeroth + i·taps + j where it was found: zeroth + firsts[column + l] if nothing exceeds −∞."""
        i8 = types.int64
        signature = types.void(x, i8, i8, i8, i8, i8, i8, i8, firsts, i8, y, tap, i8)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _, start, stride, row_step, tap_step, zeroth, rows, taps, _, column, _, _, at = args
            data = _memory(context, builder, signature, args, 0)
            numbers = ir.VectorType(F32, lanes)
            first = _load(builder, _memory(context, builder, signature, args, 8), column, lanes, I32)
            best, place = cgutils.alloca_once(builder, numbers), cgutils.alloca_once(builder, first.type)
            builder.store(ir.Constant(numbers, [float("-inf")] * lanes), best)
            builder.store(builder.add(first, _in_all_lanes(builder, builder.trunc(zeroth, I32), lanes)), place)
            with _each_tap(builder, start, row_step, tap_step, rows, taps) as (i, j, source):
                v, old = _strided(builder, data, source, lanes, stride), builder.load(best)
                is_nan = builder.fcmp_unordered("uno", v, v)
                better = builder.or_(builder.fcmp_ordered(">", v, old), is_nan)
                number = builder.add(builder.add(zeroth, builder.mul(i, taps)), j)
                number = _in_all_lanes(builder, builder.trunc(number, I32), lanes)
                builder.store(builder.select(better, v, old), best)
                builder.store(builder.select(better, number, builder.load(place)), place)
            _store(builder, builder.load(best), _memory(context, builder, signature, args, 10), at)
            small = builder.trunc(builder.load(place), ir.VectorType(I8, lanes))
            _store(builder, small, _memory(context, builder, signature, args, 11), at)
            return context.get_dummy_value()

        return signature, generate

    return block


def _absolute(builder: Any, v: Any) -> Any:
    bits = builder.bitcast(v, ir.VectorType(I32, v.type.count))
    mask = ir.Constant(bits.type, [0x7FFFFFFF] * v.type.count)
    return builder.bitcast(builder.and_(bits, mask), v.type)


def _sum_block(lanes: int) -> Callable[..., Any]:
    """The block of ``lanes`` sums, for :mod:`.pooling_sum`."""

    @intrinsic
    def block(typing_context, x, start, stride, row_step, rows, taps, kind, scale, scales, column, y, at):  # type: ignore[no-untyped-def]
        """y[at + l] = scale · scales[column + l] · Σ f(x[start + l·stride + i·row_step + j]), for SQUARE its root."""
        i8 = types.int64
        signature = types.void(x, i8, i8, i8, i8, i8, i8, types.float32, scales, i8, y, i8)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _, start, stride, row_step, rows, taps, kind, scale, _, column, _, at = args
            data = _memory(context, builder, signature, args, 0)
            numbers = ir.VectorType(F32, lanes)
            total = cgutils.alloca_once(builder, numbers)
            builder.store(ir.Constant(numbers, [0.0] * lanes), total)
            squares = builder.icmp_signed("==", kind, ir.Constant(I64, SQUARE))
            absolutes = builder.icmp_signed("==", kind, ir.Constant(I64, ABSOLUTE))
            with _each_tap(builder, start, row_step, ir.Constant(I64, 1), rows, taps) as (_, _, source):
                v = _strided(builder, data, source, lanes, stride)
                v = builder.select(squares, builder.fmul(v, v), builder.select(absolutes, _absolute(builder, v), v))
                builder.store(builder.fadd(builder.load(total), v), total)
            factor = _load(builder, _memory(context, builder, signature, args, 8), column, lanes)
            factor = builder.fmul(factor, _in_all_lanes(builder, scale, lanes))
            builder.store(builder.fmul(builder.load(total), factor), total)
            with builder.if_then(squares):
                root = cgutils.get_or_insert_function(
                    builder.module, ir.FunctionType(numbers, [numbers]), f"llvm.sqrt.v{lanes}f32"
                )
                builder.store(builder.call(root, [builder.load(total)]), total)
            _store(builder, builder.load(total), _memory(context, builder, signature, args, 10), at)
            return context.get_dummy_value()

        return signature, generate

    return block


def _max_back_block(lanes: int) -> Callable[..., Any]:
    """The block of ``lanes`` windows of 2 × 2 a step of 2 apart, for :func:`max_back_planes`."""

    @intrinsic
    def block(typing_context, dy, tap, at, dx, start, width):  # type: ignore[no-untyped-def]
        """dx of the 2 · lanes columns from ``start`` on, in this row and in the next one, ``width`` further on."""
        i8 = types.int64
        signature = types.void(dy, tap, i8, dx, i8, i8)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _, _, at, _, start, width = args
            into = _memory(context, builder, signature, args, 3)
            g = _load(builder, _memory(context, builder, signature, args, 0), at, lanes)
            chosen = _load(builder, _memory(context, builder, signature, args, 1), at, lanes, I8)
            zero = ir.Constant(g.type, [0.0] * lanes)
            for i in range(2):
                shares = []
                for j in range(2):
                    number = ir.Constant(chosen.type, [2 * i + j] * lanes)
                    shares.append(builder.select(builder.icmp_signed("==", chosen, number), g, zero))
                left, right = _interleaved(builder, shares[0], shares[1], lanes)
                _store(builder, left, into, start)
                _store(builder, right, into, builder.add(start, ir.Constant(I64, lanes)))
                start = builder.add(start, width)
            return context.get_dummy_value()

        return signature, generate

    return block


def _sum_back_block(lanes: int) -> Callable[..., Any]:
    """The block of ``lanes`` windows of 2 × 2 a step of 2 apart, for :func:`sum_back_planes`."""

    @intrinsic
    def block(typing_context, share, column, x, dx, start, width, kind):  # type: ignore[no-untyped-def]
        """dx of the 2 · lanes columns from ``start`` on, in this row and in the next one: the window's share, times
        sign x or x where absolute values or squares were summed."""
        i8 = types.int64
        signature = types.void(share, i8, x, dx, i8, i8, i8)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _, column, _, _, start, width, kind = args
            source, into = (_memory(context, builder, signature, args, i) for i in (2, 3))
            g = _load(builder, _memory(context, builder, signature, args, 0), column, lanes)
            halves = _interleaved(builder, g, g, lanes)
            plain = builder.icmp_signed("==", kind, ir.Constant(I64, MEAN))
            squares = builder.icmp_signed("==", kind, ir.Constant(I64, SQUARE))
            one, zero = (ir.Constant(g.type, [n] * lanes) for n in (1.0, 0.0))
            with builder.if_else(plain) as (mean, norm):
                for branch, is_plain in ((mean, True), (norm, False)):
                    with branch:
                        for i in range(2):
                            for j, half in enumerate(halves):
                                offset = builder.add(builder.mul(width, ir.Constant(I64, i)), start)
                                place = builder.add(offset, ir.Constant(I64, j * lanes))
                                if not is_plain:
                                    v = _load(builder, source, place, lanes)
                                    up = builder.select(builder.fcmp_ordered(">", v, zero), one, zero)
                                    down = builder.select(builder.fcmp_ordered("<", v, zero), one, zero)
                                    slope = builder.select(squares, v, builder.fsub(up, down))
                                    half = builder.fmul(half, slope)
                                _store(builder, half, into, place)
            return context.get_dummy_value()

        return signature, generate

    return block


max_wide, max_half, max_quarter = (_max_block(n) for n in (WIDE, HALF, QUARTER))
sum_wide, sum_half, sum_quarter = (_sum_block(n) for n in (WIDE, HALF, QUARTER))
max_back_wide, max_back_half, max_back_quarter = (_max_back_block(n) for n in (WIDE, HALF, QUARTER))
sum_back_wide, sum_back_half, sum_back_quarter = (_sum_back_block(n) for n in (WIDE, HALF, QUARTER))


@jit
def frame_width(w: int, out: int, k: int, s: int, p: int, d: int) -> int:
    """The width of a frame around rows of w numbers in which every window lies inside; w if that is so already."""
    return max((out - 1) * s + (k - 1) * d + 1, w + p)


@jit
def framed(x: Any, start: int, h: int, w: int, left: int, frame: Any, width: int) -> None:
    """A plane of h × w numbers into the frame, ``left`` columns from its left edge."""
    for i in range(h):
        row, into = x[start + i * w : start + (i + 1) * w], frame[i * width + left : i * width + left + w]
        for j in range(w):
            into[j] = row[j]


@jit
def lanes_for(width: int) -> int:
    """How many outputs at once: the largest block that a row of ``width`` outputs fills; 1 for none."""
    if width >= WIDE:
        return WIDE
    if width >= HALF:
        return HALF
    return QUARTER if width >= QUARTER else 1


@jit
def is_2x2(shape: Any) -> bool:
    """Windows of 2 × 2 side by side, without padding: each input in one window, or (a last row, column) in none."""
    h, w, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw = shape
    fits = 2 * oh <= h and 2 * ow <= w
    return fits and kh == kw == sh == sw == 2 and ph == pw == 0 and dh == dw == 1


@jit
def clear_rest(dx: Any, start: int, h: int, w: int, rows: int, columns: int) -> None:
    """Zeros right of and below the first ``rows`` × ``columns`` numbers of a plane."""
    for i in range(rows if columns < w else 0):
        for j in range(columns, w):
            dx[start + i * w + j] = ZERO
    for i in range(rows * w, h * w):
        dx[start + i] = ZERO
