"""How a module prints itself: PyTorch's tree, and beside each part that has parameters, how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .module import Module


def represent(module: Module) -> str:
    """The ``repr`` of a module: its name and settings, or its children indented; then ``# n parameters``.

    A parameter that is used twice counts once. Where some parameters are frozen, the number that is trained
    is told.
    """
    head = f"{module._get_name()}("
    settings = module.extra_repr().split("\n") if module.extra_repr() else []
    children = [f"({name}): {_indented(repr(child))}" for name, child in module._modules.items()]
    size = count(module)
    if len(settings) <= 1 and not children:
        return f"{head}{''.join(settings)}){size}"
    return "\n  ".join([head + size, *settings, *children]) + "\n)"


def count(module: Module) -> str:
    """``"  # 7,850 parameters"``, or ``""`` for a module that has none."""
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    total = sum(n for n, _ in sizes)
    trained = sum(n for n, trains in sizes if trains)
    if not total:
        return ""
    note = "" if trained == total else f", {trained:,} trainable"
    return f"  # {total:,} parameter{'s' if total > 1 else ''}{note}"


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
