"""NAdam: Adam with Nesterov's momentum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .optimizer import Optimizer, Prepare, check_fractions, check_not_negative, decayed, kept, refuse, squarable


def nadam(
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
    mu: float,
    mu_next: float,
    product: float,
) -> None:
    """The update of :class:`NAdam` on arrays. It changes ``p``, ``m`` and ``v``; ``product`` is μ₁ ⋯ μₜ."""
    d = squarable(decayed(p, g, 0 if decoupled else weight_decay, maximize), g)
    if weight_decay and decoupled:
        p *= 1 - lr * weight_decay
    m += (1 - beta1) * (d - m)
    v *= beta2
    v += (1 - beta2) * d * d
    size = np.sqrt(v / (1 - beta2**step)) + eps
    p -= lr * (1 - mu) / (1 - product) * d / size
    p -= lr * mu_next / (1 - product * mu_next) * m / size


class NAdam(Optimizer):
    """Adam whose step looks ahead: the average gradient as it will be after the next step.

        g ← ∇L(p) + weight_decay · p
        m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   v̂ = v / (1 − β₂ᵗ)    in step t = 1, 2, …
        μₜ = β₁ (1 − ½ · 0.96^(t · momentum_decay))
        m̂ = μₜ₊₁ m / (1 − μ₁ ⋯ μₜ₊₁) + (1 − μₜ) g / (1 − μ₁ ⋯ μₜ)
        p ← p − lr · m̂ / (√v̂ + eps)

    Where from: a step of momentum uses m, which holds the gradients up to now. Nesterov's form uses what m will be in
    the next step, whose largest part is known already: μₜ₊₁ m and the gradient at hand. The products are the sums of
    the weights in those averages, as 1 − β₁ᵗ is in Adam's. A gradient whose square overflows counts as the largest
    whose square does not (in float32 ±9.2e18). Source: Dozat 2016; PyTorch's ``torch.optim.NAdam``.

    Args:
        params: parameters, or groups of them (see :class:`Optimizer`).
        lr: the learning rate.
        betas: (β₁, β₂), each in [0, 1).
        eps: keeps the quotient finite.
        weight_decay: pulls the parameters towards zero.
        momentum_decay: how fast μ rises from β₁ / 2 to β₁.
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
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse("NAdam", capturable=capturable, differentiable=differentiable)
        check_not_negative("NAdam", lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        beta1, beta2 = betas
        check_fractions("NAdam", beta1=beta1, beta2=beta2)
        defaults = {
            "lr": lr,
            "betas": (beta1, beta2),
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _prepare(self, group: dict[str, Any]) -> tuple[Callable[..., None], Prepare]:
        lr, eps, decay = float(group["lr"]), float(group["eps"]), float(group["weight_decay"])
        beta1, beta2 = map(float, group["betas"])
        momentum_decay = float(group["momentum_decay"])
        maximize, decoupled = group["maximize"], group["decoupled_weight_decay"]

        def prepare(array: Any, g: Any, state: Mapping[str, Any]) -> Any:
            step, m, v = state.get("step", 0) + 1, kept(state, "exp_avg", array), kept(state, "exp_avg_sq", array)
            mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in (step, step + 1))
            product = float(state.get("mu_product", 1.0)) * mu
            new = {"step": step, "mu_product": product, "exp_avg": m, "exp_avg_sq": v}
            settings = (lr, beta1, beta2, eps, decay, decoupled, maximize, step, mu, mu_next, product)
            return new, (array, g, m._array, v._array, *settings)

        return nadam, prepare
