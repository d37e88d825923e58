"""The DataLoader: batches of a dataset, in order, at random, in parallel, repeatably."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, Generic, TypeVar

from ...random import Generator, default_generator
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset, TensorDataset
from .fetch import Fetcher, TensorFetcher, make_fetcher
from .iterators import LocalIterator, Progress, WorkerIterator, index_tasks
from .pool import WorkerPool, get_context
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed
from .worker import Plan

T_co = TypeVar("T_co", covariant=True)
_FIXED = ("dataset", "batch_size", "batch_sampler", "sampler", "drop_last", "persistent_workers")


class DataLoader(Generic[T_co]):
    """Iterate over a dataset in batches.

    Each `iter(loader)` is one epoch: the sampler gives the order, the dataset the samples, `collate_fn` makes
    them batches (by default fields become tensors with a first axis B).

    Args:
        batch_size: samples in a batch (B); None gives single samples, unbatched.
        shuffle: a new random order each epoch.
        sampler: your own order, instead of shuffle.
        batch_sampler: your own batches (lists of indices); excludes batch_size, shuffle, sampler, drop_last.
        num_workers: processes that make batches ahead of time; 0 makes them in this process. The order of
            batches is the same for any number. The design is told in the docstring of
            :mod:`minigrad.utils.data`.
        collate_fn: from a list of samples to a batch.
        pin_memory: accepted for PyTorch's sake, without effect.
        drop_last: leave out a last, shorter batch.
        timeout: seconds to wait for a worker's batch; 0 waits for ever.
        worker_init_fn: called in each worker with its number. When given, the worker's generators are seeded
            once, with `get_worker_info().seed`, before it runs; else they are seeded anew for each batch.
        generator: source of the order and of the workers' seeds; minigrad's default CPU generator if None.
        prefetch_factor: batches under way in each worker (2 if None).
        persistent_workers: keep the processes; they see the dataset as it was in the first epoch.
        multiprocessing_context: "fork", "spawn", "forkserver" or a context of the multiprocessing module.
        in_order: batches come in order; False is not supported.

    Randomness: each epoch draws one seed from `generator` for the workers, and then the sampler draws the
    order. A random transform that runs in this process (num_workers=0) draws from minigrad's default
    generator as it goes; in a worker, from a generator seeded by the epoch's seed and the batch's number, so
    that it does not matter which worker runs it.

    Raises ValueError and TypeError for arguments that exclude each other or make no sense, each by name.
    Source: torch.utils.data.DataLoader; `state_dict` as in torchdata's StatefulDataLoader.
    """

    dataset: Dataset[T_co]
    batch_size: int | None
    sampler: Any
    batch_sampler: Any

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self._check_workers(num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context)
        if not in_order:
            raise NotImplementedError(
                "DataLoader: in_order=False is not part of minigrad; batches always come in order"
            )
        if generator is not None and generator.device.type != "cpu":
            raise ValueError(f"DataLoader: the generator is on {generator.device}; expected a CPU generator")
        self._streams = isinstance(dataset, IterableDataset)
        if self._streams:
            for name, value in (("shuffle", shuffle), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value not in (None, False):
                    raise ValueError(f"DataLoader: {name} = {value!r} with an IterableDataset, whose order is its own")
        elif not isinstance(dataset, Sized) and sampler is None and batch_sampler is None:
            raise TypeError(
                f"DataLoader: dataset {type(dataset).__name__} has no __len__; define it, or pass a sampler"
            )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler and shuffle=True exclude each other; the sampler makes the order")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last; it decides all four"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader: drop_last=True needs a batch_size")
        elif batch_size is not None and (
            not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1
        ):
            raise ValueError(f"DataLoader: batch_size = {batch_size!r}; expected a whole number above 0, or None")
        if batch_sampler is None and not self._streams:
            data: Any = dataset
            if sampler is None:
                sampler = RandomSampler(data, generator=generator) if shuffle else SequentialSampler(data)
            if batch_size is not None:
                batch_sampler = BatchSampler(sampler, batch_size, drop_last)

        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler if sampler is not None else getattr(batch_sampler, "sampler", None)
        self.batch_sampler = batch_sampler
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.timeout = timeout
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = prefetch_factor if prefetch_factor is not None or not num_workers else 2
        self.persistent_workers = persistent_workers
        batched = batch_sampler is not None or (self._streams and batch_size is not None)
        self._batched = batched
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)
        self._pool: WorkerPool | None = None
        self._progress: Progress | None = None  # of the epoch that was begun last
        self._resume: Progress | None = None  # set by load_state_dict for the epoch to come
        if num_workers and isinstance(dataset, TensorDataset):
            for i, t in enumerate(dataset.tensors):
                if t.device.type != "cpu":
                    raise ValueError(
                        f"DataLoader: tensor {i} of the TensorDataset is on {t.device}, which worker "
                        "processes cannot reach; use num_workers=0 (fast for tensors) or keep the dataset "
                        "on the CPU"
                    )
        self._ready = True

    @staticmethod
    def _check_workers(num_workers: Any, timeout: Any, prefetch: Any, persistent: bool, context: Any) -> None:
        if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 0:
            raise ValueError(f"DataLoader: num_workers = {num_workers!r}; expected a whole number, 0 or more")
        if timeout < 0:
            raise ValueError(f"DataLoader: timeout = {timeout}; expected seconds, 0 (no limit) or more")
        if num_workers == 0:
            if prefetch is not None:
                raise ValueError(f"DataLoader: prefetch_factor = {prefetch} needs num_workers above 0")
            if persistent:
                raise ValueError("DataLoader: persistent_workers=True needs num_workers above 0")
            if context is not None:
                raise ValueError("DataLoader: multiprocessing_context needs num_workers above 0")
            return
        if prefetch is not None and (not isinstance(prefetch, int) or prefetch < 1):
            raise ValueError(f"DataLoader: prefetch_factor = {prefetch!r}; expected a whole number above 0")
        get_context(context)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and getattr(self, "_ready", False):
            raise ValueError(f"DataLoader: {name} cannot be changed after the loader is made; make a new DataLoader")
        super().__setattr__(name, value)

    def __len__(self) -> int:
        """Batches in an epoch (samples, if batch_size is None). TypeError if the length is not known."""
        if not self._streams:
            return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)
        samples = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return samples
        return samples // self.batch_size if self.drop_last else math.ceil(samples / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        generators = self._generators()
        now = [g.get_state() for g in generators]
        resumed, self._resume = self._resume, None
        progress = resumed or Progress(start=now)
        try:
            if resumed:
                for generator, state in zip(generators, resumed.start, strict=True):
                    generator.set_state(state)
            base_seed = draw_seed(self.generator or default_generator())
            fetcher = self._fetcher() if self.num_workers == 0 else None
            tasks = self._tasks(fetcher, progress.yielded)
        finally:
            # The order was drawn again only to find the place; the generators go on from where they were.
            if resumed:
                for generator, state in zip(generators, now, strict=True):
                    generator.set_state(state)
        self._progress = progress
        if fetcher is not None:
            return LocalIterator(fetcher, tasks, progress)
        pool = self._workers(base_seed)
        return WorkerIterator(pool, tasks, progress, self.timeout, self._streams, self.persistent_workers)

    def _generators(self) -> list[Generator]:
        """What an epoch's order can come from: the default generator, then the loader's and samplers' own."""
        inner = getattr(self.batch_sampler, "sampler", None)
        own = [
            self.generator,
            *(getattr(s, "generator", None) for s in (self.sampler, self.batch_sampler, inner)),
        ]
        found = [default_generator()]
        for generator in own:
            if isinstance(generator, Generator) and not any(generator is g for g in found):
                found.append(generator)
        return found

    def _fetcher(self) -> Fetcher:
        return make_fetcher(self.dataset, self.collate_fn, self.batch_size, self.drop_last, self._batched)

    def _tasks(self, fetcher: Fetcher | None, skip: int) -> Iterator[Any]:
        """What the fetcher is to get, batch by batch, from the `skip`-th on."""
        if self._streams:
            return itertools.repeat(None)  # the iterators skip: a stream must be read to be passed over
        if isinstance(fetcher, TensorFetcher) and (arrays := index_tasks(self.batch_sampler, skip)) is not None:
            return arrays
        tasks = iter(self.batch_sampler if self.batch_sampler is not None else self.sampler)
        for _ in range(skip):  # now, while the generators stand where the epoch began: samplers may draw late
            next(tasks, None)
        return tasks

    def _workers(self, base_seed: int) -> WorkerPool:
        if self._pool is not None and self._pool.workers:
            self._pool.start_epoch(base_seed)
            return self._pool
        plan = Plan(
            self.dataset,
            self.collate_fn,
            self.batch_size,
            self.drop_last,
            self._batched,
            self.num_workers,
            self.worker_init_fn,
        )
        assert self.prefetch_factor is not None
        pool = WorkerPool(plan, base_seed, self.prefetch_factor, get_context(self.multiprocessing_context))
        self._pool = pool if self.persistent_workers else None
        return pool

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: plain numbers, fit for `minigrad.save` and for JSON.

        Within an epoch: how many batches were handed out, and the random state in which the epoch began, so
        that `load_state_dict` on a loader made the same way yields exactly the batches that remain. It holds
        the state of the loader's and the samplers' own generators as well, but not that of minigrad's default
        generator, which belongs to the whole program (`minigrad.get_rng_state()`); transforms that run in
        this process draw from that one.
        """
        progress = self._progress if self._progress is not None and not self._progress.finished else self._resume
        return {
            "batches": progress.yielded if progress else 0,
            "epoch_start": list(progress.start) if progress else None,
            "generators": [g.get_state() for g in self._generators()[1:]],
            "length": self._length(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where `state` was taken: the next `iter(loader)` yields the rest of that epoch.

        Samplers must give the same order from the same random state (all of minigrad's do). A stream
        (IterableDataset) is read from its beginning and the batches already seen are dropped.
        Raises ValueError, changing nothing, for a state of another loader.
        """
        keys = {"batches", "epoch_start", "generators", "length"}
        if not isinstance(state, dict) or set(state) != keys:
            raise ValueError(
                f"DataLoader.load_state_dict: not a state of a DataLoader; expected a dict with {sorted(keys)}"
            )
        own = self._generators()[1:]
        if state["length"] != self._length():
            raise ValueError(
                f"DataLoader.load_state_dict: the state is of a loader with {state['length']} batches in an "
                f"epoch, this one has {self._length()}; dataset, batch_size and drop_last must be the same"
            )
        if len(state["generators"]) != len(own):
            raise ValueError(
                f"DataLoader.load_state_dict: the state is of a loader with {len(state['generators'])} "
                f"generators of its own, this one has {len(own)}; pass generator= as there"
            )
        for generator, snapshot in zip(own, state["generators"], strict=True):
            generator.set_state(snapshot)
        start = state["epoch_start"]
        self._progress = None
        self._resume = None if start is None else Progress(list(start), int(state["batches"]))

    def _length(self) -> int | None:
        try:
            return len(self)
        except TypeError:
            return None
