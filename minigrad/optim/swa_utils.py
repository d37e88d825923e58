"""Batch norm's statistics for weights that they were not gathered with, under PyTorch's name for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..autograd import no_grad
from ..nn.module import Module
from ..nn.modules.normalization import _BatchNorm

__all__ = ["update_bn"]


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Gather the statistics of all batch-norm layers anew, with the weights as they are.

        μ = (1/B) Σ_b μ_b,   σ² = (1/B) Σ_b σ_b²     over the B batches of ``loader``

    The running statistics of training follow weights that change: a batch's share in them falls by the factor
    (1 − momentum) with each step, so they belong to weights some 1/momentum steps old. Where weights change fast that
    costs accuracy in evaluation; averaged weights have no statistics at all until they are gathered.

    The model computes in training mode (with dropout, if it has some); afterwards its mode and each layer's momentum
    are what they were. A model without running statistics is left alone, and the loader unread.

    Args:
        loader: batches of inputs, or tuples and lists whose first part is the input. All batches count alike, whatever
            their size.
        device: where inputs are moved first; None to leave them where they are.

    Source: P. Izmailov et al., Averaging weights leads to wider optima and better generalization, 2018;
    torch.optim.swa_utils.update_bn.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not layers:
        return
    modes = [(module, module.training) for module in model.modules()]
    momenta = [layer.momentum for layer in layers]
    try:
        model.train()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the plain average
        with no_grad():
            for batch in loader:
                x = batch[0] if isinstance(batch, (tuple, list)) else batch
                model(x if device is None else x.to(device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, training in modes:
            module.training = training
