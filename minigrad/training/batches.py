"""What a batch is: ``(input, …, target)``, on one device, of so many samples; and what yields batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import GeneratorType
from typing import Any

from ..nested import mapped, rebuilt, tensors_in
from ..ops.shape import cat
from ..tensor import Tensor

_USED_UP = (GeneratorType, map, zip, filter, enumerate)  # these yield what they have once, and nothing ever after


def checked_loader(who: str, loader: Any, passes: int = 1) -> int | None:
    """How many batches it yields in an epoch, None if it does not know; ``passes``: how often it will be gone through.

    Raises TypeError for what yields no batches, ValueError if there are none, or none in the second pass.
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
    """The same with all tensors in it on a device, also those in sequences and mappings, which keep their types."""

    def moved(x: Any) -> Any:
        return x.to(device) if isinstance(x, Tensor) and x.device is not device and x.device != device else x

    return mapped(value, moved)


def split(batch: Any) -> tuple[Sequence[Any], Any]:
    """Inputs and target of a batch, a tuple or list. Raises TypeError if it is not of that form."""
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        what = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, (tuple, list)) else "")
        raise TypeError(
            f"Trainer: a batch is {what}, expected (input, …, target); make it so in the loader's collate_fn, or "
            "replace trainer.batch in on_batch_start"
        )
    return batch[:-1], batch[-1]


def loss_weight(criterion: Any, output: Any, target: Any, samples: int) -> Any:
    """What a batch's mean loss counts for in the mean over the set: what the criterion divided by, if it can tell.

    A loss of minigrad.nn can, as can every criterion with a method ``divisor(output, target)``: with weights of classes
    and ignored targets it is not the number of samples, which counts otherwise.
    """
    told = getattr(criterion, "divisor", None)
    if not callable(told) or getattr(criterion, "reduction", "mean") == "sum":
        return samples
    return told(output, target) if isinstance(output, Tensor) and isinstance(target, Tensor) else samples


def first_samples(value: Any, count: int) -> Any:
    """The same of the first samples: of every tensor in it, and of lists that hold something else for each sample."""
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
    """The length of the target's first axis; of that of the first tensor in the batch, if the target is no tensor.

    Without any tensor, the length of the target, and 1 if it has none.
    """
    target = batch[-1]
    if isinstance(target, Tensor) and target.ndim:
        return len(target)
    tensor = _first_tensor(batch)
    if tensor is not None:
        return len(tensor)
    return len(target) if hasattr(target, "__len__") and not isinstance(target, Tensor) else 1


def _first_tensor(value: Any) -> Tensor | None:
    """The first that has axes."""
    return next((tensor for tensor in tensors_in(value) if tensor.ndim), None)


def joined(outputs: Sequence[Any]) -> Any:
    """The outputs of all batches behind one another; for a model with several outputs, each of them."""
    if isinstance(outputs[0], (tuple, list)):
        return tuple([joined(parts) for parts in zip(*outputs, strict=True)])
    return cat(list(outputs))
