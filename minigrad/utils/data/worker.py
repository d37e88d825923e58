"""What runs inside a worker process: take a task, fetch the batch, send it back, until told to stop."""

from __future__ import annotations

import gc
import os
import pickle
import random as python_random
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from typing import Any, NoReturn

import numpy as np

from ... import kernels
from ...random import default_generator
from .fetch import Fetcher, make_fetcher
from .transport import CONTROL, Channel

_HEARTBEAT = 2.0  # seconds between two looks at whether the loader's process still lives


@dataclass
class WorkerInfo:
    """A worker's number, how many there are, its seed, and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a DataLoader's worker process: its :class:`WorkerInfo`. Elsewhere None.

    Source: torch.utils.data.get_worker_info.
    """
    return _info


@dataclass
class Plan:
    """All that a worker must know to make batches."""

    dataset: Any
    collate_fn: Callable[[Any], Any]
    batch_size: int | None
    drop_last: bool
    batched: bool
    num_workers: int
    init: Callable[[int], None] | None

    def fetcher(self) -> Fetcher:
        return make_fetcher(self.dataset, self.collate_fn, self.batch_size, self.drop_last, self.batched)


@dataclass
class Failure:
    """An exception on its way to the loader: as text, since not every exception can be pickled."""

    kind: type[BaseException]
    name: str
    where: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException, where: str) -> Failure:
        kind: type[BaseException] = type(error)
        try:
            pickle.loads(pickle.dumps(kind))
        except Exception:  # a class defined inside a function has no name to find it by
            kind = RuntimeError
        if issubclass(kind, StopIteration):  # let through, it would end the epoch without a word
            kind = RuntimeError
        return cls(kind, type(error).__name__, where, traceback.format_exc())

    def raise_again(self, worker: int, pid: int | None) -> NoReturn:
        """Raise it in the loader: the same type if it takes a single text, else RuntimeError."""
        text = (
            f"{self.name} in DataLoader worker {worker} (process {pid}), at {self.where}. The loop was "
            f"stopped and all "
            f"workers ended. The worker's own traceback:\n\n{self.traceback}"
        )
        message = _Verbatim(text) if issubclass(self.kind, KeyError) else text
        try:
            error = self.kind(message)
        except Exception:
            error = RuntimeError(message)
        raise error from None


class _Verbatim(str):
    """Text whose repr is itself: KeyError prints the repr of its message, and so would hide line ends."""

    def __repr__(self) -> str:
        return str(self)


def seed_everything(seed: int) -> None:
    """Seed minigrad's CPU generator, Python's `random` and NumPy's global generator."""
    default_generator().manual_seed(seed)
    python_random.seed(seed)
    np.random.seed(seed % 2**32)


def batch_seed(base_seed: int, number: int) -> int:
    """The seed of batch `number` of an epoch: the same whichever worker makes it, also when resumed."""
    return int(np.random.SeedSequence([base_seed, number]).generate_state(1, np.uint64)[0] >> 1)


def worker_main(channel: Channel, others: list[Channel], worker: int, base_seed: int, plan: Plan) -> None:
    """Run a worker until the loader ends it.

    `others` are the loader's ends of the connections, which a forked process inherits and must close: while
    they are open, no worker notices that the loader is gone.
    """
    for other in others:
        other.connection.close()
    gc.freeze()  # a collection must not touch, and so copy, the pages shared with the loader
    # Ctrl-C reaches all processes; it is the loader's answer to it that ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Some thread may have held the lock of NumPy's global generator when we were forked; here it would never
    # be freed.
    np.random.set_bit_generator(np.random.MT19937())  # type: ignore[attr-defined]
    loader = os.getppid()
    try:
        # A forked child must not enter a parallel region of the parent's thread pools, so the kernels stay
        # off.
        kernels.set_num_threads(1)  # of BLAS as well: the cores are the training's
        with kernels.disabled():
            _serve(channel, worker, base_seed, plan, loader)
    except (EOFError, OSError):
        pass  # the loader is gone


def _serve(channel: Channel, worker: int, base_seed: int, plan: Plan, loader: int) -> None:
    global _info
    fetcher: Fetcher | None = None
    broken: Failure | None = None  # what went wrong while preparing; told when the first task comes
    seed = base_seed + worker
    _info = WorkerInfo(worker, plan.num_workers, seed, plan.dataset)
    seed_everything(seed)
    if plan.init is not None:
        try:
            plan.init(worker)
        except Exception as error:
            broken = Failure.of(error, "worker_init_fn")
    while True:
        while not channel.connection.poll(_HEARTBEAT):
            if os.getppid() != loader or not _alive():
                return
        slot, message = channel.receive()
        if slot == CONTROL:
            if message is None:
                return
            base_seed, fetcher = message, None  # a new epoch
            continue
        number, task = message
        answer: Any
        try:
            if broken is None and fetcher is None:
                fetcher = plan.fetcher()
            if plan.init is None:
                seed_everything(batch_seed(base_seed, number))
            answer = broken or fetcher(task)  # type: ignore[misc]
        except Exception as error:
            answer = Failure.of(error, fetcher.where if fetcher else "the start of the dataset")
        try:
            channel.send(slot, answer)
        except (BrokenPipeError, ConnectionError):
            return
        except Exception as error:  # the batch holds something that cannot be pickled
            channel.send(slot, Failure.of(error, f"sending batch {number} to the loader"))


def _alive() -> bool:
    parent = parent_process()
    return parent is None or parent.is_alive()
