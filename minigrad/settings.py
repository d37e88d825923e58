"""Settings with which PyTorch scripts begin and that minigrad has no need of: taken, checked, without effect."""

from __future__ import annotations

_deterministic = False
_precision = "highest"


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for results that repeat bit for bit. minigrad's do, with the same seed and number of threads, in any case.

    Source: torch.use_deterministic_algorithms.
    """
    global _deterministic
    _deterministic = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """What :func:`use_deterministic_algorithms` was last told; False at first."""
    return _deterministic


def set_float32_matmul_precision(precision: str) -> None:
    """Allow matrix products to round more. minigrad's float32 products are in float32 in any case.

    Args:
        precision: "highest", "high" or "medium".
    Source: torch.set_float32_matmul_precision.
    """
    global _precision
    if precision not in ("highest", "high", "medium"):
        raise ValueError(
            f"set_float32_matmul_precision: precision must be 'highest', 'high' or 'medium', got {precision!r}"
        )
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What :func:`set_float32_matmul_precision` was last told; "highest" at first."""
    return _precision
