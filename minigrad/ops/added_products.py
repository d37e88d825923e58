"""Products of matrices and vectors that are added to something: beta · input + alpha · product.

Where beta is 0 the input takes no part, and where alpha is 0 the product: not even a NaN of theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.variable import namespace, wrap
from ..errors import ShapeError
from .common import tensor_of
from .matmul import bmm, mm, mv, outer


def _added(name: str, product: Any, input: Any, beta: Any, a: Any, b: Any, alpha: Any) -> Any:
    y = product(a, b) if alpha else product(_nothing_of(a, name), _nothing_of(b, name))
    shape, wanted = tensor_of(input, name)._array.shape, y._array.shape
    try:
        fits = np.broadcast_shapes(shape, wanted) == wanted
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{name}: input has shape {shape}, which does not broadcast to the product's, {wanted}")
    return _times(input if beta else _nothing_of(input, name), beta) + _times(y, alpha)


def _nothing_of(x: Any, name: str) -> Any:
    """Zeros in x's place: neither its values nor its gradient pass."""
    return tensor_of(x, name).masked_fill(wrap(namespace(x._array).ones((), dtype=bool)), 0)


def _times(x: Any, factor: Any) -> Any:
    if factor in (0, 1):
        return x
    return x * (factor if x._array.dtype.kind == "f" else int(factor))


def _sum_of_products(batch1: Any, batch2: Any) -> Any:
    y = bmm(batch1, batch2)
    return y.sum(dim=0, dtype=y.dtype)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · (mat1 mat2).

    Raises:
        ShapeError: the matrices have no product, or the input does not broadcast to it.
    """
    return _added("addmm", mm, input, beta, mat1, mat2, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · (mat vec). See :func:`addmm`."""
    return _added("addmv", mv, input, beta, mat, vec, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · (vec1 vec2ᵀ). See :func:`addmm`."""
    return _added("addr", outer, input, beta, vec1, vec2, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · (batch1 batch2), product by product. See :func:`addmm`."""
    return _added("baddbmm", bmm, input, beta, batch1, batch2, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · Σ (batch1 batch2), the sum over the batch. See :func:`addmm`."""
    return _added("addbmm", _sum_of_products, input, beta, batch1, batch2, alpha)
