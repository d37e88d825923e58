"""The arguments of ``backward`` and ``grad``, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import devices
from ..errors import DeviceError, DtypeError, GraphError, ShapeError
from .variable import Variable, wrap


def pairs(op: str, tensors: Any, gradients: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """As many tensors as gradients, each in a sequence."""
    if isinstance(tensors, Variable) and (gradients is None or isinstance(gradients, Variable)):
        return (tensors,), (gradients,)
    if gradients is not None and not isinstance(gradients, (Variable, Sequence)):
        raise TypeError(
            f"{op}: the gradient is a {type(gradients).__name__}, expected a Tensor of the tensor's shape; make one "
            "with minigrad.tensor(...)"
        )
    if not isinstance(tensors, (Variable, Sequence)):
        raise TypeError(f"{op}: expected a Tensor or a sequence of them, got {type(tensors).__name__}")
    outputs = [tensors] if isinstance(tensors, Variable) else list(tensors)
    if gradients is None:
        return outputs, [None] * len(outputs)
    weights = [gradients] if isinstance(gradients, Variable) else list(gradients)
    if len(weights) != len(outputs):
        raise ValueError(f"{op}: {len(outputs)} tensor(s) but {len(weights)} gradient(s)")
    return outputs, weights


def starting_points(
    op: str, tensors: Sequence[Any], gradients: Sequence[Any], create_graph: bool
) -> list[tuple[Any, Any]]:
    """(edge, gradient) for each output of a walk. Raises on everything that is wrong with the arguments."""
    starts = []
    for i, (t, g) in enumerate(zip(tensors, gradients, strict=True)):
        which = "the tensor" if len(tensors) == 1 else f"tensor {i}"
        if not isinstance(t, Variable):
            raise TypeError(f"{op}: {which} is a {type(t).__name__}, expected a Tensor")
        if not t._requires_grad:
            raise GraphError(
                f"{op}: {which} does not require a gradient and was made by no op that does. Was it made from leaves "
                "without requires_grad=True, under no_grad(), or detached?"
            )
        array = t._array
        if g is None:
            if array.size != 1:
                raise GraphError(
                    f"{op}: a gradient can be created implicitly only for a scalar, {which} has shape {array.shape}. "
                    "Reduce it first (sum(), mean()) or pass gradient=, a tensor of that shape."
                )
            if create_graph or array.ndim or not isinstance(array, np.ndarray):
                g = devices.array_module(devices.of_array(array)).ones(array.shape, array.dtype)
                g = wrap(g) if create_graph else g
            else:
                g = array.dtype.type(1)
        else:
            if not isinstance(g, Variable):
                raise TypeError(f"{op}: the gradient is a {type(g).__name__}, expected a Tensor")
            if g._array.shape != array.shape:
                raise ShapeError(
                    f"{op}: the gradient has shape {g._array.shape}, expected that of the tensor, {array.shape}"
                )
            if isinstance(g._array, np.ndarray) is not isinstance(array, np.ndarray):
                raise DeviceError(
                    f"{op}: the gradient is on {devices.of_array(g._array)}, {which} on {devices.of_array(array)}; "
                    "move it there with .to(device)"
                )
            if g._array.dtype != array.dtype:
                if g._array.dtype.kind != "f":
                    raise DtypeError(f"{op}: the gradient has dtype {g._array.dtype}, expected {array.dtype}")
                g = wrap(g._array.astype(array.dtype))
            g = g if create_graph else g._array
        starts.append((t._node or t, g))
    return starts
