"""NumPy's function names on Tensors, so that a backward rule written for arrays also runs on Tensors.

A rule says ``xp = namespace(dy)`` and then ``xp.exp(x)``: NumPy's ``exp`` when dy is an array, this module's when dy is
a Tensor of a graph that is being differentiated again.
"""

from __future__ import annotations

from typing import Any

from ..autograd.variable import Variable, wrap
from ..autograd.variable import namespace as arrays_of
from . import elementwise
from .common import axes_of
from .comparison import isnan  # noqa: F401
from .elementwise import (
    abs_ as abs,  # noqa: F401
)
from .elementwise import (
    cos,  # noqa: F401
    exp,  # noqa: F401
    floor,  # noqa: F401
    log,  # noqa: F401
    log1p,  # noqa: F401
    sign,  # noqa: F401
    sin,  # noqa: F401
    sqrt,  # noqa: F401
    tanh,  # noqa: F401
    where,  # noqa: F401
)
from .indexing import PutAt
from .matmul import einsum, matmul  # noqa: F401
from .reduction import cumsum  # noqa: F401
from .shape import Flip, Permute, Roll, broadcast_to  # noqa: F401


def maximum(x: Any, y: Any) -> Any:
    """The larger of a tensor and a tensor or number."""
    x, y = (x, y) if isinstance(x, Variable) else (y, x)
    return elementwise.maximum(x, y) if isinstance(y, Variable) else x.clamp(min=y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of a tensor and a tensor or number."""
    x, y = (x, y) if isinstance(x, Variable) else (y, x)
    return elementwise.minimum(x, y) if isinstance(y, Variable) else x.clamp(max=y)


def zeros_like(x: Any) -> Any:
    """Zeros of x's shape and dtype, a constant."""
    return wrap(arrays_of(x._array).zeros_like(x._array))


def transpose(x: Any, axes: tuple[int, ...]) -> Any:
    """All axes in the order ``axes``."""
    return Permute.apply(x, axes)


def flip(x: Any, axis: Any) -> Any:
    """Read backwards along ``axis``: one or several; () is none of them."""
    return Flip.apply(x, axes_of(axis, x.ndim, "flip") or ())


def roll(x: Any, shifts: Any, axes: Any) -> Any:
    """Moved along ``axes``, round the ends."""
    return Roll.apply(x, shifts, axes)


def put_at(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of ``shape`` with x added at ``index``."""
    return PutAt.apply(x, index, shape)
