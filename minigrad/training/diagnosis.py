"""Finds the layer and the op that first made a NaN or an infinity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from ..autograd import detect_anomaly, enable_grad
from ..errors import AnomalyError
from ..nested import tensors_in
from ..nn import Module
from ..nn.hooks import through
from ..nn.inspection.preserved import preserved
from ..tensor import Tensor
from .trainer_base import TrainerBase


class NonFiniteError(ArithmeticError):
    """A loss that is NaN or infinite in the first batch."""


def diagnose(trainer: TrainerBase) -> str:
    """The origin of the NaN or infinity in the loss of the current batch, or in its gradients.

    The batch is run again under :class:`minigrad.autograd.detect_anomaly`, with hooks that note which layer is running.
    The model is left as it was. Random numbers that it draws, such as those of dropout, differ from the first run.
    """
    with np.errstate(all="ignore"):  # NumPy would warn of what is looked for
        return _diagnosis(trainer)


def _diagnosis(trainer: TrainerBase) -> str:
    where = f"epoch {max(trainer.epoch, 1)}, batch {trainer.batch_index}"
    *inputs, target = trainer.batch
    parts = [*((f"input {i}", x) for i, x in enumerate(inputs)), ("the target", target)]
    data = [(name, tensor) for name, part in parts for tensor in tensors_in(part)]
    weights = list(trainer.model.named_parameters())
    if found := _first(data, np.isnan):
        return f"NaN in the data: {found} of {where} holds it already"
    if found := _first(weights, np.isnan):
        return f"NaN in the weights: {found} holds it at {where}, so an update before this batch put it there"
    infinite = None  # not an error by itself: masks hold infinities
    for what, named in (("data", data), ("weights", weights)):
        if infinite is None and (found := _first(named, np.isinf)):
            infinite = f"infinity in the {what}: {found} holds it at {where}, and no op made one out of finite numbers"
    layers = _Layers(trainer.model)
    stage = "forward"
    try:
        with preserved(trainer.model), layers.watched(), detect_anomaly(), enable_grad():
            trainer.model.zero_grad()  # else the new gradients would be added to the old ones in place
            output = trainer.model(*inputs)
            stage = "loss"
            loss = trainer.criterion(output, target)
            stage = "backward"
            loss.backward()
    except AnomalyError as error:
        if infinite is not None and "out of finite numbers" not in str(error):  # a consequence of the infinity
            return infinite
        stages = {
            "forward": f"the forward pass of {layers.running}",
            "loss": "the loss",
            "backward": f"the backward pass of {layers.running or 'the loss'}",
        }
        return f"NaN or infinity at {where} began in {stages[stage]}: {error}"
    if infinite is not None:
        return infinite
    return f"the loss or a gradient at {where} is NaN or infinite, but not when the batch is run once more"


class _Layers:
    """The stack of running layers, in the forward pass and then in the backward pass."""

    def __init__(self, model: Module) -> None:
        self._names = {
            module: f"the layer {name} ({type(module).__name__})" if name else f"the model ({type(module).__name__})"
            for name, module in model.named_modules()
        }
        self._stack: list[Module] = []

    @property
    def running(self) -> str:
        """Name and class of the innermost running layer; empty outside of all layers."""
        return self._names[self._stack[-1]] if self._stack else ""

    @contextmanager
    def watched(self) -> Iterator[None]:
        with ExitStack() as hooks:
            for module in self._names:
                hooks.enter_context(module.register_forward_pre_hook(self._enter))
                hooks.enter_context(module.register_forward_hook(lambda module, args, output: self._leave(module)))
                hooks.enter_context(module.register_full_backward_pre_hook(lambda module, _: self._enter_again(module)))
            yield

    def _enter_again(self, module: Module) -> None:
        self._stack.append(module)

    def _enter(self, module: Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        self._stack.append(module)

        # Not a full backward hook: that would refuse layers that change their input in place.
        def passing(gradients: Any) -> Any:
            self._leave(module)
            return gradients

        indices = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        return through(args, indices, passing) if indices else None

    def _leave(self, module: Module) -> None:
        if module in self._stack:  # the backward passes of branches alternate, so it need not be the last one
            self._stack.reverse()
            self._stack.remove(module)
            self._stack.reverse()


def _first(named: Iterable[tuple[str, Any]], test: Any) -> str | None:
    """Name and shape of the first floating tensor with an element that passes the test."""
    for name, tensor in named:
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and test(tensor.numpy(force=True)).any():
            return f"{name} (shape {tuple(tensor.shape)})"
    return None
