"""How a batch travels between a worker and the loader: in shared memory, without locks or threads.

Each task that may be under way has a *slot*: a file that lives in memory only and has no name, so nothing can
be left behind on disk or in /dev/shm however a process ends. The sender writes a batch's arrays into the slot
straight from where they lie (pickle protocol 5 hands them over "out of band", uncopied), the receiver reads
them into fresh memory: one copy on each side. Over the connection itself only a few bytes go ("slot 3, 4
parts"), far fewer than a socket holds; so neither side ever blocks while sending, whatever the size of a
batch, and the two cannot wait for each other.

A slot belongs to one side at a time: the loader writes a task into it, the worker reads the task and writes
its answer there, and only when the loader has read the answer does it use the slot again.

Where a process cannot inherit open files (Windows) the bytes go through the connection instead, and the
loader then gives a worker one task at a time, since a worker may block until its answer is read.
"""

from __future__ import annotations

import io
import os
import pickle
import tempfile
from collections.abc import Callable
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ...tensor import Tensor

CONTROL = -1  # in place of a slot's number: a message of the protocol itself
_OUT_OF_BAND = 4096  # bytes; smaller arrays are cheaper inside the pickle stream


def can_share() -> bool:
    """Whether child processes can inherit open files here."""
    return os.name == "posix"


class Slot:
    """A nameless file in memory that two processes hold open."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            handle = os.memfd_create("minigrad-batch")
        else:
            with tempfile.TemporaryFile() as file:
                handle = os.dup(file.fileno())
        self._file = io.FileIO(handle, "r+")

    def __getstate__(self) -> Any:
        return reduction.DupFd(self._file.fileno())  # lets a spawned process take the open file with it

    def __setstate__(self, handle: Any) -> None:
        self._file = io.FileIO(handle.detach(), "r+")

    def write(self, value: Any) -> int:
        """Store a value; returns the number of parts it has, which `read` must be told."""
        buffers: list[memoryview] = []
        stream = _dumps(value, buffers)
        sizes = [len(stream), *(b.nbytes for b in buffers)]
        self._file.seek(0)
        for part in (np.array(sizes, dtype=np.int64).data.cast("B"), memoryview(stream), *buffers):
            while part.nbytes:  # one call writes at most 2 GiB
                part = part[self._file.write(part) :]
        return len(sizes)

    def read(self, parts: int) -> Any:
        """The value that was stored. Its arrays own their memory and may be written to."""
        sizes = np.empty(parts, dtype=np.int64)
        self._file.seek(0)
        self._fill(sizes.data.cast("B"))
        blocks = [np.empty(size, dtype=np.uint8) for size in sizes]
        for block in blocks:
            self._fill(block.data)
        return pickle.loads(blocks[0].data, buffers=blocks[1:])

    def _fill(self, view: memoryview) -> None:
        while view.nbytes:
            count = self._file.readinto(view)
            if not count:
                raise EOFError("the answer of a DataLoader worker is cut short")
            view = view[count:]

    def close(self) -> None:
        self._file.close()


class Channel:
    """One end of the line between the loader and a worker."""

    def __init__(self, connection: Connection, slots: list[Slot]) -> None:
        self.connection = connection
        self._slots = slots

    def send(self, slot: int, value: Any) -> None:
        """Send a value by way of a slot, or as a bare message if the slot is CONTROL."""
        if slot != CONTROL and self._slots:
            self.connection.send((slot, self._slots[slot].write(value)))
        else:
            self.connection.send((slot, _dumps(value, None)))

    def receive(self) -> tuple[int, Any]:
        """Wait for a message: (slot, value). Raises EOFError or OSError when the other side is gone."""
        slot, content = self.connection.recv()
        if isinstance(content, int):
            return slot, self._slots[slot].read(content)
        return slot, pickle.loads(content)

    def close(self) -> None:
        self.connection.close()
        for slot in self._slots:
            slot.close()


def _dumps(value: Any, buffers: list[memoryview] | None) -> bytes:
    stream = io.BytesIO()

    def aside(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _OUT_OF_BAND:
            return True  # true means: put it into the stream
        assert buffers is not None
        buffers.append(view)
        return False

    callback: Callable[[Any], Any] | None = aside if buffers is not None else None
    _BatchPickler(stream, protocol=5, buffer_callback=callback).dump(value)
    return stream.getvalue()


class _BatchPickler(pickle.Pickler):
    """Sends a tensor as its array."""

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return NotImplemented
        if value.device.type != "cpu":
            raise RuntimeError(
                f"DataLoader: a worker made a tensor on {value.device}; workers send CPU tensors only. Move "
                "the batch to the GPU in the training loop, or use num_workers=0."
            )
        if value.requires_grad and not value.is_leaf:
            raise RuntimeError(
                "DataLoader: a worker made a tensor that is the result of an op and requires a gradient; a "
                "graph cannot leave its process. Call .detach() on it in the dataset or in collate_fn."
            )
        return _tensor, (value._array, value.requires_grad)


def _tensor(array: np.ndarray, requires_grad: bool) -> Tensor:
    tensor = Tensor._wrap(array)
    if requires_grad:
        tensor.requires_grad = True
    return tensor
