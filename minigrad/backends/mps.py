"""Apple's GPUs (``torch.backends.mps``), on which minigrad does not run."""

from __future__ import annotations


def is_available() -> bool:
    """Whether ``device="mps"`` can be used: never."""
    return False


def is_built() -> bool:
    """Whether minigrad could use such a GPU where there is one: never."""
    return False
