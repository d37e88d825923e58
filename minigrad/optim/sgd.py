"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .optimizer import Optimizer, Prepare, check_not_negative, decayed, kept, refuse


def sgd(
    p: Any,
    g: Any,
    buffer: Any,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """The update of :class:`SGD` on arrays. It changes ``p`` and ``buffer`` b (None without momentum)."""
    d = decayed(p, g, weight_decay, maximize)
    if buffer is not None:
        buffer *= momentum
        buffer += (1 - dampening) * d
        d = d + momentum * buffer if nesterov else buffer
    p -= lr * d


class SGD(Optimizer, kernel="optim.rules.sgd"):
    """Go downhill; with momentum, like a heavy ball.

        g ← ∇L(p) + weight_decay · p
        b ← momentum · b + (1 − dampening) · g        (b = g in the first step)
        p ← p − lr · b                                (Nesterov: p − lr · (g + momentum · b))

    Without momentum, p ← p − lr · g. In a valley the momentum cancels what swings from side to side and adds
    up what points along it: a constant g is taken with rate lr / (1 − momentum). Nesterov's form looks at the
    slope where the ball will be. Source: Sutskever et al. 2013; PyTorch's ``torch.optim.SGD``, which leaves
    lr out of b.

    Args:
        params: parameters, or groups of them (see :class:`Optimizer`).
        lr: the learning rate.
        momentum: how much of the last step is kept.
        dampening: how much of the gradient is left out of b.
        weight_decay: pulls the parameters towards zero, the gradient of ½ weight_decay ‖p‖².
        nesterov: use Nesterov's form; needs a momentum and no dampening.
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
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse("SGD", differentiable=differentiable)
        check_not_negative("SGD", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"SGD: nesterov needs momentum > 0 and dampening = 0, got momentum={momentum}, dampening={dampening}"
            )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _prepare(self, group: dict[str, Any]) -> tuple[Callable[..., None], Prepare]:
        lr, momentum, damp = float(group["lr"]), float(group["momentum"]), float(group["dampening"])
        decay, nesterov, maximize = float(group["weight_decay"]), bool(group["nesterov"]), bool(group["maximize"])

        if not momentum:
            return sgd, (None, lr, 0.0, 0.0, decay, nesterov, maximize)

        def prepare(array: Any, g: Any, state: Mapping[str, Any]) -> Any:
            dampening = damp if state.get("momentum_buffer") is not None else 0.0  # at first b = momentum · 0 + g
            buffer = kept(state, "momentum_buffer", array)
            args = (array, g, buffer._array, lr, momentum, dampening, decay, nesterov, maximize)
            return {"momentum_buffer": buffer}, args

        return sgd, prepare
