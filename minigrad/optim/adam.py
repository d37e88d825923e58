"""Adam and AdamW: a step of about the same length for every parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .optimizer import Optimizer, Prepare, check_fractions, check_not_negative, decayed, kept, refuse, squarable


def adam(
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    v_max: Any,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    step: int,
) -> None:
    """The update of :class:`Adam` and :class:`AdamW` on arrays.

    It changes ``p``, ``m``, ``v``, and ``v_max`` unless that is None (no amsgrad). ``step`` t counts from 1.
    """
    d = squarable(decayed(p, g, 0 if decoupled else weight_decay, maximize), g)
    if weight_decay and decoupled:
        p *= 1 - lr * weight_decay
    m += (1 - beta1) * (d - m)
    v *= beta2
    v += (1 - beta2) * d * d
    if v_max is not None:
        v = np.maximum(v_max, v, out=v_max)
    p -= lr / (1 - beta1**step) * m / (np.sqrt(v) / math.sqrt(1 - beta2**step) + eps)


class Adam(Optimizer, kernel="optim.rules.adam"):
    """Divide each parameter's average gradient by the size its gradients usually have.

        g ← ∇L(p) + weight_decay · p
        m ← β₁ m + (1 − β₁) g                  a running mean of g
        v ← β₂ v + (1 − β₂) g²                 a running mean of g²
        m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)    in step t = 1, 2, …
        p ← p − lr · m̂ / (√v̂ + eps)

    Why the corrections: m starts at zero, so after t steps it is a mean whose weights add up to only 1 − β₁ᵗ.
    Where the gradient keeps its sign, |m̂| / √v̂ is near 1 and the step is lr, however small the gradient;
    where it jumps about zero, the step is small. A gradient whose square overflows counts as the largest whose square
    does not, ±½ √max (in float32 ±9.2e18), which leaves m̂ / √v̂ as it is. Source: Kingma and Ba 2015; amsgrad: Reddi
    et al. 2018; PyTorch's ``torch.optim.Adam``.

    Args:
        params: parameters, or groups of them (see :class:`Optimizer`).
        lr: the learning rate.
        betas: (β₁, β₂), each in [0, 1).
        eps: keeps the quotient finite.
        weight_decay: adds weight_decay · p to the gradient. It passes through the division by √v̂ like the
            rest of it, so parameters with large gradients decay less; AdamW decays all alike.
        amsgrad: divide by the largest v so far, so that a rare large gradient is not forgotten.
        maximize: go uphill.
        decoupled_weight_decay: decay as AdamW does.
        foreach, fused: PyTorch's choices between implementations, accepted and without meaning here: a step
            is always one fused pass over each parameter.
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
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        name = type(self).__name__
        refuse(name, capturable=capturable, differentiable=differentiable)
        check_not_negative(name, lr=lr, eps=eps, weight_decay=weight_decay)
        beta1, beta2 = betas
        check_fractions(name, beta1=beta1, beta2=beta2)
        defaults = {
            "lr": lr,
            "betas": (beta1, beta2),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _prepare(self, group: dict[str, Any]) -> tuple[Callable[..., None], Prepare]:
        lr, eps, decay = float(group["lr"]), float(group["eps"]), float(group["weight_decay"])
        beta1, beta2 = map(float, group["betas"])
        amsgrad, maximize, decoupled = group["amsgrad"], group["maximize"], group["decoupled_weight_decay"]

        def prepare(array: Any, g: Any, state: Mapping[str, Any]) -> Any:
            step, m, v = state.get("step", 0) + 1, kept(state, "exp_avg", array), kept(state, "exp_avg_sq", array)
            new, v_max = {"step": step, "exp_avg": m, "exp_avg_sq": v}, None
            if amsgrad:
                new["max_exp_avg_sq"] = largest = kept(state, "max_exp_avg_sq", array)
                v_max = largest._array
            args = (array, g, m._array, v._array, v_max, lr, beta1, beta2, eps, decay, decoupled, maximize, step)
            return new, args

        return adam, prepare


class AdamW(Adam):
    """Adam with weight decay kept out of the running means.

        p ← p − lr · weight_decay · p − lr · m̂ / (√v̂ + eps)

    with m̂ and v̂ of the gradient alone. The arguments are Adam's; weight_decay is 0.01 by default.
    Source: Loshchilov and Hutter 2019; PyTorch's ``torch.optim.AdamW``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
