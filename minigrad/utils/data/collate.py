"""Collating: a list of samples becomes one batch, leaf by leaf, as in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...autograd.modes import modes
from ...devices import array_module, of_array
from ...dtypes import as_dtype
from ...errors import DtypeError, ShapeError
from ...ops.shape import stack
from ...tensor import Tensor


def _fits(dtype: np.dtype[Any]) -> bool:
    """Whether a tensor can have this dtype."""
    try:
        as_dtype(dtype)
    except DtypeError:
        return False
    return True


def default_collate(batch: Sequence[Any]) -> Any:
    """Turn B samples of one structure into one sample whose leaves have a new first axis B.

    Tensors and NumPy arrays of shape S become a tensor (B, *S); Python floats a float64 tensor (B,), ints
    int64, bools bool, NumPy numbers their own dtype; strings and bytes stay as they are. Dicts and named
    tuples keep their type, tuples and lists become lists, each of their fields collated by itself.

    Raises:
        ShapeError: arrays differ in shape, or sequences in length.
        TypeError: a leaf of another type (None among them).
    Source: torch.utils.data.default_collate.
    """
    if not batch:
        raise ValueError("default_collate: the batch is empty; expected at least one sample")
    return _collate(batch, "sample")


def _collate(batch: Sequence[Any], path: str) -> Any:
    first = batch[0]
    if isinstance(first, Tensor):
        return _stack_tensors(batch, path)
    if isinstance(first, np.ndarray):
        if not _fits(first.dtype):
            raise TypeError(
                f"default_collate: {path} is an array of dtype {first.dtype}, which no tensor has; convert it"
            )
        _same_shape(batch, path)
        return Tensor._wrap(np.stack(batch))
    if isinstance(first, np.generic) and _fits(first.dtype) and not isinstance(first, float):
        return Tensor._wrap(np.array(batch, dtype=first.dtype))
    if isinstance(first, bool):
        return Tensor._wrap(np.array(batch, dtype=np.bool_))
    if isinstance(first, float):  # np.float64 included, as in PyTorch
        return Tensor._wrap(np.array(batch, dtype=np.float64))
    if isinstance(first, int):
        return Tensor._wrap(np.array(batch, dtype=np.int64))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        fields = {key: _collate([sample[key] for sample in batch], f"{path}[{key!r}]") for key in first}
        return fields if type(first) is dict else _rebuild(type(first), fields)
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            lengths = sorted({len(sample) for sample in batch})
            raise ShapeError(
                f"default_collate: {path} has {lengths} elements in different samples; each must have the "
                "same number (pad them, or pass your own collate_fn)"
            )
        columns = [_collate(column, f"{path}[{i}]") for i, column in enumerate(zip(*batch, strict=True))]
        if isinstance(first, tuple):
            return type(first)(*columns) if hasattr(first, "_fields") else columns
        return columns if type(first) is list else _rebuild(type(first), columns)
    raise TypeError(
        f"default_collate: {path} is {first!r:.60} ({type(first).__name__}); expected tensors, NumPy arrays, "
        "numbers, strings, dicts, tuples or lists. Return one of those from the dataset, or pass your own "
        "collate_fn."
    )


def default_convert(data: Any) -> Any:
    """Make NumPy arrays and numbers inside `data` tensors; all else stays. Used where nothing is batched.

    Source: torch.utils.data.default_convert.
    """
    if isinstance(data, (np.ndarray, np.generic)) and not isinstance(data, (str, bytes)):
        return Tensor._wrap(np.array(data)) if _fits(data.dtype) else data
    if isinstance(data, Mapping):
        return _rebuild(type(data), {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple):
        fields = [default_convert(value) for value in data]
        return type(data)(*fields) if hasattr(data, "_fields") else fields
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuild(type(data), [default_convert(value) for value in data])
    return data


def _rebuild(kind: type, fields: Any) -> Any:
    """A container of the samples' own type, or a plain one if that type cannot be made from its fields."""
    try:
        return kind(fields)
    except TypeError:
        return fields


def _stack_tensors(batch: Sequence[Tensor], path: str) -> Tensor:
    arrays = [t._array for t in batch]
    _same_shape(arrays, path)
    if modes.grad and any(t.requires_grad for t in batch):
        return stack(list(batch))  # the graph goes on through the batch
    return Tensor._wrap(array_module(of_array(arrays[0])).stack(arrays))


def _same_shape(arrays: Sequence[Any], path: str) -> None:
    shape = arrays[0].shape
    for i, a in enumerate(arrays):
        if a.shape != shape:
            raise ShapeError(
                f"default_collate: {path} has shape {shape} in the first sample of the batch and {a.shape} "
                f"in sample {i}; samples must agree in shape (crop or pad them, or pass your own collate_fn)"
            )
