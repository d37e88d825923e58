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
