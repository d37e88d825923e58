"""Beside the network: `data` (datasets and loaders) and `tensorboard` (a log writer)."""

from __future__ import annotations

import importlib
from types import ModuleType

_SUBMODULES = ("data", "tensorboard")

__all__ = ["data", "tensorboard"]


def __getattr__(name: str) -> ModuleType:
    """Import a submodule when it is first named, so that `import minigrad` pays for none of them."""
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"minigrad.utils has no {name!r}. It offers {', '.join(_SUBMODULES)}; the rest of torch.utils is not "
        "part of minigrad."
    )
