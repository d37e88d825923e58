"""Adadelta: steps in the units of the parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .optimizer import Optimizer, Prepare, check_not_negative, decayed, kept, refuse, squarable


def adadelta(
    p: Any,
    g: Any,
    square_avg: Any,
    acc_delta: Any,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """The update of :class:`Adadelta` on arrays. It changes ``p``, ``square_avg`` v and ``acc_delta`` u."""
    d = squarable(decayed(p, g, weight_decay, maximize), g)
    square_avg *= rho
    square_avg += (1 - rho) * d * d
    delta = np.sqrt(acc_delta + eps) / np.sqrt(square_avg + eps) * d
    acc_delta *= rho
    acc_delta += (1 - rho) * delta * delta
    p -= lr * delta


class Adadelta(Optimizer, kernel="optim.rules.adadelta"):
    """Scale each gradient by the ratio of past step sizes to past gradient sizes.

        g ← ∇L(p) + weight_decay · p
        v ← rho · v + (1 − rho) · g²              running mean square of the gradients
        Δ = √(u + eps) / √(v + eps) · g
        u ← rho · u + (1 − rho) · Δ²              running mean square of the steps
        p ← p − lr · Δ

    A gradient has the unit loss / parameter; g / √v has no unit, and √u gives back that of the parameter. So
    no learning rate is needed (lr = 1); eps decides how small the first steps are. A gradient whose square overflows
    counts as the largest whose square does not (in float32 ±9.2e18). Source: Zeiler 2012;
    PyTorch's ``torch.optim.Adadelta``.

    Args:
        params: parameters, or groups of them (see :class:`Optimizer`).
        lr: a factor on the step.
        rho: how much of the running means is kept, in [0, 1].
        eps: keeps the ratio positive.
        weight_decay: pulls the parameters towards zero.
        maximize: go uphill.
        foreach: PyTorch's choice between implementations, accepted and without meaning here.
        capturable, differentiable: not in minigrad.

    Raises:
        ValueError: a setting out of its range.
        NotImplementedError: ``capturable`` or ``differentiable``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse("Adadelta", capturable=capturable, differentiable=differentiable)
        check_not_negative("Adadelta", lr=lr, eps=eps, weight_decay=weight_decay)
        if not 0 <= rho <= 1:
            raise ValueError(f"Adadelta: rho must lie in [0, 1], got {rho!r}")
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def _prepare(self, group: dict[str, Any]) -> tuple[Callable[..., None], Prepare]:
        lr, rho, eps = float(group["lr"]), float(group["rho"]), float(group["eps"])
        decay, maximize = float(group["weight_decay"]), group["maximize"]

        def prepare(array: Any, g: Any, state: Mapping[str, Any]) -> Any:
            squares, deltas = kept(state, "square_avg", array), kept(state, "acc_delta", array)
            new = {"step": state.get("step", 0) + 1, "square_avg": squares, "acc_delta": deltas}
            return new, (array, g, squares._array, deltas._array, lr, rho, eps, decay, maximize)

        return adadelta, prepare
