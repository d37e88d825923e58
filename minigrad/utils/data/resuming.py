"""Starting an epoch again and reaching the same batch: states of random sources, and checksums to compare.

An order cannot be stored in general: it comes out of a sampler's or a stream's own code as it goes. So a resumed
DataLoader puts all random sources it can find back to where the epoch began, runs that code again up to the same batch,
and compares the result with a checksum of the earlier one. If the two differ, it refuses to continue.
"""

from __future__ import annotations

import pickle
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...devices import CPU, move
from ...random import Generator, default_generator
from ...tensor import Tensor
from .dataset import Dataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler

_FEW = 100  # elements of a container that are looked through for generators
_OURS = (SequentialSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler, range, list, tuple)
_RANDOM = (Generator, np.random.Generator, np.random.RandomState, random.Random)


@dataclass
class EpochProgress:
    """How far an epoch has come, and what it takes to begin it again the same way."""

    start: list[Any]  # states of the random sources just before the epoch began
    yielded: int = 0  # batches handed out
    drawn: int = 0  # tasks taken from the sampler: with workers, more than were handed out
    order: int = 0  # the mark of these tasks
    content: int = 0  # the mark of the batches handed out, where resuming needs them again
    stream: Any = None  # the state of a stream that can tell its own
    finished: bool = False

    def noted(self, tasks: Iterator[Any]) -> Iterator[Any]:
        """The tasks as they are, each counted and marked as it is drawn."""
        for task in tasks:
            self.drawn += 1
            self.order = mark_of_task(task, self.order)
            yield task


def is_stateful(thing: Any) -> bool:
    """Whether it can tell and take its own state."""
    return hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")


def program_sources(order: Any) -> list[Any]:
    """The generators of the whole program that an order may come from: minigrad's (CPU), NumPy's global one, Python's.

    The samplers of this package draw from minigrad's alone; then nothing asks for the lock of NumPy's, which another
    thread may hold.
    """
    if type(order) is BatchSampler:
        order = order.sampler
    return [default_generator()] if type(order) in _OURS else [default_generator(), np.random, random]


def own_sources(*holders: Any) -> list[Any]:
    """The random generators that these (samplers, datasets) and their transforms hold as attributes.

    A sampler that can tell its own state stands for all that it holds.
    """
    found: list[Any] = []
    seen = {id(default_generator()), id(np.random.mtrand._rand), id(random._inst)}
    waiting = list(holders)
    while waiting:
        thing = waiting.pop(0)
        if id(thing) in seen or isinstance(thing, (type, Tensor, np.ndarray, random.SystemRandom)):
            continue
        seen.add(id(thing))
        if isinstance(thing, _RANDOM):
            if not isinstance(thing, Generator) or thing.device.type == "cpu":
                found.append(thing)
        elif is_stateful(thing) and _is_sampler(thing, holders):
            found.append(thing)
        elif isinstance(thing, Mapping) and len(thing) <= _FEW:
            waiting += thing.values()
        elif isinstance(thing, (list, tuple)) and len(thing) <= _FEW:
            waiting += thing
        elif hasattr(thing, "__dict__") and (
            isinstance(thing, Dataset) or _is_sampler(thing, holders) or callable(thing)
        ):
            waiting += vars(thing).values()
    return found


def _is_sampler(thing: Any, holders: Sequence[Any]) -> bool:
    return isinstance(thing, Sampler) or (any(thing is h for h in holders) and not isinstance(thing, Dataset))


def state_of(source: Any) -> Any:
    """The state of a random source in plain numbers, fit for JSON."""
    if is_stateful(source):
        return source.state_dict()
    if isinstance(source, Generator):
        return source.get_state()
    if hasattr(source, "getstate"):  # Python's
        version, numbers, gauss = source.getstate()
        return [version, list(numbers), gauss]
    state = source.bit_generator.state if isinstance(source, np.random.Generator) else source.get_state(legacy=False)
    return _replaced(state, np.ndarray, lambda array: array.tolist())


def put_state(source: Any, state: Any) -> None:
    """Put a source back to a :func:`state_of` it."""
    if is_stateful(source):
        source.load_state_dict(state)
    elif isinstance(source, Generator):
        source.set_state(state)
    elif hasattr(source, "setstate"):
        version, numbers, gauss = state
        source.setstate((version, tuple(numbers), gauss))
    else:
        state = _replaced(state, list, lambda numbers: np.array(numbers, dtype=np.uint64))
        if isinstance(source, np.random.Generator):
            source.bit_generator.state = state
        else:
            source.set_state(state)


def _replaced(state: Any, kind: type, function: Any) -> Any:
    if isinstance(state, dict):
        return {key: _replaced(value, kind, function) for key, value in state.items()}
    return function(state) if isinstance(state, kind) else state


def mark_of_task(task: Any, mark: int) -> int:
    """A checksum that goes on from ``mark``: the same for a slice, a list or an array of the same indices."""
    if isinstance(task, slice):
        task = np.arange(task.start, task.stop)
    try:
        numbers = np.asarray(task)
    except ValueError:  # rows of different lengths
        return mark_of(task, mark)
    return zlib.crc32(numbers.astype(np.int64).tobytes(), mark) if numbers.dtype.kind in "iu" else mark_of(task, mark)


def mark_of(value: Any, mark: int) -> int:
    """A checksum of all that is in a batch, which goes on from ``mark``."""
    if isinstance(value, Tensor):
        value = move(value._array, CPU)
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        mark = zlib.crc32(f"{value.dtype.str}{value.shape}".encode(), mark)
        return zlib.crc32(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data, mark)
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        mark = zlib.crc32(f"{len(value)} parts".encode(), mark)
        for part in value:
            mark = mark_of(part, mark)
        return mark
    try:
        content = pickle.dumps(value, protocol=4)
    except Exception:  # nothing can be compared but its type
        content = type(value).__name__.encode()
    return zlib.crc32(content, mark)


def refusal(who: str) -> RuntimeError:
    """The error where the epoch, begun again, comes out differently."""
    return RuntimeError(
        f"DataLoader: cannot go on inside the epoch: {who}, begun again from where the random generators stood, gives "
        "other samples than before the interruption, so some would be lost and others repeated. What it gives depends "
        "on something that the state does not hold, such as a generator that the training draws from in between, or a "
        "counter. Let it draw from a generator of its own, kept as an attribute, or give it state_dict() and "
        "load_state_dict(), or go on from the end of an epoch."
    )
