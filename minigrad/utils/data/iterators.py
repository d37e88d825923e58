"""One epoch of a DataLoader: in the loader's own process, or by worker processes."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .fetch import EXHAUSTED, Fetcher
from .pool import Worker, WorkerPool
from .resuming import EpochProgress, mark_of, refusal
from .sampler import BatchSampler, IndexSampler, SequentialSampler


def index_tasks(batch_sampler: Any) -> Iterator[Any] | None:
    """A sampler's batches as slices or index arrays, for the fast path.

    No index becomes a Python object. None for a sampler whose order is not an array.
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
    return _slices(order, size, end)


def _slices(order: np.ndarray | None, size: int, end: int) -> Iterator[Any]:
    for i in range(0, end, size):
        yield slice(i, min(i + size, end)) if order is None else order[i : min(i + size, end)]


class Replay:
    """Where the next batch depends on those before it (a stream), a resumed epoch makes them all again.

    It counts those that were handed out before the interruption and marks them, to compare; after that, it marks what
    is handed out.
    """

    def __init__(self, progress: EpochProgress, who: str) -> None:
        self._progress = progress
        self._who = who
        self._behind = progress.yielded
        self._content = 0

    def passes(self, batch: Any) -> bool:
        """Whether a batch is new, and not one of those handed out before. Raises RuntimeError if these differ."""
        self._content = mark_of(batch, self._content)
        if not self._behind:
            self._progress.content = self._content
            return True
        self._behind -= 1
        if not self._behind and self._content != self._progress.content:
            raise refusal(self._who)
        return False

    def end(self) -> None:
        """Nothing comes any more. Raises RuntimeError if there was more before."""
        if self._behind:
            raise refusal(self._who)


class LocalIterator:
    """Makes each batch when it is asked for."""

    def __init__(
        self, fetcher: Fetcher, tasks: Iterable[Any], progress: EpochProgress, replay: Replay | None = None
    ) -> None:
        self._fetcher = fetcher
        self._tasks = iter(tasks)
        self._progress = progress
        self._replay = replay
        if replay is not None:
            for _ in range(progress.yielded):  # what was seen is read again and dropped
                batch = fetcher(None)
                if batch is EXHAUSTED:
                    replay.end()
                replay.passes(batch)

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
            if self._replay is not None:
                self._replay.passes(batch)
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
        progress: EpochProgress,
        timeout: float,
        keep: bool,
        replay: Replay | None = None,
    ) -> None:
        self._pool = pool
        self._epoch = pool.epoch
        self._progress = progress
        self._timeout = timeout
        self._keep = keep  # persistent workers: the pool outlives the epoch
        self._awaited: deque[Worker] = deque()
        self._done = False
        self._replay = replay
        self._tasks = enumerate(tasks, start=progress.yielded if replay is None else 0)
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
                if self._replay is None or self._replay.passes(batch):
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
        if self._replay is not None:
            self._replay.end()
        raise StopIteration

    @property
    def workers(self) -> list[Any]:
        """The worker processes."""
        return [worker.process for worker in self._pool.workers]
