"""Rprop: steps by the sign of the gradient alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .optimizer import Optimizer, Prepare, check_not_negative, decayed, kept, refuse


def rprop(
    p: Any,
    g: Any,
    before: Any,
    length: Any,
    shorter: float,
    longer: float,
    shortest: float,
    longest: float,
    maximize: bool,
) -> None:
    """The update of :class:`Rprop` on arrays. It changes ``p``, ``before`` g' and ``length`` s."""
    d = decayed(p, g, 0, maximize)
    turn = np.sign(d) * np.sign(before)  # the signs first: the product of small gradients would be 0
    length *= np.where(turn > 0, longer, np.where(turn < 0, shorter, 1.0)).astype(length.dtype)
    np.clip(length, shortest, longest, out=length)
    d = np.where(turn < 0, 0, d)
    p -= np.sign(d) * length
    before[...] = d


class Rprop(Optimizer):
    """Each parameter has a step length of its own, which grows while its gradient keeps its sign.

        gg' > 0:  s ← min(η₊ s, longest)
        gg' < 0:  s ← max(η₋ s, shortest),   g ← 0       it went too far: shorter, and no step this time
        p ← p − s · sign(g),   g' ← g                    s = lr and g' = 0 before the first step

    How large a gradient is says little about how far to go: it is steep in a narrow valley, where steps must be short.
    Its sign says where to go, and a change of sign that the last step was too long. The signs of mini-batches change by
    chance, so it is for gradients of the whole set. Source: Riedmiller and Braun 1993; PyTorch's
    ``torch.optim.Rprop``.

    Args:
        params: parameters, or groups of them (see :class:`Optimizer`).
        lr: the first step length.
        etas: (η₋, η₊), 0 < η₋ < 1 < η₊.
        step_sizes: (shortest, longest) step.
        foreach: PyTorch's choice between implementations, accepted and without meaning here.
        maximize: go uphill.
        capturable, differentiable: not in minigrad.

    Raises:
        ValueError: a setting out of its range.
        NotImplementedError: ``capturable`` or ``differentiable``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse("Rprop", capturable=capturable, differentiable=differentiable)
        check_not_negative("Rprop", lr=lr)
        shorter, longer = etas
        if not 0 < shorter < 1 < longer:
            raise ValueError(f"Rprop: etas must be (below 1, above 1), both positive, got {etas!r}")
        shortest, longest = step_sizes
        if not 0 <= shortest <= longest:
            raise ValueError(f"Rprop: step_sizes must be (shortest, longest), not negative, got {step_sizes!r}")
        defaults = {"lr": lr, "etas": (shorter, longer), "step_sizes": (shortest, longest), "maximize": maximize}
        super().__init__(params, defaults)

    def _prepare(self, group: dict[str, Any]) -> tuple[Callable[..., None], Prepare]:
        shorter, longer = map(float, group["etas"])
        shortest, longest = map(float, group["step_sizes"])
        lr, maximize = float(group["lr"]), group["maximize"]

        def prepare(array: Any, g: Any, state: Mapping[str, Any]) -> Any:
            before, length = kept(state, "prev", array), kept(state, "step_size", array, lr)
            new = {"step": state.get("step", 0) + 1, "prev": before, "step_size": length}
            args = (array, g, before._array, length._array, shorter, longer, shortest, longest, maximize)
            return new, args

        return rprop, prepare
