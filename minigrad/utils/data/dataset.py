"""Datasets: `dataset[i]` gives a sample, `len(dataset)` tells how many there are.

A dataset says nothing about order, batches or processes; samplers and the DataLoader do.
Same classes as in torch.utils.data.
"""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from ...random import Generator, draws
from ...tensor import Tensor

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """A map from indices 0 … len − 1 to samples. Subclasses write `__getitem__` and `__len__`.

    A subclass may also write `__getitems__(indices) -> list of samples`; the DataLoader then asks for a whole
    batch at once, which pays where samples are cheaper together. Source: torch.utils.data.Dataset.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index)")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """A stream of samples: subclasses write `__iter__`, and there is no order but the stream's own.

    With several workers each holds a copy of the stream; `get_worker_info()` lets it take its own share.
    Streams cannot be concatenated with `+` or sampled. Source: torch.utils.data.IterableDataset.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__(self)")

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} is an IterableDataset: iterate over it, it has no indices")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset[Any]:
        raise NotImplementedError(
            "IterableDataset: `+` is for datasets with indices; use itertools.chain in __iter__ instead"
        )


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples are slices of tensors along their first axis: `dataset[i] = (t₁[i], …, tₖ[i])`.

    Args: tensors, each (N, …), all with the same N. The DataLoader indexes them by whole batches.
    Raises TypeError for what is not a tensor, ValueError for differing N. Source:
    torch.utils.data.TensorDataset.
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset: no tensor was given; expected at least one of shape (N, …)")
        for i, t in enumerate(tensors):
            if not isinstance(t, Tensor):
                raise TypeError(
                    f"TensorDataset: argument {i} is a {type(t).__name__}, expected a Tensor; wrap it with "
                    "minigrad.tensor(...)"
                )
            if t.ndim == 0:
                raise ValueError(f"TensorDataset: argument {i} has no axes (shape ()); expected (N, …)")
        lengths = [t.shape[0] for t in tensors]
        if len(set(lengths)) > 1:
            raise ValueError(f"TensorDataset: the tensors differ in the length of their first axis: {lengths}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


class ConcatDataset(Dataset[T_co]):
    """Datasets one after another: index i falls into the first whose cumulative size exceeds i.

    Raises ValueError when the list is empty, TypeError for an IterableDataset. Source:
    torch.utils.data.ConcatDataset.
    """

    datasets: list[Dataset[T_co]]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: `datasets` is empty; expected at least one dataset")
        for i, d in enumerate(self.datasets):
            if isinstance(d, IterableDataset):
                raise TypeError(f"ConcatDataset: datasets[{i}] is an IterableDataset, which has no indices")
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        i = index + len(self) if index < 0 else index
        if not 0 <= i < len(self):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        which = bisect.bisect_right(self.cumulative_sizes, i)
        return self.datasets[which][i - (self.cumulative_sizes[which - 1] if which else 0)]


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`, in that order: `subset[i] = dataset[indices[i]]`.

    Source: torch.utils.data.Subset.
    """

    dataset: Dataset[T_co]
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        inner = [self.indices[i] for i in indices]
        together = getattr(self.dataset, "__getitems__", None)
        return together(inner) if callable(together) else [self.dataset[i] for i in inner]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset[T_co], lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset[T_co]]:
    """Cut a dataset at random into disjoint subsets.

    Args:
        lengths: sizes that add up to len(dataset), or fractions that add up to 1. With fractions each part
            gets ⌊N · fraction⌋ samples and the leftovers go one by one to the first parts.
        generator: where the permutation comes from; minigrad's default generator if None.
    Raises ValueError when the lengths do not add up. Source: torch.utils.data.random_split.
    """
    total = len(dataset)  # type: ignore[arg-type]
    sizes = list(lengths)
    if math.isclose(sum(sizes), 1) and sum(sizes) <= 1 and not (total == 1 and all(isinstance(s, int) for s in sizes)):
        for i, fraction in enumerate(sizes):
            if not 0 <= fraction <= 1:
                raise ValueError(f"random_split: lengths[{i}] = {fraction}; a fraction lies between 0 and 1")
        counts = [math.floor(total * fraction) for fraction in sizes]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
        for i, count in enumerate(counts):
            if count == 0:
                warnings.warn(
                    f"random_split: part {i} is empty ({total} samples cut into fractions {sizes})", stacklevel=2
                )
    elif all(float(s).is_integer() and s >= 0 for s in sizes) and sum(sizes) == total:
        counts = [int(s) for s in sizes]
    else:
        raise ValueError(
            f"random_split: lengths {sizes} add up to {sum(sizes)}; expected whole numbers that add up to "
            f"the dataset's {total} samples, or fractions that add up to 1"
        )
    order: list[int] = draws(generator).permutation(total).tolist()
    ends = list(itertools.accumulate(counts))
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)]
