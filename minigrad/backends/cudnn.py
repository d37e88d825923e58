"""cuDNN (``torch.backends.cudnn``), which minigrad does not use: setting these switches changes nothing.

minigrad's results repeat bit for bit as they are, and its convolutions choose their way by shape alone.
"""

from __future__ import annotations

enabled: bool = False
benchmark: bool = False
deterministic: bool = False
allow_tf32: bool = False


def is_available() -> bool:
    """Whether cuDNN is used: never."""
    return False


def version() -> None:
    """The version of cuDNN: None, since it is not used."""
