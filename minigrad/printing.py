"""How a tensor reads in a notebook: values, then what is not the default (dtype, device, gradient)."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import dtypes
from .devices import CPU, move

_options: dict[str, Any] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Digits after the point, the size from which tensors are shortened, items kept at each edge, characters a line."""
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({name: value for name, value in given.items() if value is not None})
    _options["sci_mode"] = sci_mode


def tensor_text(t: Any, prefix: str = "tensor(") -> str:
    """``tensor([1., 2.], grad_fn=<MulBackward>)``."""
    array = move(t._array, CPU)
    body = np.array2string(
        array,
        separator=", ",
        prefix=prefix,
        precision=_options["precision"],
        threshold=_options["threshold"],
        edgeitems=_options["edgeitems"],
        max_line_width=_options["linewidth"],
        suppress_small=_options["sci_mode"] is False,
        floatmode="maxprec",
    )
    notes = []
    if array.size == 0 and array.shape != (0,):
        notes.append(f"size={array.shape}")
    kind = dtypes.of_array(array)
    if kind not in (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_) or array.size == 0:
        notes.append(f"dtype={kind}")
    if t.device.type != "cpu":
        notes.append(f"device='{t.device}'")
    if t.grad_fn is not None:
        notes.append(f"grad_fn={t.grad_fn!r}")
    elif t.requires_grad:
        notes.append("requires_grad=True")
    return f"{prefix}{', '.join([body, *notes])})"
