"""Where a NaN or an infinity began: the layer and the op that made it first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import detect_anomaly, enable_grad
from ..errors import AnomalyError
from ..nn import Module
from ..tensor import Tensor
from .checkpoint import random_state, set_random_state

if TYPE_CHECKING:
    from .trainer import Trainer


class NonFiniteError(ArithmeticError):
    """A loss that is NaN or infinite before anything was learned."""


def diagnose(trainer: Trainer) -> str:
    """Where the NaN or infinity in the loss of the batch under way, or in its gradients, comes from.

    The batch is run once more under :class:`minigrad.autograd.detect_anomaly`, with hooks that note which layer is
    running. Nothing changes by it: running statistics, gradients and random numbers are put back.
    """
    where = f"epoch {max(trainer.epoch, 1)}, batch {trainer.batch_index}"
    *inputs, target = trainer.batch
    for name, tensor in [*((f"input {i}", x) for i, x in enumerate(inputs)), ("the target", target)]:
        if (kind := _kind(tensor)) is not None:
            return f"{kind} in the data: {name} of {where} (shape {tuple(tensor.shape)}) holds it already"
    for name, parameter in trainer.model.named_parameters():
        if (kind := _kind(parameter)) is not None:
            return f"{kind} in the weights: {name} holds it at {where}, so an update before this batch put it there"
    # The two runs must see what the first one saw: dropout's mask apart, which makes no NaN, nothing is drawn again.
    random, before = random_state(), {name: t.clone() for name, t in trainer.model.state_dict().items()}
    gradients = [(p, p.grad) for p in trainer.model.parameters()]
    running: list[str] = []
    names = {id(module): name or type(module).__name__ for name, module in trainer.model.named_modules()}

    def enter(module: Module, args: Any) -> None:
        running.append(f"{names[id(module)]} ({type(module).__name__})")

    def leave(module: Module, args: Any, output: Any) -> None:
        running.pop()

    handles = [m.register_forward_pre_hook(enter) for m in trainer.model.modules()]
    handles += [m.register_forward_hook(leave) for m in trainer.model.modules()]
    stage = "forward"
    try:
        with detect_anomaly(), enable_grad():
            output = trainer.model(*inputs)
            stage = "loss"
            loss = trainer.criterion(output, target)
            stage = "backward"
            loss.backward()
    except AnomalyError as error:
        place = {"forward": f"the layer {running[-1] if running else '?'}", "loss": "the loss", "backward": "backward"}
        return f"NaN or infinity at {where} began in {place[stage]}: {error}"
    finally:
        for handle in handles:
            handle.remove()
        trainer.model.load_state_dict(before)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        set_random_state(random)
    return f"the loss or a gradient at {where} is NaN or infinite, but not when the batch is run once more"


def _kind(value: Any) -> str | None:
    """ "NaN" or "infinity", if a floating tensor holds one."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return None
    array = value.numpy(force=True)
    if np.isfinite(array).all():
        return None
    return "NaN" if np.isnan(array).any() else "infinity"
