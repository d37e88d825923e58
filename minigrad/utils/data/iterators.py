"""One epoch of a DataLoader: in the loader's own process, or by worker processes."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .fetch import EXHAUSTED, Fetcher, StreamFetcher
from .pool import Worker, WorkerPool
from .sampler import BatchSampler, IndexSampler, SequentialSampler


@dataclass
class Progress:
    """How far an epoch has come, and what it takes to begin it again the same way."""

    start: list[Any]  # states of the generators just before the epoch began
    yielded: int = 0  # batches handed out
    finished: bool = False


def index_tasks(batch_sampler: Any, skip: int) -> Iterator[Any] | None:
    """A sampler's batches, from the `skip`-th on, as slices or index arrays, for the fast path.

    No index becomes a Python object. None for a sampler whose order is no array.
    """
    if type(batch_sampler) is not BatchSampler or not isinstance(batch_sampler.sampler, IndexSampler):
        return None
    sampler, size = batch_sampler.sampler, batch_sampler.batch_size
    if type(sampler).__iter__ not in (IndexSampler.__iter__, SequentialSampler.__iter__):
        return None  # a subclass that orders in its own way
    if type(sampler) is SequentialSampler:
        order, n = None, len(sampler)
    else:
        order = sampler.draw()
        n = len(order)
    end = n - n % size if batch_sampler.drop_last else n
    return _cut(order, size, skip * size, end)


def _cut(order: np.ndarray | None, size: int, start: int, end: int) -> Iterator[Any]:
    for i in range(start, end, size):
        yield slice(i, min(i + size, end)) if order is None else order[i : min(i + size, end)]


class LocalIterator:
    """Makes each batch when it is asked for."""

    def __init__(self, fetcher: Fetcher, tasks: Iterable[Any], progress: Progress) -> None:
        self._fetcher = fetcher
        self._tasks = iter(tasks)
        self._progress = progress
        if isinstance(fetcher, StreamFetcher):
            for _ in range(progress.yielded):  # a stream has no indices: what was seen is read again and dropped
                fetcher(None)

    def __iter__(self) -> LocalIterator:
        return self

    def __next__(self) -> Any:
        for task in self._tasks:
            try:
                batch = self._fetcher(task)
            except StopIteration as error:  # let through, it would end the epoch without a word
                raise RuntimeError(f"DataLoader: the dataset raised StopIteration at {self._fetcher.where}") from error
            if batch is EXHAUSTED:
                self._tasks = iter(())
                break
            self._progress.yielded += 1
            return batch
        self._progress.finished = True
        raise StopIteration


class WorkerIterator:
    """Keeps `depth` batches under way in each worker and hands them out in order.

    Batch n goes to the worker whose turn it is; whoever delivers gets the next task. So each worker's answers
    come in order too, and it is always known from whom the next batch must come. A stream that has ended
    drops out of the round.
    """

    def __init__(
        self,
        pool: WorkerPool,
        tasks: Iterable[Any],
        progress: Progress,
        timeout: float,
        streams: bool,
        keep: bool,
    ) -> None:
        self._pool = pool
        self._epoch = pool.epoch
        self._progress = progress
        self._timeout = timeout
        self._keep = keep  # persistent workers: the pool outlives the epoch
        self._awaited: deque[Worker] = deque()
        self._done = False
        self._drop = progress.yielded if streams else 0
        self._tasks = enumerate(tasks, start=0 if streams else progress.yielded)
        try:
            for _ in range(pool.depth):
                for worker in list(pool.workers):
                    self._give(worker)
        except BaseException:
            pool.close()
            raise

    def _give(self, worker: Worker) -> None:
        for number, task in itertools.islice(self._tasks, 1):
            self._pool.give(worker, number, task)
            self._awaited.append(worker)

    def __iter__(self) -> WorkerIterator:
        return self

    def __next__(self) -> Any:
        if self._done:
            raise StopIteration
        if self._epoch != self._pool.epoch:
            raise RuntimeError(
                "DataLoader: this iterator was ended when a new one was made from the same loader; with "
                "persistent_workers=True only one can run at a time"
            )
        try:
            while True:
                batch = self._next_answer()
                if self._drop:  # a resumed stream: these batches were handed out before the interruption
                    self._drop -= 1
                    continue
                self._progress.yielded += 1
                return batch
        except StopIteration:
            self._done = self._progress.finished = True
            if not self._keep:
                self._pool.close()
            raise
        except BaseException:  # an error of a worker, its death, Ctrl-C: leave no process behind
            self._done = True
            self._pool.close()
            raise

    def _next_answer(self) -> Any:
        while self._awaited:
            worker = self._awaited.popleft()
            batch = self._pool.take(worker, self._timeout)
            if batch is EXHAUSTED:
                continue
            self._give(worker)
            return batch
        raise StopIteration

    @property
    def workers(self) -> list[Any]:
        """The worker processes."""
        return [worker.process for worker in self._pool.workers]
