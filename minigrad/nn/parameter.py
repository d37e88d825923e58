"""Parameter: a tensor that a module trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that belongs to a module: assigned as an attribute, it is in ``module.parameters()``.

    ``Parameter(data)`` shares memory with ``data``. What is computed from a parameter is a plain Tensor.
    Source: PyTorch's ``torch.nn.Parameter``.

    Args:
        data: the values, a Tensor (default: an empty one).
        requires_grad: whether the engine computes a gradient for it.

    Raises:
        TypeError: ``data`` is no Tensor, or has an integer dtype while ``requires_grad`` is set.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = Tensor._wrap(np.empty(0, np.float32))
        if not isinstance(data, Tensor):
            raise TypeError(
                f"Parameter: data must be a Tensor, got {type(data).__name__}; make one first: minigrad.tensor(data)"
            )
        parameter: Any = data.detach()
        parameter.__class__ = cls
        parameter.requires_grad_(requires_grad)
        return parameter

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


def clear_gradient(parameter: Tensor, set_to_none: bool) -> None:
    """Forget a parameter's gradient, or fill it with zeros in its own memory.

    A gradient that a graph made (``create_graph=True``) may still be needed there, and one that is expanded or
    read-only has no memory to fill: they are left alone, and replaced by new zeros.
    """
    gradient = parameter._grad
    if set_to_none or gradient is None:
        parameter._grad = None
        return
    array = gradient._array
    if gradient._node is not None or not writable(array):
        parameter._grad = Tensor._wrap(np.zeros_like(array, order="C"))
    else:
        gradient._requires_grad = False
        array[...] = 0
        gradient._bump()


def writable(array: Any) -> bool:
    """Whether each element of an array has memory of its own, which can be written to."""
    flags = array.flags
    if type(array) is np.ndarray and not flags.writeable:
        return False
    return flags.c_contiguous or not any(
        n > 1 and stride == 0 for n, stride in zip(array.shape, array.strides, strict=True)
    )
