"""The machine's vector registers: how many numbers one holds, how many there are, and the tile that fits in them.

A *register tile* is why a matrix product can be fast. One instruction multiplies and adds two vectors, and a core does
two of them per clock; but it can also load only two vectors per clock. A loop that loads both factors of every product
therefore runs at half speed at best. So a block of ``ROWS`` × ``COLUMNS`` running sums is kept in registers: one step
loads COLUMNS vectors of B and ROWS single numbers of A, and makes ROWS · COLUMNS products from them. The tile is as
large as the registers allow.

``MINIGRAD_SIMD`` (4, 8 or 16 float32 per register) overrides what the machine says; LLVM splits what it lacks.
"""

from __future__ import annotations

import os

from llvmlite import binding


def _lanes() -> int:
    asked = os.environ.get("MINIGRAD_SIMD")
    if asked is not None:
        if asked not in ("4", "8", "16"):
            raise ValueError(f"MINIGRAD_SIMD: the number of float32 in a vector register, 4, 8 or 16; got {asked!r}")
        return int(asked)
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx2") and features.get("fma") else 4


LANES = _lanes()
# 32 registers with AVX-512 and with NEON (12 × 2 sums + 2 of B + 1 of A), 16 with AVX2 (6 × 2 + 2 + 1). Two columns
# always: the kernels count on whole tiles and half ones.
ROWS, COLUMNS = (6, 2) if LANES == 8 else (12, 2)
