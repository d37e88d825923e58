"""Adagrad: parameters that have moved much move less."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .optimizer import Optimizer, Prepare, check_not_negative, decayed, kept, refuse, squarable


def adagrad(
    p: Any,
    g: Any,
    total: Any,
    lr: float,
    lr_decay: float,
    weight_decay: float,
    eps: float,
    maximize: bool,
    step: int,
) -> None:
    """The update of :class:`Adagrad` on arrays. It changes ``p`` and ``total`` s; ``step`` t counts from 1."""
    d = squarable(decayed(p, g, weight_decay, maximize), g)
    total += d * d
    total[np.isinf(total) & np.isfinite(d)] = np.finfo(g.dtype).max
    p -= lr / (1 + (step - 1) * lr_decay) * d / (np.sqrt(total) + eps)


class Adagrad(Optimizer, kernel="optim.rules.adagrad"):
    """Divide each gradient by the root of the sum of all its squares so far.

        g ← ∇L(p) + weight_decay · p
        s ← s + g²
        p ← p − lr / (1 + (t − 1) · lr_decay) · g / (√s + eps)        in step t = 1, 2, …

    s only grows, so steps only shrink; rarely used parameters (words in a vocabulary) keep long steps. A gradient
    whose square overflows counts as the largest whose square does not (in float32 ±9.2e18), and s stays finite.
    Source: Duchi et al. 2011; PyTorch's ``torch.optim.Adagrad``.

    Args:
        params: parameters, or groups of them (see :class:`Optimizer`).
        lr: the learning rate.
        lr_decay: makes it fall with the step count as well.
        weight_decay: pulls the parameters towards zero.
        initial_accumulator_value: where s starts.
        eps: keeps the quotient finite.
        maximize: go uphill.
        foreach, fused: PyTorch's choices between implementations, accepted and without meaning here: a step
            is always one fused pass over each parameter.
        differentiable: not in minigrad.

    Raises:
        ValueError: a setting out of its range.
        NotImplementedError: ``differentiable``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse("Adagrad", differentiable=differentiable)
        check_not_negative(
            "Adagrad",
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _prepare(self, group: dict[str, Any]) -> tuple[Callable[..., None], Prepare]:
        lr, lr_decay = float(group["lr"]), float(group["lr_decay"])
        decay, eps, maximize = float(group["weight_decay"]), float(group["eps"]), group["maximize"]
        first = float(group["initial_accumulator_value"])

        def prepare(array: Any, g: Any, state: Mapping[str, Any]) -> Any:
            step, total = state.get("step", 0) + 1, kept(state, "sum", array, first)
            args = (array, g, total._array, lr, lr_decay, decay, eps, maximize, step)
            return {"step": step, "sum": total}, args

        return adagrad, prepare
