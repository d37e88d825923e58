"""Adamax: Adam with the largest recent gradient in place of the root mean square."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .optimizer import Optimizer, Prepare, check_fractions, check_not_negative, decayed, kept, refuse


def adamax(
    p: Any,
    g: Any,
    m: Any,
    u: Any,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
    step: int,
) -> None:
    """The update of :class:`Adamax` on arrays. It changes ``p``, ``m`` and ``u``; ``step`` t counts from 1."""
    d = decayed(p, g, weight_decay, maximize)
    m *= beta1
    m += (1 - beta1) * d
    np.maximum(beta2 * u, abs(d) + eps, out=u)
    p -= lr / (1 - beta1**step) * (m / u)


class Adamax(Optimizer):
    """Divide each parameter's average gradient by its largest gradient, which is forgotten slowly.

        g ← ∇L(p) + weight_decay · p
        m ← β₁ m + (1 − β₁) g
        u ← max(β₂ u, |g| + eps)
        p ← p − lr / (1 − β₁ᵗ) · m / u        in step t = 1, 2, …

    Where from: Adam's √v is the 2-norm of the gradients, old ones weighted less. For a p-norm
    vₚ ← β₂ᵖ vₚ + (1 − β₂ᵖ) |g|ᵖ, and as p → ∞ the root vₚ^(1/p) becomes the maximum above. It starts at the first
    gradient and not at 0, so it needs no correction, and it has no square that could overflow.
    Source: Kingma and Ba 2015, section 7; PyTorch's ``torch.optim.Adamax``.

    Args:
        params: parameters, or groups of them (see :class:`Optimizer`).
        lr: the learning rate.
        betas: (β₁, β₂), each in [0, 1).
        eps: keeps the quotient finite.
        weight_decay: pulls the parameters towards zero.
        foreach: PyTorch's choice between implementations, accepted and without meaning here.
        maximize: go uphill.
        differentiable, capturable: not in minigrad.

    Raises:
        ValueError: a setting out of its range.
        NotImplementedError: ``capturable`` or ``differentiable``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        refuse("Adamax", capturable=capturable, differentiable=differentiable)
        check_not_negative("Adamax", lr=lr, eps=eps, weight_decay=weight_decay)
        beta1, beta2 = betas
        check_fractions("Adamax", beta1=beta1, beta2=beta2)
        defaults = {
            "lr": lr,
            "betas": (beta1, beta2),
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _prepare(self, group: dict[str, Any]) -> tuple[Callable[..., None], Prepare]:
        lr, eps, decay = float(group["lr"]), float(group["eps"]), float(group["weight_decay"])
        (beta1, beta2), maximize = map(float, group["betas"]), group["maximize"]

        def prepare(array: Any, g: Any, state: Mapping[str, Any]) -> Any:
            step, m, u = state.get("step", 0) + 1, kept(state, "exp_avg", array), kept(state, "exp_inf", array)
            args = (array, g, m._array, u._array, lr, beta1, beta2, eps, decay, maximize, step)
            return {"step": step, "exp_avg": m, "exp_inf": u}, args

        return adamax, prepare
