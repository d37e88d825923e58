"""Anomaly detection: which op made the first NaN or infinity out of finite numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import AnomalyError
from .variable import Variable


def look_at_forward(ctx: Any, arrays: list[Any], out: Any) -> None:
    """Raise if finite inputs gave a NaN or an infinity, or if a NaN that came in with the data is passed on.

    An infinity among the inputs is no fault: masks put −∞ before a softmax.
    """
    name = type(ctx).__name__
    for y in out if isinstance(out, tuple) else (out,):
        if all_finite(y):
            continue
        if all(all_finite(a) for a in arrays):
            raise AnomalyError(f"{name}: forward made a {kind_of(y)} out of finite numbers, called at {ctx.called_at}")
        for i, a in enumerate(arrays):
            if kind_of(y) == "NaN" and not all_finite(a) and kind_of(a) == "NaN":
                raise AnomalyError(
                    f"{name}: argument {i} (shape {np.shape(a)}) holds a NaN already, at index {_first_nan(a)}: it "
                    f"came in with the data, or from before anomaly detection began; called at {ctx.called_at}"
                )


def look_at_backward(node: Any, gs: list[Any], grads: tuple[Any, ...]) -> None:
    for i, d in enumerate(grads):
        array = None if d is None else d._array if isinstance(d, Variable) else d
        if array is not None and not all_finite(array) and all(x is None or all_finite(x) for x in gs):
            raise AnomalyError(
                f"{type(node).__name__}: backward made a {kind_of(array)} in the gradient of argument {i} out of "
                f"finite numbers; the op was called at {node.called_at or 'a line before anomaly detection began'}"
            )


def _first_nan(x: Any) -> tuple[int, ...]:
    return tuple(int(i[0]) for i in np.isnan(x).nonzero()) if np.ndim(x) else ()


def all_finite(x: Any) -> bool:
    if isinstance(x, float):
        return bool(np.isfinite(x))
    return getattr(getattr(x, "dtype", None), "kind", "") != "f" or bool(np.isfinite(x).all())


def kind_of(x: Any) -> str:
    return "NaN" if bool(np.isnan(x).any()) else "infinity"
