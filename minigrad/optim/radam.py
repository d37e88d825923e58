"""RAdam: Adam that trusts its second moment only once it rests on enough gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .optimizer import Optimizer, Prepare, check_fractions, check_not_negative, decayed, kept, refuse, squarable


def radam(
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    step: int,
) -> None:
    """The update of :class:`RAdam` on arrays. It changes ``p``, ``m`` and ``v``; ``step`` t counts from 1."""
    d = squarable(decayed(p, g, 0 if decoupled else weight_decay, maximize), g)
    if weight_decay and decoupled:
        p *= 1 - lr * weight_decay
    m += (1 - beta1) * (d - m)
    v *= beta2
    v += (1 - beta2) * d * d
    correction2 = 1 - beta2**step
    most = 2 / (1 - beta2) - 1
    length = most - 2 * step * beta2**step / correction2
    rate = lr / (1 - beta1**step)
    if length > 5:
        trust = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
        p -= rate * math.sqrt(trust * correction2) * m / (np.sqrt(v) + eps)
    else:
        p -= rate * m


class RAdam(Optimizer):
    """Adam with a warm-up that follows from the variance of 1 / √v̂.

        g ← ∇L(p) + weight_decay · p
        m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   m̂ = m / (1 − β₁ᵗ)    in step t = 1, 2, …
        ρ∞ = 2 / (1 − β₂) − 1,   ρₜ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)
        ρₜ > 5:  r = √((ρₜ − 4)(ρₜ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρₜ)),   p ← p − lr · r · m̂ √(1 − β₂ᵗ) / (√v + eps)
        else:    p ← p − lr · m̂

    Where from: ρₜ is the length of the plain average that v is worth after t steps. If gradients are normal, v̂ is then
    a scaled inverse χ² of ρₜ degrees of freedom, and 1 / √v̂ has a variance only from ρₜ > 4 on, which falls as ρₜ
    grows; r scales the step so that the variance is that of ρ∞ from the start. Before, v is left out. A gradient whose
    square overflows counts as the largest whose square does not (in float32 ±9.2e18).
    Source: Liu et al. 2020; PyTorch's ``torch.optim.RAdam``.

    Args:
        params: parameters, or groups of them (see :class:`Optimizer`).
        lr: the learning rate.
        betas: (β₁, β₂), each in [0, 1).
        eps: keeps the quotient finite.
        weight_decay: pulls the parameters towards zero.
        decoupled_weight_decay: decay as AdamW does.
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
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse("RAdam", capturable=capturable, differentiable=differentiable)
        check_not_negative("RAdam", lr=lr, eps=eps, weight_decay=weight_decay)
        beta1, beta2 = betas
        check_fractions("RAdam", beta1=beta1, beta2=beta2)
        defaults = {
            "lr": lr,
            "betas": (beta1, beta2),
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _prepare(self, group: dict[str, Any]) -> tuple[Callable[..., None], Prepare]:
        lr, eps, decay = float(group["lr"]), float(group["eps"]), float(group["weight_decay"])
        beta1, beta2 = map(float, group["betas"])
        maximize, decoupled = group["maximize"], group["decoupled_weight_decay"]

        def prepare(array: Any, g: Any, state: Mapping[str, Any]) -> Any:
            step, m, v = state.get("step", 0) + 1, kept(state, "exp_avg", array), kept(state, "exp_avg_sq", array)
            args = (array, g, m._array, v._array, lr, beta1, beta2, eps, decay, decoupled, maximize, step)
            return {"step": step, "exp_avg": m, "exp_avg_sq": v}, args

        return radam, prepare
