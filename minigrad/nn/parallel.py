"""Several GPUs at once (``torch.nn.parallel``): minigrad uses one device, so a module in these runs as if alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .module import Module


class DataParallel(Module):
    """A wrapper that runs ``module`` on the one device where it is.

    Its parameters are called ``module.…`` in the ``state_dict``, as in PyTorch, so checkpoints of wrapped networks fit.

    Args:
        module: the network.
        device_ids: GPUs; at most one.
        output_device, dim: where PyTorch gathers results, and the axis along which it splits; without meaning here.
    Raises NotImplementedError where several GPUs are named.
    Source: torch.nn.DataParallel.
    """

    module: Module

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        _one_device("DataParallel", device_ids)
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """``module(inputs)``, or ``module(*inputs)`` for a tuple, on the one device where it is.

    Raises NotImplementedError where several GPUs are named. Source: torch.nn.parallel.data_parallel.
    """
    _one_device("data_parallel", device_ids)
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))


def _one_device(name: str, device_ids: Sequence[Any] | None) -> None:
    if device_ids is not None and len(device_ids) > 1:
        raise NotImplementedError(
            f"{name}: device_ids names {len(device_ids)} devices, {list(device_ids)}; minigrad uses one at a time"
        )
