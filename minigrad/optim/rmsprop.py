"""RMSprop: divide the gradient by the root of its mean square."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .optimizer import Optimizer, Prepare, check_not_negative, decayed, kept, refuse, squarable


def rmsprop(
    p: Any,
    g: Any,
    square_avg: Any,
    grad_avg: Any,
    buffer: Any,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    maximize: bool,
) -> None:
    """The update of :class:`RMSprop` on arrays.

    It changes ``p``, ``square_avg`` v, and ``grad_avg`` ḡ and ``buffer`` b unless these are None (not
    centered, no momentum).
    """
    d = squarable(decayed(p, g, weight_decay, maximize), g)
    square_avg *= alpha
    square_avg += (1 - alpha) * d * d
    variance = square_avg
    if grad_avg is not None:
        grad_avg += (1 - alpha) * (d - grad_avg)
        variance = np.maximum(square_avg - grad_avg * grad_avg, 0)
    step = d / (np.sqrt(variance) + eps)
    if buffer is not None:
        buffer *= momentum
        buffer += step
        step = buffer
    p -= lr * step


class RMSprop(Optimizer, kernel="optim.rules.rmsprop"):
    """Divide each gradient by the root of its running mean square, so that all parameters step alike.

        g ← ∇L(p) + weight_decay · p
        v ← alpha · v + (1 − alpha) · g²
        p ← p − lr · g / (√v + eps)

    With ``centered``, v − ḡ² (an estimate of the variance, 0 where rounding makes it negative) takes the place of v,
    where ḡ is the running mean of g. A gradient whose square overflows counts as the largest whose square does not
    (in float32 ±9.2e18). With ``momentum``, the quotient goes into b ← momentum · b + g / (√v + eps), and
    p ← p − lr · b.
    Source: Hinton's lecture notes 2012; centered: Graves 2013; PyTorch's ``torch.optim.RMSprop``.

    Args:
        params: parameters, or groups of them (see :class:`Optimizer`).
        lr: the learning rate.
        alpha: how much of the running mean is kept.
        eps: keeps the quotient finite.
        weight_decay: pulls the parameters towards zero.
        momentum: how much of the last step is kept.
        centered: divide by the standard deviation instead of the root mean square.
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
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse("RMSprop", capturable=capturable, differentiable=differentiable)
        check_not_negative("RMSprop", lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _prepare(self, group: dict[str, Any]) -> tuple[Callable[..., None], Prepare]:
        lr, alpha, eps = float(group["lr"]), float(group["alpha"]), float(group["eps"])
        decay, momentum = float(group["weight_decay"]), float(group["momentum"])
        centered, maximize = group["centered"], group["maximize"]

        def prepare(array: Any, g: Any, state: Mapping[str, Any]) -> Any:
            squares, mean, buffer = kept(state, "square_avg", array), None, None
            new = {"step": state.get("step", 0) + 1, "square_avg": squares}
            if momentum:
                new["momentum_buffer"] = heavy = kept(state, "momentum_buffer", array)
                buffer = heavy._array
            if centered:
                new["grad_avg"] = average = kept(state, "grad_avg", array)
                mean = average._array
            args = (array, g, squares._array, mean, buffer, lr, alpha, eps, decay, momentum, maximize)
            return new, args

        return rmsprop, prepare
