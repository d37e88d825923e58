"""Writing SIMD code by hand: vectors as Python values, from which an intrinsic's machine code is emitted.

Numba turns loops over arrays into SIMD where LLVM can prove that it may. The innermost kernels are too important to
hope: here a Python function is run once, while Numba compiles, and every operation it does on a :class:`Vector` emits
one instruction. Python's own loops are unrolled by running, and each Python variable is a value in a register.

    @intrinsic
    def add_one(typing_context, x, i):
        '''x[i : i + LANES] += 1'''
        def body(emit, x, i):
            emit.store(emit.load(x, i) + 1.0, x, i)
        return emitted(body, x, i)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .simd import LANES

SCALAR = ir.FloatType()
INDEX = ir.IntType(64)
VECTOR = ir.VectorType(SCALAR, LANES)


class Vector:
    """LANES float32 numbers in a register. Arithmetic with Python numbers means the number in every lane."""

    def __init__(self, emit: Emitter, value: Any) -> None:
        self.emit = emit
        self.value = value

    def _other(self, x: Vector | float) -> Any:
        return x.value if isinstance(x, Vector) else ir.Constant(VECTOR, [float(x)] * LANES)

    def __add__(self, x: Vector | float) -> Vector:
        return Vector(self.emit, self.emit.builder.fadd(self.value, self._other(x), flags=("contract",)))

    def __sub__(self, x: Vector | float) -> Vector:
        return Vector(self.emit, self.emit.builder.fsub(self.value, self._other(x), flags=("contract",)))

    def __mul__(self, x: Vector | float) -> Vector:
        return Vector(self.emit, self.emit.builder.fmul(self.value, self._other(x), flags=("contract",)))

    __radd__ = __add__
    __rmul__ = __mul__

    def maximum(self, x: Vector | float) -> Vector:
        """The larger of each lane; NaN stays NaN."""
        b, other = self.emit.builder, self._other(x)
        larger = b.fcmp_unordered(">", self.value, other)  # true for NaN too, which so stays
        return Vector(self.emit, b.select(larger, self.value, other))


class Emitter:
    """Emits the instructions. Offsets and counts are 64-bit integers: LLVM values or Python numbers."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self._fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fma.v{LANES}f32"
        )

    def index(self, i: Any) -> Any:
        return ir.Constant(INDEX, i) if isinstance(i, int) else i

    def plus(self, *terms: Any) -> Any:
        """The sum of offsets."""
        total = self.index(terms[0])
        for t in terms[1:]:
            if not (isinstance(t, int) and t == 0):
                total = self.builder.add(total, self.index(t))
        return total

    def times(self, i: Any, j: Any) -> Any:
        return self.builder.mul(self.index(i), self.index(j))

    def at(self, pointer: Any, offset: Any) -> Any:
        """The address ``offset`` elements further."""
        return self.builder.gep(pointer, [self.index(offset)])

    def load(self, pointer: Any, offset: Any = 0) -> Vector:
        place = self.builder.bitcast(self.at(pointer, offset), VECTOR.as_pointer())
        loaded = self.builder.load(place)
        loaded.align = 4
        return Vector(self, loaded)

    def store(self, v: Vector, pointer: Any, offset: Any = 0) -> None:
        place = self.builder.bitcast(self.at(pointer, offset), VECTOR.as_pointer())
        self.builder.store(v.value, place).align = 4

    def element(self, pointer: Any, offset: Any = 0) -> Any:
        """One number (of whatever the pointer points at)."""
        return self.builder.load(self.at(pointer, offset))

    def in_all_lanes(self, pointer: Any, offset: Any = 0) -> Vector:
        """One number of memory, copied to every lane. The processor does it on the way from memory, for free."""
        undefined = ir.Constant(VECTOR, ir.Undefined)
        one = self.builder.insert_element(undefined, self.element(pointer, offset), ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return Vector(self, self.builder.shuffle_vector(one, undefined, lanes))

    def zero(self) -> Vector:
        return Vector(self, ir.Constant(VECTOR, [0.0] * LANES))

    def fma(self, a: Vector, b: Vector, c: Vector) -> Vector:
        """a · b + c in one instruction."""
        return Vector(self, self.builder.call(self._fma, [a.value, b.value, c.value]))

    def shuffle(self, a: Vector, b: Vector, places: list[int]) -> Vector:
        """Lane j of the result is lane ``places[j]`` of a and b laid end to end."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), places)
        return Vector(self, self.builder.shuffle_vector(a.value, b.value, mask))

    def prefetch(self, pointer: Any, offset: Any = 0, level: int = 1) -> None:
        """Ask for a line of memory to be brought into the cache of this level meanwhile."""
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0i8")
        to_read, keep, data = (ir.Constant(flag, n) for n in (0, 4 - level, 1))
        self.builder.call(function, [self.builder.bitcast(self.at(pointer, offset), byte), to_read, keep, data])

    def loop(
        self, count: Any, carried: list[Any], body: Callable[[Any, list[Any]], list[Any]], unroll: int = 1
    ) -> list[Any]:
        """Run ``body(i, carried)`` for i = 0 … count - 1; returns what it last returned, all the while in registers.

        ``carried`` holds Vectors and integers. With ``unroll`` the body is written that many times in a row, so that
        counting and jumping cost less; what is left over runs in a loop of its own.
        """
        b = self.builder
        if unroll > 1:
            rounds = b.sdiv(self.index(count), self.index(unroll))

            def several(i: Any, values: list[Any]) -> list[Any]:
                for u in range(unroll):
                    values = body(self.plus(self.times(i, unroll), u), values)
                return values

            carried, done = self.loop(rounds, carried, several), self.times(rounds, unroll)
            rest = b.sub(self.index(count), done)
            return self.loop(rest, carried, lambda i, values: body(self.plus(done, i), values))
        before = b.block
        head, inside, after = (b.append_basic_block(f"loop.{name}") for name in ("head", "body", "end"))
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(INDEX)
        i.add_incoming(self.index(0), before)
        values = []
        for start in carried:
            raw = start.value if isinstance(start, Vector) else self.index(start)
            phi = b.phi(raw.type)
            phi.add_incoming(raw, before)
            values.append(Vector(self, phi) if isinstance(start, Vector) else phi)
        b.cbranch(b.icmp_signed("<", i, self.index(count)), inside, after)
        b.position_at_end(inside)
        new = body(i, values)
        for value, result in zip(values, new, strict=True):
            phi = value.value if isinstance(value, Vector) else value
            phi.add_incoming(result.value if isinstance(result, Vector) else self.index(result), b.block)
        i.add_incoming(b.add(i, self.index(1)), b.block)
        b.branch(head)
        b.position_at_end(after)
        return values

    def either(self, condition: Any, yes: Callable[[], None], no: Callable[[], None]) -> None:
        """Emit both, of which one runs: ``yes`` if the integer ``condition`` is not 0."""
        with self.builder.if_else(self.builder.icmp_signed("!=", condition, self.index(0))) as (then, otherwise):
            with then:
                yes()
            with otherwise:
                no()


def emitted(body: Callable[..., None], *arguments: Any) -> Any:
    """What an ``@intrinsic`` returns: its signature, and a generator that runs ``body(emit, *arguments)``.

    Arrays reach the body as pointers to their first element, integers as 64-bit values.
    """
    kinds = [a if isinstance(a, types.Array) else types.int64 for a in arguments]
    signature = types.void(*kinds)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given = [
            context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, values, strict=True)
        ]
        body(Emitter(builder), *given)
        return context.get_dummy_value()

    return signature, generate
