"""Errors of a forward rule, in terms of the op and its arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DeviceError, DtypeError, GraphError, ShapeError


def explain(cls: Any, arrays: list[Any], error: Exception) -> None:
    """Turn NumPy's or CuPy's error into one that names the op, what came and what was expected."""
    if isinstance(error, (ShapeError, DtypeError, DeviceError, GraphError)):
        return
    held = [a for a in arrays if hasattr(a, "dtype") and not isinstance(a, np.generic)]  # a NumPy scalar goes anywhere
    held += [i for a in arrays if isinstance(a, tuple) for i in a if hasattr(i, "__cuda_array_interface__")]
    places = ["cpu" if isinstance(a, np.ndarray) else "cuda" for a in held]
    op = next((a.__name__ for a in arrays if isinstance(a, np.ufunc)), cls.__name__)  # Compare by "greater"
    if len(set(places)) > 1:
        raise DeviceError(
            f"{op}: its tensors are on different devices ({', '.join(places)}); move them together with .to(device)"
        ) from None
    if not isinstance(error, (ValueError, TypeError, IndexError)):
        return  # a kernel that fails to import or to compile, or memory that ran out, says best itself what is wrong
    cls.check(*arrays)
    shapes = [a.shape for a in arrays if hasattr(a, "shape")]
    if isinstance(error, ValueError) and len(shapes) > 1:
        raise ShapeError(broadcast_message(op, shapes) or f"{op}: {error} (shapes {shapes})") from None
    if isinstance(error, ValueError) and not isinstance(error, RuntimeError):
        raise ShapeError(f"{op}: {error} (shapes {shapes})") from None


def broadcast_message(op: str, shapes: list[tuple[int, ...]]) -> str | None:
    """Why shapes do not broadcast, or None if they do."""
    try:
        np.broadcast_shapes(*shapes)
        return None
    except ValueError:
        pass
    for axis in range(-1, -1 - max(len(s) for s in shapes), -1):
        sizes = {s[axis] for s in shapes if len(s) >= -axis} - {1}
        if len(sizes) > 1:
            listed = " and ".join(str(s) for s in shapes)
            return (
                f"{op}: shapes {listed} do not broadcast: aligned from the right, axis {axis} has sizes "
                f"{' and '.join(map(str, sorted(sizes)))}, which must be equal or 1"
            )
    return None
