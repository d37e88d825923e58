"""What may be wrong with the arguments of a normalization, and the errors that say so."""

from __future__ import annotations

import operator
from typing import Any

from ..autograd.variable import Variable
from ..errors import DtypeError, ShapeError
from .common import tensor_of


def _check_dtype(name: str, x: Any, argument: str, p: Any) -> None:
    if p.dtype != x.dtype:
        raise DtypeError(
            f"{name}: input has dtype {x.dtype}, {argument} {p.dtype}; they must be the same: convert the input "
            "(.float(), .double()) or the layer"
        )


def check_channels(name: str, x: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any) -> None:
    if x.ndim < 2:
        raise ShapeError(f"{name}: input must have at least 2 axes (N, C, …), got shape {x.shape}")
    channels = x.shape[1]
    named = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    for argument, p in named.items():
        if p is not None and p.shape != (channels,):
            expects = p.shape[0] if p.ndim == 1 else "another number"
            raise ShapeError(
                f"{name}: input has {channels} channels (axis 1 of shape {x.shape}), {argument} expects {expects} "
                f"(shape {p.shape})."
            )
    for argument, p in (("weight", weight), ("bias", bias)):
        if p is not None:
            _check_dtype(name, x, argument, p)


def check_trailing(name: str, x: Any, shape: tuple[int, ...], **parameters: Any) -> None:
    if x.shape[max(x.ndim - len(shape), 0) :] != shape:
        raise ShapeError(
            f"{name}: normalized_shape {shape} must be the sizes of the input's last axes, got an input "
            f"of shape {x.shape}."
        )
    for argument, p in parameters.items():
        if p is not None and p.shape != shape:
            raise ShapeError(f"{name}: {argument} has shape {p.shape}, expected normalized_shape, {shape}.")
        if p is not None:
            _check_dtype(name, x, argument, p)


def more_than_one(name: str, shape: tuple[int, ...], values: int, of: str) -> None:
    if values == 1:
        raise ValueError(
            f"{name}: input of shape {shape} has 1 value per {of}; its variance is 0 and the result 0, whatever "
            f"the value. Training needs at least 2 (a larger batch, or eval())."
        )


def check_tensors(name: str, **given: Any) -> None:
    for argument, p in given.items():
        if p is not None and not isinstance(p, Variable):
            tensor_of(p, name, argument)


def trailing_shape(name: str, shape: Any) -> tuple[int, ...]:
    """``normalized_shape`` as a tuple. Raises unless it is an integer or a non-empty sequence of integers."""
    if shape.__class__ is tuple and len(shape) == 1 and shape[0].__class__ is int and shape[0] >= 0:
        return shape  # as the layers keep it
    try:
        sizes = tuple(operator.index(n) for n in (shape if isinstance(shape, (tuple, list)) else (shape,)))
    except TypeError:
        raise TypeError(f"{name}: normalized_shape must be an integer or a tuple of integers, got {shape!r}") from None
    if not sizes or min(sizes) < 0:
        raise ShapeError(f"{name}: normalized_shape must name at least one axis, in sizes from 0 up, got {shape!r}")
    return sizes


def channel_groups(name: str, channels: int, groups: Any) -> None:
    """Raise unless ``groups`` is a positive integer that divides the number of channels."""
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ValueError(f"{name}: num_groups must be a positive integer, got {groups!r}")
    if channels % groups:
        raise ValueError(f"{name}: num_channels ({channels}) must be divisible by num_groups ({groups})")
