"""Helpers around parameters and their gradients, under PyTorch's names (``torch.nn.utils``)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..autograd.variable import wrap
from ..ops.shape import cat
from ..tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor, so that the norm of all together is at most ``max_norm``.

    g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶)). One factor for all keeps the direction of the step.

    Args:
        parameters: a tensor, or several; those without a gradient are left out.
        max_norm: the largest norm allowed.
        norm_type: the p of the p-norm; ``float("inf")`` is the largest absolute value.
        error_if_nonfinite: whether a norm that is NaN or infinite is an error; if not, the gradients become
            NaN or 0.
        foreach: PyTorch's choice between implementations; without meaning here.

    Returns:
        The norm before clipping, a tensor of shape ().

    Raises:
        RuntimeError: the norm is not finite and ``error_if_nonfinite`` is set. No gradient has changed then.
    """
    gradients = _gradients("clip_grad_norm_", parameters)
    norm_type = float(norm_type)
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: norm_type must be positive, got {norm_type}")
    total = _total_norm([g._array for g in gradients], norm_type)
    if error_if_nonfinite and not bool(np.isfinite(total)):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {float(total)}; look for the parameter whose "
            "gradient has a NaN or an infinity, or pass error_if_nonfinite=False to clip all the same"
        )
    factor = max_norm / (total + 1e-6)
    if not bool(factor >= 1):  # NaN counts as too large
        for g in gradients:
            with np.errstate(invalid="ignore"):  # ∞ · 0, if the norm is infinite
                g._array *= factor.astype(g._array.dtype)
            g._bump()
    return wrap(total)


def _total_norm(arrays: list[Any], p: float) -> Any:
    """(Σ |gᵢ|ᵖ)^(1/p) over the elements of all arrays, as a 0-d array."""
    if not arrays:
        return np.zeros((), np.float32)
    if math.isinf(p):
        parts = [abs(g).max() for g in arrays if g.size]
        return np.stack(parts).max() if parts else arrays[0].sum()
    norms = np.stack([_norm(g, p) for g in arrays])
    return _norm(norms, p)


def _norm(array: Any, p: float) -> Any:
    if not array.size:
        return array.sum()
    if p == 2:
        flat = array.ravel()
        with np.errstate(over="ignore", invalid="ignore"):
            squares = flat @ flat
        if bool(squares < np.inf) and bool(squares > 1e-30):
            return np.sqrt(squares)
    # The squares overflowed or vanished, or p is another: scaling by the largest element keeps powers near 1.
    largest = abs(array).max()
    if not bool(np.isfinite(largest)) or not bool(largest > 0):
        return largest
    return largest * ((abs(array) / largest) ** p).sum() ** (1 / p)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Bring each element of each gradient into [−clip_value, clip_value]. The step's direction changes."""
    limit = float(clip_value)
    for g in _gradients("clip_grad_value_", parameters):
        np.clip(g._array, -limit, limit, out=g._array)
        g._bump()


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters as one vector, in order. It is part of the graph."""
    vector: Tensor = cat([p.reshape(-1) for p in parameters])
    return vector


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write consecutive pieces of a vector into the parameters: the inverse of :func:`parameters_to_vector`.

    Raises:
        ValueError: the vector is not as long as the parameters together. Nothing has been written then.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected a Tensor, got {type(vec).__name__}")
    targets = list(parameters)
    total = sum(p.numel() for p in targets)
    if vec._array.shape != (total,):
        raise ValueError(
            f"vector_to_parameters: the vector has shape {vec._array.shape}, the parameters hold {total} numbers"
        )
    start = 0
    for p in targets:
        size = p.numel()
        p._array[...] = vec._array[start : start + size].reshape(p._array.shape)
        p._bump()
        start += size


def _gradients(name: str, parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    chosen = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in chosen:
        if not isinstance(p, Tensor):
            raise TypeError(f"{name}: expected tensors, got {type(p).__name__}")
    return [p.grad for p in chosen if p.grad is not None]
