"""PyTorch's `torch.utils`: `data` (datasets and loaders), `tensorboard` (a log writer), `summary` and `flops` of a
model; and torchvision's `make_grid` and `save_image`."""

from __future__ import annotations

import importlib
from typing import Any

_SUBMODULES = ("data", "tensorboard")
_FUNCTIONS = {  # the file that each is in
    "flops": "minigrad.nn.inspection.summary",
    "make_grid": "minigrad.plot.grid",
    "save_image": "minigrad.plot.grid",
    "summary": "minigrad.nn.inspection.summary",
}

__all__ = ["data", "flops", "make_grid", "save_image", "summary", "tensorboard"]


def __getattr__(name: str) -> Any:
    """Import a submodule or a function's file when it is first named, so that `import minigrad` pays for none."""
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(
        f"minigrad.utils has no {name!r}. It offers {', '.join(__all__)}; the rest of torch.utils and "
        "torchvision.utils is not part of minigrad."
    )
