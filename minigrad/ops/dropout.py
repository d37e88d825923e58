"""Dropout: noise that a network must learn to live with."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .. import random
from ..autograd.op import Op
from ..autograd.variable import Variable, wrap
from ..devices import of_array
from ..errors import ShapeError
from .common import require_floating, select, tensor_of

# What SELU tends to for x → −∞, −λα with the constants of Klambauer et al. 2017: the value alpha dropout puts in
SELU_FLOOR = -1.7580993408473766


class Dropout(Op):
    """y = s x where kept, else 0. Each element is kept with probability 1 − p, and s = 1/(1 − p), so that y's
    expectation is x.

    dx = s dy where kept, else 0: an element that was dropped did not act, and learns nothing. A mask ``kept`` with axes
    of size 1 drops what lies along them together, for example whole channels.   Srivastava et al. 2014.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, kept: Any, scale: float) -> Any:
        ctx.saved, ctx.scale = (kept,), scale
        y = select(kept, x)
        y *= scale
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (kept,) = ctx.saved
        dx = select(kept, dy)
        if isinstance(dx, Variable):
            return dx * ctx.scale
        dx *= ctx.scale
        return dx


def kept(x: Any, shape: tuple[int, ...], p: float) -> Any:
    """Bools of ``shape``, each False with probability p, from the generator of x's device."""
    draw = random.draws(None, of_array(x).type)
    if isinstance(draw, np.random.Generator):
        # 32 random bits are a number in 0 … 2³² − 1, compared as it is: half the time of making floats of them.
        count = math.prod(shape)
        bits = draw.bit_generator.random_raw((count + 1) // 2).view(np.uint32)[:count]
        return bits.reshape(shape) >= round(p * 2**32)  # never for p = 1
    return draw.random(shape, dtype=np.float32) >= p


def _checked(input: Any, p: float, name: str, training: bool) -> Any:
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p is the probability of a zero and must lie between 0 and 1, got {p}")
    return (require_floating if training else tensor_of)(input, name)._array


def _drop(input: Any, shape: tuple[int, ...], p: float, inplace: bool, name: str) -> Any:
    """Dropout by a mask of ``shape``, which has size 1 along axes that are dropped as a whole."""
    y = Dropout.apply(input, kept(input._array, shape, p), 1.0 / (1.0 - p) if p < 1 else 0.0)
    return input._replace(y, f"{name}_") if inplace else y


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Each element 0 with probability ``p``, the others scaled by 1/(1 − p); the input itself when not training.

    The mask comes from minigrad's generator of the input's device, so it repeats with ``manual_seed``.

    Raises:
        ValueError: ``p`` is not between 0 and 1.
    """
    x = _checked(input, p, "dropout", training)
    if not training or p == 0:
        return input
    return _drop(input, x.shape, p, inplace, "dropout")


def _channels(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """``shape`` up to the channel axis, and 1 for what lies within a channel."""
    return shape[: axis + 1] + (1,) * (len(shape) - axis - 1)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels 0 with probability ``p``, the others scaled by 1/(1 − p): (N, C, L), or (C, L) without a batch.

    Neighbours within a channel are alike, so dropping single elements would hide little of it; dropping the channel
    hides what it says. Source: Tompson et al. 2015, torch.nn.functional.dropout1d.

    Raises:
        ValueError: ``p`` is not between 0 and 1.
        ShapeError: an input with neither 2 nor 3 axes.
    """
    x = _checked(input, p, "dropout1d", training)
    if x.ndim not in (2, 3):
        raise ShapeError(f"dropout1d: expected input (N, C, L) or (C, L), got shape {x.shape}; dropout takes any shape")
    if not training or p == 0:
        return input
    return _drop(input, _channels(x.shape, x.ndim - 2), p, inplace, "dropout1d")


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels 0 with probability ``p``, the others scaled by 1/(1 − p): (N, C, H, W). See :func:`dropout1d`.

    As in PyTorch, axis 1 is the channel whatever follows: three axes are read as (N, C, L), with a warning.

    Raises:
        ValueError: ``p`` is not between 0 and 1.
        ShapeError: an input with fewer than 2 axes.
    """
    x = _checked(input, p, "dropout2d", training)
    if x.ndim == 3:
        warnings.warn(
            f"dropout2d: shape {x.shape} has 3 axes and is read as (N, C, L), so the channels are on axis 1, as in "
            "PyTorch; use dropout1d for that, or add a batch axis, input[None], if (C, H, W) is meant",
            stacklevel=2,
        )
    elif x.ndim != 4:
        warnings.warn(f"dropout2d: expected input (N, C, H, W), got shape {x.shape}; use dropout instead", stacklevel=2)
    if not training or p == 0:
        return input
    if x.ndim < 2:
        raise ShapeError(f"dropout2d: shape {x.shape} has no channel axis; use dropout")
    return _drop(input, _channels(x.shape, 1), p, inplace, "dropout2d")


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels 0 with probability ``p``, the others scaled by 1/(1 − p): (N, C, D, H, W) or (C, D, H, W).

    See :func:`dropout1d`. Another number of axes is read without a batch, with a warning, as in PyTorch.

    Raises:
        ValueError: ``p`` is not between 0 and 1.
        ShapeError: an input without axes.
    """
    x = _checked(input, p, "dropout3d", training)
    if x.ndim not in (4, 5):
        warnings.warn(
            f"dropout3d: expected input (N, C, D, H, W) or (C, D, H, W), got shape {x.shape}; use dropout instead",
            stacklevel=2,
        )
    if not training or p == 0:
        return input
    if x.ndim == 0:
        raise ShapeError("dropout3d: a tensor without axes has no channels; use dropout")
    return _drop(input, _channels(x.shape, 1 if x.ndim == 5 else 0), p, inplace, "dropout3d")


def _alpha(input: Any, shape: tuple[int, ...], p: float, inplace: bool, name: str) -> Any:
    """y = a (x m + s (1 − m)) + b with a mask m of ones and zeros, s SELU's floor.

    For x of mean 0 and variance 1, x m + s (1 − m) has mean s p and variance (1 − p)(1 + s² p). So
    a = ((1 − p)(1 + s² p))^(−1/2) and b = −a s p give mean 0 and variance 1 again.
    """
    if p == 1:
        return _drop(input, shape, p, inplace, name)  # everything dropped: zeros, as in PyTorch
    x = input._array
    mask = kept(x, shape, p)
    a = ((1 - p) * (1 + SELU_FLOOR**2 * p)) ** -0.5
    shift = ~mask * x.dtype.type(a * SELU_FLOOR) - x.dtype.type(a * SELU_FLOOR * p)
    y = Dropout.apply(input, mask, a) + wrap(shift)
    return input._replace(y, f"{name}_") if inplace else y


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Each element set to SELU's lowest value with probability ``p``, then all scaled and shifted.

    y = a (x m + s (1 − m)) + b, with m 0 or 1, s = −1.758, a = ((1 − p)(1 + s² p))^(−1/2) and b = −a s p: mean 0 and
    variance 1 stay as they are. Source: Klambauer et al. 2017, torch.nn.functional.alpha_dropout.

    Raises:
        ValueError: ``p`` is not between 0 and 1.
    """
    x = _checked(input, p, "alpha_dropout", training)
    if not training or p == 0:
        return input
    return _alpha(input, x.shape, p, inplace, "alpha_dropout")


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """:func:`alpha_dropout` of whole channels: input (N, C, …), each channel kept or set as one.

    Raises:
        ValueError: ``p`` is not between 0 and 1.
        ShapeError: an input with fewer than 2 axes.
    """
    x = _checked(input, p, "feature_alpha_dropout", training)
    if not training or p == 0:
        return input
    if x.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout: expected input (N, C, ...), got shape {x.shape}; use alpha_dropout")
    return _alpha(input, _channels(x.shape, 1), p, inplace, "feature_alpha_dropout")
