"""The DataLoader: batches of a dataset, in order, at random, in parallel, repeatably."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, Generic, TypeVar

from ...random import Generator, default_generator
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset, TensorDataset
from .fetch import Fetcher, TensorFetcher, make_fetcher
from .iterators import LocalIterator, Replay, WorkerIterator, index_tasks
from .pool import WorkerPool, get_context
from .resuming import (
    EpochProgress,
    is_stateful,
    mark_of_task,
    own_sources,
    program_sources,
    put_state,
    refusal,
    state_of,
)
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
        self._progress: EpochProgress | None = None  # of the epoch that was begun last
        self._resume: EpochProgress | None = None  # set by load_state_dict for the epoch to come
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
        sources = self._sources()
        now = [state_of(source) for source in sources]
        resumed, self._resume = self._resume, None
        progress = resumed or EpochProgress(start=now)
        replay = Replay(progress, type(self.dataset).__name__) if self._replays() else None
        local, pool = None, None
        try:
            if resumed:
                for source, state in zip(sources, resumed.start, strict=True):
                    put_state(source, state)
                if resumed.stream is not None:
                    self.dataset.load_state_dict(resumed.stream)  # type: ignore[attr-defined]
            base_seed = draw_seed(self.generator or default_generator())
            fetcher = self._fetcher() if self.num_workers == 0 else None
            tasks = self._tasks(fetcher, progress, replay)
            if fetcher is not None:
                local = LocalIterator(fetcher, tasks, progress, replay)
            else:
                pool = self._workers(base_seed)
        finally:
            # The order was drawn again only to find the position; the generators continue from where they were. A
            # sampler that keeps its own state is there already.
            if resumed:
                for source, state in zip(sources, now, strict=True):
                    if not is_stateful(source):
                        put_state(source, state)
        self._progress = progress
        if local is not None:
            return local
        assert pool is not None
        return WorkerIterator(pool, tasks, progress, self.timeout, self.persistent_workers, replay)

    def _sources(self) -> list[Any]:
        """All random sources that the samples of an epoch may come from, in this process."""
        order: Any = self.batch_sampler if self.batch_sampler is not None else self.sampler
        if self._streams:
            order = range(0) if self.num_workers else self.dataset
        return program_sources(order) + self._own_sources()

    def _own_sources(self) -> list[Any]:
        """The random sources that belong to the loader alone: its generator, those of its samplers and dataset."""
        return own_sources(self.generator, self.sampler, self.batch_sampler, self.dataset)

    def _tells_place(self) -> bool:
        """Whether the dataset is a stream that goes on by itself from a state of its own."""
        return self._streams and self.num_workers == 0 and is_stateful(self.dataset)

    def _replays(self) -> bool:
        """Whether a batch depends on those made before it, so that resuming must make these again.

        So it is for streams, and where workers draw from generators that are not seeded anew for each batch.
        """
        if self._streams:
            return not self._tells_place()
        return self.num_workers > 0 and (self.worker_init_fn is not None or bool(own_sources(self.dataset)))

    def _fetcher(self) -> Fetcher:
        return make_fetcher(self.dataset, self.collate_fn, self.batch_size, self.drop_last, self._batched)

    def _tasks(self, fetcher: Fetcher | None, progress: EpochProgress, replay: Replay | None) -> Iterator[Any]:
        """What the fetcher is to get, batch by batch: in a resumed epoch what was not handed out yet, or all again."""
        if self._streams:
            return itertools.repeat(None)
        arrays = index_tasks(self.batch_sampler) if isinstance(fetcher, TensorFetcher) else None
        source = self.batch_sampler if self.batch_sampler is not None else self.sampler
        tasks = iter(source) if arrays is None else arrays
        # Drawn again now, while the generators stand where the epoch began: samplers may draw as they go.
        before = list(itertools.islice(tasks, progress.drawn))
        if (
            len(before) < progress.drawn
            or functools.reduce(lambda m, t: mark_of_task(t, m), before, 0) != progress.order
        ):
            raise refusal(f"the sampler {type(source if self.sampler is None else self.sampler).__name__}")
        return itertools.chain(before[progress.yielded if replay is None else 0 :], progress.noted(tasks))

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
        """The position of the loader: plain numbers, fit for `minigrad.save` and for JSON.

        Within an epoch: how many batches were handed out, marks of their order, and the states in which the random
        generators of the program, the loader, its samplers and its dataset stood when the epoch began, so that
        `load_state_dict` on a loader made the same way yields exactly the batches that remain. It does not hold where
        the program's generators stand now (`minigrad.get_rng_state()`, NumPy's and Python's global ones); transforms
        that run in this process draw from these.
        """
        progress = self._progress if self._progress is not None and not self._progress.finished else self._resume
        begun = progress is not None and progress is not self._resume
        stream = self.dataset.state_dict() if begun and self._tells_place() else getattr(progress, "stream", None)  # type: ignore[attr-defined]
        progress = progress or EpochProgress([])
        return {
            "batches": progress.yielded,
            "drawn": progress.drawn,
            "order": progress.order,
            "content": progress.content,
            "stream": stream,
            "epoch_start": list(progress.start) or None,
            "generators": [state_of(source) for source in self._own_sources()],
            "length": self._length(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the position of `state`: the next `iter(loader)` yields the rest of that epoch.

        It finds the position by starting the epoch again from the same random states: the sampler draws its order
        again, a stream (IterableDataset) is read again from its beginning, unless it runs in this process and has
        `state_dict` and `load_state_dict` of its own. The result is compared with the earlier one.
        Raises ValueError, changing nothing, for a state of another loader. Where sampler or stream come out
        differently, `iter(loader)`, or with workers its first batch, raises RuntimeError.
        """
        keys = {"batches", "epoch_start", "generators", "length"}
        if isinstance(state, dict) and state.get("epoch_start") is not None:
            keys |= {"drawn", "order", "content", "stream"}
        if not isinstance(state, dict) or not keys <= set(state):
            raise ValueError(
                f"DataLoader.load_state_dict: not a state of a DataLoader; expected a dict with {sorted(keys)}"
            )
        own = self._own_sources()
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
        if state["epoch_start"] is not None and len(state["epoch_start"]) != len(self._sources()):
            raise ValueError(
                f"DataLoader.load_state_dict: the state is of a loader whose order comes from "
                f"{len(state['epoch_start'])} random generators, here it is {len(self._sources())}; use the same "
                "sampler, and for a stream the same num_workers"
            )
        if state.get("stream") is not None and not self._tells_place():
            raise ValueError(
                "DataLoader.load_state_dict: the state is of a stream that told its own place in the loader's process; "
                "this one does not. Use num_workers=0 and the same dataset"
            )
        for source, snapshot in zip(own, state["generators"], strict=True):
            put_state(source, snapshot)
        self._progress = self._resume = None
        if state["epoch_start"] is not None:
            position = {"yielded": state["batches"], **{key: state[key] for key in ("drawn", "order", "content")}}
            self._resume = EpochProgress(list(state["epoch_start"]), stream=state["stream"], **position)

    def _length(self) -> int | None:
        try:
            return len(self)
        except TypeError:
            return None
