"""Helpers around parameters and their gradients, under PyTorch's names (``torch.nn.utils``)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...autograd.variable import wrap
from ...interrupts import HeldBack
from ...ops.shape import cat
from ...tensor import Tensor
from ..parameter import writable
from . import rnn

_PIECE = 1 << 14  # elements


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor, so that the norm of all together is at most ``max_norm``.

    g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶)). One factor for all keeps the direction of the step. The norm of float16
    gradients is gathered, and returned, in float32.

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
        ValueError: ``max_norm`` is negative or NaN, ``norm_type`` not positive.
        RuntimeError: the norm is not finite and ``error_if_nonfinite`` is set. No gradient has changed then.
    """
    chosen = _with_gradient("clip_grad_norm_", parameters)
    max_norm, norm_type = float(max_norm), float(norm_type)
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm must not be negative, got {max_norm}")
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: norm_type must be positive, got {norm_type}")
    total = _total_norm([p._grad._array for p in chosen], norm_type)
    if error_if_nonfinite and not bool(np.isfinite(total)):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {float(total)}; look for the parameter whose "
            "gradient has a NaN or an infinity, or pass error_if_nonfinite=False to clip all the same"
        )
    factor = max_norm / (total.astype(np.float64) + 1e-6)
    if not bool(factor >= 1):  # NaN counts as too large
        with HeldBack(), np.errstate(invalid="ignore"):  # ∞ · 0, if the norm is infinite
            for p in chosen:
                array = _own_gradient(p)
                if array.dtype == np.float16:
                    array[...] = array * factor.astype(np.float32)
                else:
                    array *= factor.astype(array.dtype)
                p._grad._bump()
    with np.errstate(over="ignore"):  # the norm of elements near the largest float overflows
        return wrap(total.astype(np.result_type(np.float32, *[_work_dtype(p._grad._array.dtype) for p in chosen])))


def _work_dtype(dtype: Any) -> Any:
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def _total_norm(arrays: list[Any], p: float) -> Any:
    """(Σ |gᵢ|ᵖ)^(1/p) over the elements of all arrays, as a 0-d array of float64."""
    if not arrays:
        return np.zeros(())
    if math.isinf(p):
        parts = [abs(g).max() for g in arrays if g.size]
        return (np.stack(parts).max() if parts else arrays[0].sum()).astype(np.float64)
    norms = np.stack([_p_norm(g.astype(_work_dtype(g.dtype), copy=False), p).astype(np.float64) for g in arrays])
    return _p_norm(norms, p)


def _p_norm(array: Any, p: float) -> Any:
    if not array.size:
        return array.sum()
    if p == 2:
        squares = _sum_of_squares(array.ravel())
        if bool(squares < np.inf) and bool(squares > 1e-30):
            return np.sqrt(squares)
    # The squares overflowed or vanished, or p is another: scaling by the largest element keeps powers near 1.
    largest = abs(array).max()
    if not bool(np.isfinite(largest)) or not bool(largest > 0):
        return largest
    return largest.astype(np.float64) * ((abs(array) / largest) ** p).sum().astype(np.float64) ** (1 / p)


def _sum_of_squares(flat: Any) -> Any:
    """BLAS sums float32 in float32, which loses digits from some 10,000 elements on: pieces are added in float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        if not isinstance(flat, np.ndarray) or flat.size <= _PIECE:
            return flat @ flat
        pieces = (flat[i : i + _PIECE] for i in range(0, flat.size, _PIECE))
        return np.float64(sum(float(piece @ piece) for piece in pieces))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Bring each element of each gradient into [−clip_value, clip_value]. The step's direction changes.

    Raises:
        ValueError: ``clip_value`` is negative or NaN.
    """
    limit = float(clip_value)
    if not limit >= 0:
        raise ValueError(f"clip_grad_value_: clip_value must not be negative, got {limit}")
    with HeldBack():
        for p in _with_gradient("clip_grad_value_", parameters):
            array = _own_gradient(p)
            bound = min(limit, float(np.finfo(array.dtype).max)) if math.isfinite(limit) else limit
            np.clip(array, -bound, bound, out=array)
            p._grad._bump()


def _own_gradient(p: Tensor) -> Any:
    """A parameter's gradient, to be written to: one that is expanded or read-only gets memory of its own first."""
    if not writable(p._grad._array):
        p._grad = Tensor._wrap(p._grad._array.copy())
    return p._grad._array


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
            f"vector_to_parameters: the vector has shape {vec._array.shape}, the parameters hold {total} elements"
        )
    start = 0
    for p in targets:
        size = p.numel()
        p._array[...] = vec._array[start : start + size].reshape(p._array.shape)
        p._bump()
        start += size


def _with_gradient(name: str, parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    chosen = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in chosen:
        if not isinstance(p, Tensor):
            raise TypeError(f"{name}: expected tensors, got {type(p).__name__}")
    return [p for p in chosen if p._grad is not None]
