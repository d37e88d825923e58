"""What normalization's kernels share: a channel's statistics, and the coefficients of its dx, out of its sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine.compile import jit
from ..machine.layout import FLOAT32

FORWARD, BACKWARD = 0.4, 0.5  # nanoseconds an element takes
TRAIN, RELU = 1, 2

_ONES_AND_ZEROS: dict[Any, Any] = {}


def ones_and_zeros(shape: tuple[int, ...]) -> Any:
    """The weight and the bias of a layer that has none: one pair per shape."""
    pair = _ONES_AND_ZEROS.get(shape)
    if pair is None:
        pair = _ONES_AND_ZEROS[shape] = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    return pair


def fit(shape: tuple[int, ...], *parameters: Any) -> bool:
    """Whether these (None aside) are C-contiguous float32 arrays of that shape."""
    for p in parameters:
        if p is not None and (p.dtype is not FLOAT32 or p.shape != shape or not p.flags.c_contiguous):
            return False
    return True


@jit
def split(mean: Any, near: Any, rest: Any) -> None:
    """A float64 mean as the sum of two float32."""
    for c in range(mean.size):
        near[c] = mean[c]
        rest[c] = mean[c] - near[c]


@jit
def settle(
    variance: Any, near: Any, rest: Any, w: Any, b: Any, running_mean: Any, running_var: Any, momentum: Any, eps: Any,
    count: int, mode: int, mean: Any, inverse: Any, scale: Any, shift: Any,
) -> None:  # fmt: skip
    """mean = near + rest in float64, 1/σ, the factors of y = (x − near) · scale + shift, and the running statistics
    (unless their size is 0)."""
    for c in range(variance.size):
        mean[c] = np.float64(near[c]) + rest[c]
        r = 1.0 / np.sqrt(variance[c] + eps)
        inverse[c] = r
        factor = r * w[c]
        scale[c] = factor
        shift[c] = b[c] - rest[c] * factor
    if mode & TRAIN and running_mean.size:
        unbiased = count / (count - 1)
        for c in range(variance.size):
            running_mean[c] += momentum * (mean[c] - running_mean[c])
            running_var[c] += momentum * (variance[c] * unbiased - running_var[c])


@jit
def terms(
    first: Any, second: Any, w: Any, inverse: Any, rest: Any, count: int, mode: int,
    dw: Any, db: Any, own: Any, along: Any, constant: Any,
) -> None:  # fmt: skip
    """db, dw, and the coefficients of dx = own · (dy + along · (x − mean) + constant), one a term of the rule."""
    share = 1.0 / count if mode & TRAIN else 0.0  # in evaluation mean and variance do not move with x
    for c in range(first.size):
        r, left = np.float64(inverse[c]), np.float64(rest[c])
        product = second[c] - left * first[c]  # Σ dy (x − μ), μ = mean + rest
        slope = -r * r * product * share
        db[c] = first[c]
        dw[c] = product * r
        own[c] = r * w[c]
        along[c] = slope
        constant[c] = -first[c] * share - slope * left
