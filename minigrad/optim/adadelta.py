"""Adadelta: steps in the units of the parameter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .optimizer import Optimizer, check_not_negative, quickest, refuse, zeros_like


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
    if maximize:
        g = -g
    if weight_decay:
        g = g + weight_decay * p
    square_avg *= rho
    square_avg += (1 - rho) * g * g
    delta = np.sqrt(acc_delta + eps) / np.sqrt(square_avg + eps) * g
    acc_delta *= rho
    acc_delta += (1 - rho) * delta * delta
    p -= lr * delta


class Adadelta(Optimizer):
    """Scale each gradient by the ratio of past step sizes to past gradient sizes.

        g ← ∇L(p) + weight_decay · p
        v ← rho · v + (1 − rho) · g²              running mean square of the gradients
        Δ = √(u + eps) / √(v + eps) · g
        u ← rho · u + (1 − rho) · Δ²              running mean square of the steps
        p ← p − lr · Δ

    A gradient has the unit loss / parameter; g / √v has no unit, and √u gives back that of the parameter. So
    no learning rate is needed (lr = 1); eps decides how small the first steps are. Source: Zeiler 2012;
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

    def _update(self, group: dict[str, Any], fused: Any) -> None:
        lr, rho, eps = float(group["lr"]), float(group["rho"]), float(group["eps"])
        decay, maximize = float(group["weight_decay"]), group["maximize"]
        for p in group["params"]:
            grad = p._grad
            if grad is None:
                continue
            array, state = p._array, self.state[p]
            if not state:
                state["step"] = 0
                state["square_avg"] = zeros_like(array)
                state["acc_delta"] = zeros_like(array)
            state["step"] += 1
            rule = quickest(adadelta, array, fused)
            squares, deltas = state["square_avg"]._array, state["acc_delta"]._array
            rule(array, grad._array, squares, deltas, lr, rho, eps, decay, maximize)
            p._version[0] += 1
