"""Fetchers: from a task (the indices of a batch) to the batch; they run in the loader or its workers."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...autograd.modes import modes
from ...devices import array_module
from ...tensor import Tensor
from .collate import default_collate
from .dataset import Dataset, IterableDataset, Subset, TensorDataset


class _Signal(enum.Enum):  # an enum, so that it is still the same object after a journey between processes
    EXHAUSTED = "exhausted"


EXHAUSTED = _Signal.EXHAUSTED  # what a stream's fetcher gives in place of a batch after its end


class Fetcher:
    """Gets the samples of a task one after another and collates them.

    `where` names what is being worked on, for the error message of a worker.
    """

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any], batched: bool) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.batched = batched
        self.where = "the start"

    def __call__(self, task: Any) -> Any:
        if not self.batched:
            self.where = f"dataset index {task}"
            return self.collate_fn(self.dataset[task])
        together = getattr(self.dataset, "__getitems__", None)
        if callable(together):
            self.where = f"dataset indices {_shorten(task)}"
            samples = together(task)
        else:
            samples = []
            for index in task:
                self.where = f"dataset index {index}"
                samples.append(self.dataset[index])
        self.where = f"collating dataset indices {_shorten(task)}"
        return self.collate_fn(samples)


class StreamFetcher(Fetcher):
    """Takes the next samples of an IterableDataset; the task itself says nothing."""

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any], batch_size: int | None, drop_last: bool) -> None:
        super().__init__(dataset, collate_fn, batch_size is not None)
        self.batch_size = batch_size or 1
        self.drop_last = drop_last
        self._taken = 0
        self._stream: Iterator[Any] = iter(dataset)

    def __call__(self, task: Any) -> Any:
        samples: list[Any] = []
        while len(samples) < self.batch_size:
            self.where = f"sample {self._taken} of the stream"
            try:
                samples.append(next(self._stream))
            except StopIteration:
                self._stream = iter(())  # an iterator may misbehave when asked again after its end
                break
            self._taken += 1
        if not samples or (self.batched and self.drop_last and len(samples) < self.batch_size):
            return EXHAUSTED
        self.where = f"collating samples {self._taken - len(samples)} to {self._taken - 1} of the stream"
        return self.collate_fn(samples if self.batched else samples[0])


class TensorFetcher(Fetcher):
    """The fast path: a TensorDataset, or Subsets of one, and default_collate.

    Stacking the samples i₁ … i_B of a tensor t is t[[i₁, …, i_B]], a single gather; a run of neighbours is
    one copy of a slice. Subsets within subsets come down to one array of indices. Results are equal to the
    slow path's.
    """

    def __init__(self, dataset: Any, tensors: tuple[Tensor, ...], rows: np.ndarray | None) -> None:
        super().__init__(dataset, default_collate, batched=True)
        self.tensors = tensors
        self.rows = rows  # for a Subset: the row of the tensors that each index of the subset stands for

    def __call__(self, task: Any) -> list[Tensor]:
        if isinstance(task, slice):
            if self.rows is None:
                # A copy, as stacking makes one: the training loop may change its batch in place.
                return [Tensor._wrap(t._array[task].copy()) for t in self.tensors]
            indices = self.rows[task]
        else:
            self.where = f"dataset indices {_shorten(task)}"
            indices = np.asarray(task, dtype=np.int64)
            if self.rows is not None:
                indices = self.rows[indices]
        return [Tensor._wrap(_gather(t, indices)) for t in self.tensors]


def _gather(t: Tensor, indices: np.ndarray) -> Any:
    if isinstance(t._array, np.ndarray):
        return t._array.take(indices, axis=0)
    if indices.size and (indices.min() < -len(t) or indices.max() >= len(t)):
        raise IndexError(f"DataLoader: the batch holds an index outside the dataset's {len(t)} samples")
    xp = array_module(t.device)  # a GPU gather wraps what is out of range around, and so is checked above
    return t._array.take(xp.asarray(indices), axis=0)


def tensor_fetcher(dataset: Any, collate_fn: Callable[[Any], Any]) -> TensorFetcher | None:
    """The fast path for this dataset, or None where it would not give exactly what the slow path gives."""
    if collate_fn is not default_collate:
        return None
    rows: np.ndarray | None = None
    base = dataset
    while type(base) is Subset:  # subclasses may have changed what indexing means
        level = np.asarray(base.indices)
        if level.ndim != 1 or (level.size and level.dtype.kind not in "iu"):
            return None
        level = level.astype(np.int64)
        if rows is not None:
            if rows.size and (rows.min() < -len(level) or rows.max() >= len(level)):
                return None  # the slow path will raise the error at the right batch
            level = level[rows]
        rows, base = level, base.dataset
    if type(base) is not TensorDataset or (modes.grad and any(t.requires_grad for t in base.tensors)):
        return None
    return TensorFetcher(dataset, base.tensors, rows)


def make_fetcher(
    dataset: Dataset[Any], collate_fn: Callable[[Any], Any], batch_size: int | None, drop_last: bool, batched: bool
) -> Fetcher:
    """The fetcher that fits the dataset."""
    if isinstance(dataset, IterableDataset):
        return StreamFetcher(dataset, collate_fn, batch_size, drop_last)
    fast = tensor_fetcher(dataset, collate_fn) if batched else None
    return fast or Fetcher(dataset, collate_fn, batched)


def _shorten(indices: Any) -> str:
    if not isinstance(indices, (list, tuple, np.ndarray)):
        return f"{indices!r:.80}"
    shown = [int(i) if isinstance(i, np.integer) else i for i in indices[:8]]
    return f"{shown}" if len(indices) <= 8 else f"{str(shown)[:-1]}, …] ({len(indices)} of them)"
