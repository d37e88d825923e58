"""How near two vectors are: the angle between them, and the length of their difference."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from .common import HALF, axis_of, floating, in_single, promote
from .reduction import norm, normalize
from .shape import broadcast_to


def _pair(name: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    """Two floating tensors of one dtype, broadcast to one shape."""
    a, b = promote(floating(x1, name), floating(x2, name))
    try:
        shape = np.broadcast_shapes(a._array.shape, b._array.shape)
    except ValueError:
        raise ShapeError(f"{name}: shapes {a._array.shape} and {b._array.shape} do not broadcast") from None
    return broadcast_to(a, shape), broadcast_to(b, shape)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """a·b / (max(‖a‖, eps) · max(‖b‖, eps)) along ``dim`` of the shape to which both broadcast.

    The cosine of the angle between a and b: 1 where they point the same way, 0 where one of them is 0. Source:
    torch.nn.functional.cosine_similarity.

    Raises:
        ShapeError: the shapes do not broadcast.
        IndexError: their common shape has no axis ``dim``.
    """
    a, b = _pair("cosine_similarity", x1, x2)
    d = axis_of(dim, a._array.ndim, "cosine_similarity")
    if a._array.dtype == HALF:
        return in_single(lambda a, b: cosine_similarity(a, b, d, eps), a, b)
    # Each is brought to length 1 first: products of huge numbers overflow.
    return (normalize(a, 2.0, d, eps) * normalize(b, 2.0, d, eps)).sum(dim=d)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """‖a − b + eps‖ₚ along the last axis of the shape to which both broadcast.

    ``eps`` is added to every difference, so that equal vectors have a gradient, too. Source:
    torch.nn.functional.pairwise_distance.

    Raises:
        ShapeError: the shapes do not broadcast.
    """
    a, b = _pair("pairwise_distance", x1, x2)
    return norm(a - b + eps, p, -1, keepdim)
