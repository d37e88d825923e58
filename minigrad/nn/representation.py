"""How a module prints itself: PyTorch's tree, and beside each part that has parameters, how many."""

from __future__ import annotations

from typing import Any, ClassVar

from .members import M, Members


class Printable(Members[M]):
    """The part of Module that prints."""

    _shown_in_repr: ClassVar[tuple[str, ...]] = ()  # the attributes that ``repr`` shows

    def extra_repr(self) -> str:
        """The text between the brackets in ``repr``: a layer's settings."""
        values = {name: getattr(self, name) for name in self._shown_in_repr}
        return ", ".join(f"{name}={v!r}" if isinstance(v, str) else f"{name}={v}" for name, v in values.items())

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        """The name and settings, or the children indented; then ``# n parameters``, and how many are not frozen."""
        head = f"{self._get_name()}("
        settings = self.extra_repr().split("\n") if self.extra_repr() else []
        children = [f"({name}): {_indented(repr(child))}" for name, child in self._modules.items()]
        size = count(self)
        if len(settings) <= 1 and not children:
            return f"{head}{''.join(settings)}){size}"
        return "\n  ".join([head + size, *settings, *children]) + "\n)"

    def __dir__(self) -> list[str]:
        return sorted(name for name in super().__dir__() if not name[0].isdigit())


def count(module: Members[Any]) -> str:
    """``"  # 7,850 parameters"``, or ``""`` for a module that has none; one that is used twice counts once."""
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    total = sum(n for n, _ in sizes)
    trained = sum(n for n, trains in sizes if trains)
    if not total:
        return ""
    note = "" if trained == total else f", {trained:,} trainable"
    return f"  # {total:,} parameter{'s' if total > 1 else ''}{note}"


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
