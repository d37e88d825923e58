"""Batches ``(input, …, target)``: their parts, device and size, and the loaders that yield them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import GeneratorType
from typing import Any

from ..nested import mapped, rebuilt, tensors_in
from ..ops.shape import cat
from ..tensor import Tensor

_USED_UP = (GeneratorType, map, zip, filter, enumerate)  # these can be iterated over only once


def checked_loader(who: str, loader: Any, passes: int = 1) -> int | None:
    """The number of batches in an epoch, None if not known; ``passes``: how often the loader will be iterated over.

    Raises TypeError if it cannot be iterated over, ValueError if it has no batches, or none in a second pass.
    """
    if not hasattr(loader, "__iter__"):
        raise TypeError(
            f"{who} is a {type(loader).__name__}, expected something that yields batches; of a data set make "
            "DataLoader(dataset, batch_size=32, shuffle=True)"
        )
    if passes > 1 and isinstance(loader, _USED_UP):
        raise ValueError(
            f"{who} is a {type(loader).__name__}, which yields its batches once, and more than one pass over them is "
            "needed; pass a DataLoader, or a list of batches"
        )
    try:
        length = len(loader)
    except TypeError:
        return None
    if length == 0:
        raise ValueError(f"{who} has no batches; is the data set empty?")
    return length


def to_device(value: Any, device: Any) -> Any:
    """The value with all tensors in it moved to a device; sequences and mappings keep their types."""

    def moved(x: Any) -> Any:
        return x.to(device) if isinstance(x, Tensor) and x.device is not device and x.device != device else x

    return mapped(value, moved)


def split(batch: Any) -> tuple[Sequence[Any], Any]:
    """Inputs and target of a batch. Raises TypeError if it is not a tuple or list of two or more."""
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        what = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, (tuple, list)) else "")
        raise TypeError(
            f"Trainer: a batch is {what}, expected (input, …, target); make it so in the loader's collate_fn, or "
            "replace trainer.batch in on_batch_start"
        )
    return batch[:-1], batch[-1]


def loss_weight(criterion: Any, output: Any, target: Any, samples: int) -> Any:
    """The weight of a batch's mean loss in the mean over the set: the number that the criterion divided by.

    It is ``criterion.divisor(output, target)`` if there is such a method, as losses of minigrad.nn have: with weights
    of classes or ignored targets it differs from the number of samples. Otherwise it is the number of samples.
    """
    told = getattr(criterion, "divisor", None)
    if not callable(told) or getattr(criterion, "reduction", "mean") == "sum":
        return samples
    return told(output, target) if isinstance(output, Tensor) and isinstance(target, Tensor) else samples


def first_samples(value: Any, count: int) -> Any:
    """The value cut to the first samples: every tensor in it, and every list with an item for each sample."""
    if isinstance(value, Tensor):
        return value[:count] if value.ndim else value
    if isinstance(value, Mapping):
        return rebuilt(value, {key: first_samples(item, count) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        if _first_tensor(value) is None:
            return value[:count]
        return rebuilt(value, [first_samples(item, count) for item in value])
    return value


def samples_in(batch: Sequence[Any]) -> int:
    """The length of the target's first axis, or of the first tensor in the batch if the target is not a tensor.

    Without any tensor: the length of the target, or 1 if it has none.
    """
    target = batch[-1]
    if isinstance(target, Tensor) and target.ndim:
        return len(target)
    tensor = _first_tensor(batch)
    if tensor is not None:
        return len(tensor)
    return len(target) if hasattr(target, "__len__") and not isinstance(target, Tensor) else 1


def _first_tensor(value: Any) -> Tensor | None:
    """The first tensor that has axes."""
    return next((tensor for tensor in tensors_in(value) if tensor.ndim), None)


def joined(outputs: Sequence[Any]) -> Any:
    """The outputs of all batches concatenated; for a model with several outputs, each of them."""
    if isinstance(outputs[0], (tuple, list)):
        return tuple([joined(parts) for parts in zip(*outputs, strict=True)])
    return cat(list(outputs))
