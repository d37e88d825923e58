"""Dropout: noise that a network must learn to live with."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import random
from ..autograd.function import Op
from ..devices import of_array
from .common import require_floating


class Dropout(Op):
    """y = x m, each element of the mask m 0 with probability p, else 1/(1 − p), so that y's expectation is x.

    dx = dy m: an element that was dropped did not act, and learns nothing.   Srivastava et al. 2014.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, mask: Any) -> Any:
        ctx.saved = (mask,)
        return x * mask

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (mask,) = ctx.saved
        return dy * mask


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Each element 0 with probability ``p``, the others scaled by 1/(1 − p); the input itself when not training.

    The mask comes from minigrad's generator of the input's device, so it repeats with ``manual_seed``.

    Raises:
        ValueError: ``p`` is not between 0 and 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is the probability of a zero and must lie between 0 and 1, got {p}")
    x = require_floating(input, "dropout")._array
    if not training or p == 0:
        return input
    draw = random.draws(None, of_array(x).type)
    kind = x.dtype if x.dtype in (np.float32, np.float64) else np.dtype(np.float32)
    keep = draw.random(x.shape, dtype=kind) >= p
    mask = keep * x.dtype.type(1.0 / (1.0 - p) if p < 1 else 0.0)
    y = Dropout.apply(input, mask)
    return input._replace(y, "dropout_") if inplace else y
