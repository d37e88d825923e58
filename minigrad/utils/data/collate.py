"""Collating: a list of samples becomes one batch, leaf by leaf, as in PyTorch.

Every sample counts, not the first alone: leaves must be of one family (numbers, text, mappings, sequences), numbers of
several types meet in the type that holds them, and containers must have the same fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...autograd.modes import modes
from ...devices import array_module, of_array
from ...dtypes import as_dtype, result_type
from ...errors import DtypeError, ShapeError
from ...nested import rebuilt
from ...ops.shape import stack
from ...tensor import Tensor

_OF_PYTHON = {bool: np.dtype(np.bool_), int: np.dtype(np.int64), float: np.dtype(np.float64)}


def default_collate(batch: Sequence[Any]) -> Any:
    """Turn B samples of one structure into one sample whose leaves have a new first axis B.

    Tensors and NumPy arrays of shape S become a tensor (B, *S); Python floats a float64 tensor (B,), ints int64, bools
    bool, NumPy numbers their own dtype. Mixed ones meet as in arithmetic: an int and a float in float64, a float32 and
    an int64 tensor in float32. Strings and bytes stay as they are. Mappings, sequences and named tuples keep their
    type, other tuples become lists, each of their fields collated by itself.

    Raises:
        ShapeError: arrays differ in shape, sequences in length, or the keys of mappings differ.
        TypeError: a leaf of another type (None among them), or leaves of different families.
    Source: torch.utils.data.default_collate, which lets the first sample decide for all.
    """
    if not batch:
        raise ValueError("default_collate: the batch is empty; expected at least one sample")
    return _collate(batch, "sample")


def _collate(batch: Sequence[Any], path: str) -> Any:
    family = _collator_of(batch[0])
    if family is None:
        raise TypeError(
            f"default_collate: {path} is {batch[0]!r:.60} ({type(batch[0]).__name__}); expected tensors, NumPy arrays, "
            "numbers, strings, dicts, tuples or lists. Return one of those from the dataset, or pass your own "
            "collate_fn."
        )
    for i, sample in enumerate(batch):
        if _collator_of(sample) is not family:
            raise TypeError(
                f"default_collate: {path} is {batch[0]!r:.60} ({type(batch[0]).__name__}) in the first sample of the "
                f"batch and {sample!r:.60} ({type(sample).__name__}) in sample {i}; these make no batch"
            )
    return family(batch, path)


def _collator_of(leaf: Any) -> Any:
    """The function that collates leaves like this one; None if there is none."""
    if isinstance(leaf, (str, bytes)):
        return _texts
    if isinstance(leaf, (Tensor, np.ndarray, np.generic, bool, int, float)):
        return _stacked
    if isinstance(leaf, Mapping):
        return _mappings
    return _sequences if isinstance(leaf, Sequence) else None


def _texts(batch: Sequence[Any], path: str) -> Any:
    return batch


def _stacked(batch: Sequence[Any], path: str) -> Tensor:
    """Tensors, arrays and numbers of one shape, stacked in the dtype in which they meet."""
    dtype = _common(batch, path)
    tensors = [isinstance(x, Tensor) for x in batch]
    if any(tensors):
        if not all(tensors):
            batch = [x if isinstance(x, Tensor) else Tensor._wrap(np.asarray(x)) for x in batch]
        arrays = [x._array for x in batch]
        _same_shape(arrays, path)
        if modes.grad and any(x.requires_grad for x in batch):
            return stack([x.to(as_dtype(dtype)) for x in batch])  # the graph goes on through the batch
        return Tensor._wrap(array_module(of_array(arrays[0])).stack([x.astype(dtype, copy=False) for x in arrays]))
    if any(isinstance(x, np.ndarray) for x in batch):
        arrays = [np.asarray(x) for x in batch]
        _same_shape(arrays, path)
        return Tensor._wrap(np.stack(arrays, dtype=dtype, casting="unsafe"))
    try:
        return Tensor._wrap(np.array(batch, dtype=dtype))
    except OverflowError:
        raise ValueError(f"default_collate: {path} has a whole number that {dtype} does not hold") from None


def _common(batch: Sequence[Any], path: str) -> np.dtype[Any]:
    """The dtype in which all these meet, by the rule of :mod:`minigrad.dtypes`."""
    kinds = dict.fromkeys(_dtype_of(x) for x in batch)
    for kind in kinds:
        try:
            as_dtype(kind)
        except DtypeError:
            raise TypeError(
                f"default_collate: {path} is an array of dtype {kind}, which no tensor has; convert it"
            ) from None
    return result_type(*[np.empty(1, kind) for kind in kinds])


def _dtype_of(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x._array.dtype
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype
    return next(kind for python, kind in _OF_PYTHON.items() if isinstance(x, python))


def _mappings(batch: Sequence[Any], path: str) -> Any:
    first = batch[0]
    for i, sample in enumerate(batch):
        if sample.keys() != first.keys():
            raise ShapeError(
                f"default_collate: {path} has the keys {list(first)} in the first sample of the batch and "
                f"{list(sample)} in sample {i}; each must have the same"
            )
    return rebuilt(first, {key: _collate([sample[key] for sample in batch], f"{path}[{key!r}]") for key in first})


def _sequences(batch: Sequence[Any], path: str) -> Any:
    first = batch[0]
    lengths = sorted({len(sample) for sample in batch})
    if len(lengths) > 1:
        raise ShapeError(
            f"default_collate: {path} has {lengths} elements in different samples; each must have the "
            "same number (pad them, or pass your own collate_fn)"
        )
    columns = [_collate(column, f"{path}[{i}]") for i, column in enumerate(zip(*batch, strict=True))]
    return rebuilt(first, columns) if hasattr(first, "_fields") or not isinstance(first, tuple) else columns


def default_convert(data: Any) -> Any:
    """Make NumPy arrays and numbers inside `data` tensors; all else stays. Used where nothing is batched.

    Source: torch.utils.data.default_convert.
    """
    if isinstance(data, (np.ndarray, np.generic)) and not isinstance(data, (str, bytes)):
        try:
            as_dtype(data.dtype)
        except DtypeError:
            return data
        return Tensor._wrap(np.array(data))
    if isinstance(data, Mapping):
        return rebuilt(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        fields = [default_convert(value) for value in data]
        return rebuilt(data, fields) if hasattr(data, "_fields") or not isinstance(data, tuple) else fields
    return data


def _same_shape(arrays: Sequence[Any], path: str) -> None:
    shape = arrays[0].shape
    for i, a in enumerate(arrays):
        if a.shape != shape:
            raise ShapeError(
                f"default_collate: {path} has shape {shape} in the first sample of the batch and {a.shape} "
                f"in sample {i}; samples must agree in shape (crop or pad them, or pass your own collate_fn)"
            )
