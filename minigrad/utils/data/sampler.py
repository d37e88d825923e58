"""Samplers: the order in which a DataLoader visits a dataset. Same classes as in torch.utils.data.

Each sampler of this file draws all its random numbers the moment `iter(sampler)` is called. A resumed
DataLoader relies on it: it sets the generator back to where the epoch began, asks for the order again, and
skips what was seen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ...random import Generator, default_generator, draws
from ...tensor import Tensor

T_co = TypeVar("T_co", covariant=True)


def _generator(given: Generator | None) -> Generator:
    """The generator given, else a fresh one seeded by a single draw from the default generator.

    One draw however long the dataset is: what follows in the program sees the same random numbers for any
        dataset size.
    """
    if given is not None:
        return given
    return Generator().manual_seed(draw_seed(default_generator()))


def draw_seed(generator: Generator) -> int:
    """A whole number in [0, 2⁶³ − 1) drawn from `generator`, fit for `manual_seed`."""
    return int(draws(generator).integers(2**63 - 1))


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value <= 0:
        raise ValueError(f"{name} = {value!r}; expected a whole number above 0")
    return int(value)


class Sampler(Generic[T_co]):
    """What gives indices, or lists of them, when iterated over.

    Subclasses write `__iter__`, and `__len__` where it is known. Source: torch.utils.data.Sampler.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__(self)")


class IndexSampler(Sampler[int]):
    """A sampler whose whole order is known at once, as an array, which the DataLoader's fast path takes."""

    def draw(self) -> np.ndarray:
        """The order of one epoch: indices, shape (len(self),), int64."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        return iter(self.draw().tolist())


class SequentialSampler(IndexSampler):
    """0, 1, …, N − 1. Source: torch.utils.data.SequentialSampler."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def draw(self) -> np.ndarray:
        return np.arange(len(self.data_source), dtype=np.int64)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(IndexSampler):
    """A random order: permutations of 0 … N − 1 one after another, or draws with replacement.

    Args:
        replacement: draw each index independently.
        num_samples: how many to give; N by default. Beyond N without replacement, a new permutation begins.
        generator: source of randomness; if None, seeded by one draw from minigrad's default generator.
    Source: torch.utils.data.RandomSampler.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement = {replacement!r}; expected True or False")
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = None if num_samples is None else _positive("RandomSampler: num_samples", num_samples)
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many indices an epoch gives (the dataset's length, unless told otherwise)."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def draw(self) -> np.ndarray:
        generator, n, count = _generator(self.generator), len(self.data_source), self.num_samples
        if n == 0:
            if count:
                raise ValueError(f"RandomSampler: num_samples = {count}, but the dataset is empty")
            return np.empty(0, dtype=np.int64)
        if self.replacement:
            return draws(generator).integers(n, size=count, dtype=np.int64)
        rounds = [draws(generator).permutation(n) for _ in range(-(-count // n))]
        return np.concatenate(rounds)[:count] if len(rounds) > 1 else rounds[0][:count]

    def __len__(self) -> int:
        return self.num_samples


def _one_axis(sequence: Any) -> np.ndarray:
    """A sequence as an array (N,): of int64 if it holds whole numbers, else of the objects themselves."""
    plain = sequence.numpy(force=True) if isinstance(sequence, Tensor) else sequence
    with contextlib.suppress(ValueError):  # rows of different lengths
        numbers = np.asarray(plain)
        if numbers.ndim == 1 and numbers.dtype.kind in "iu":
            return numbers.astype(np.int64)
    objects = np.empty(len(plain), dtype=object)
    for i, item in enumerate(plain):
        objects[i] = item
    return objects


class SubsetRandomSampler(IndexSampler):
    """The given indices in random order, each once. Source: torch.utils.data.SubsetRandomSampler.

    Args: indices: a list, range, array, tensor or other sequence; of anything, if the dataset is indexed by it.
    Raises TypeError if it is not a sequence.
    """

    def __init__(self, indices: Sequence[Any], generator: Generator | None = None) -> None:
        if not hasattr(indices, "__len__") or not hasattr(indices, "__getitem__") or isinstance(indices, Mapping):
            raise TypeError(f"SubsetRandomSampler: indices is a {type(indices).__name__}; expected a sequence")
        self.indices = indices
        self.generator = generator

    def draw(self) -> np.ndarray:
        order = draws(_generator(self.generator)).permutation(len(self.indices))
        return _one_axis(self.indices)[order]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(IndexSampler):
    """Indices 0 … len(weights) − 1 with P(i) = wᵢ / Σw; useful against unbalanced classes.

    Args:
        weights: at least 0 and finite, with a positive sum; they need not add up to 1.
        num_samples: how many indices to give.
        replacement: whether an index may come twice; without it at least num_samples weights must be above 0.
    Source: torch.utils.data.WeightedRandomSampler.
    """

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        self.num_samples = _positive("WeightedRandomSampler: num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise TypeError(f"WeightedRandomSampler: replacement = {replacement!r}; expected True or False")
        values = weights.numpy(force=True) if isinstance(weights, Tensor) else weights
        self.weights = np.array(values, dtype=np.float64)
        if self.weights.ndim != 1:
            raise ValueError(f"WeightedRandomSampler: weights have shape {self.weights.shape}; expected one axis (N,)")
        if not np.isfinite(self.weights).all() or (self.weights < 0).any() or self.weights.sum() <= 0:
            raise ValueError("WeightedRandomSampler: weights must be finite and at least 0, with a sum above 0")
        usable = int(np.count_nonzero(self.weights))
        if not replacement and usable < self.num_samples:
            raise ValueError(
                f"WeightedRandomSampler: num_samples = {num_samples} without replacement, but only {usable} "
                "weights are above 0"
            )
        self.replacement = replacement
        self.generator = generator

    def draw(self) -> np.ndarray:
        p = self.weights / self.weights.sum()
        numbers = draws(_generator(self.generator))
        return numbers.choice(len(p), size=self.num_samples, replace=self.replacement, p=p).astype(np.int64)

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Groups the indices of another sampler into lists of `batch_size`.

    The last list may be shorter; `drop_last` leaves it out then. Source: torch.utils.data.BatchSampler.
    """

    def __init__(self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(drop_last, bool):
            raise TypeError(f"BatchSampler: drop_last = {drop_last!r}; expected True or False")
        self.sampler = sampler
        self.batch_size = _positive("BatchSampler: batch_size", batch_size)
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        # Not itself a generator: iter(self.sampler), which draws the order, must run now and not at the first
        # batch.
        return self._group(iter(self.sampler))

    def _group(self, indices: Iterator[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in indices:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
