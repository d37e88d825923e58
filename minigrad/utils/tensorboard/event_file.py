"""An event file of TensorBoard, written record by record."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any


class EventFile:
    """A new event file in a folder. Each record is written when :meth:`add` returns.

    So a kill loses nothing, and an error of the disk is raised where the record was added. A record is its length, the
    checksum of that, the message, and the checksum of the message.

    The name begins as TensorBoard expects and goes on with the second, the host, the process and a number, so that all
    names differ. Raises OSError, with the file's name, if it cannot be made or written.
    Source: the TFRecord format of TensorFlow.
    """

    def __init__(self, folder: str, suffix: str = "") -> None:
        from tensorboardX.proto.event_pb2 import Event

        os.makedirs(folder, exist_ok=True)
        stem = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        for number in itertools.count():
            self.path = os.path.join(folder, f"{stem}.{number}{suffix}")
            try:
                self._file = open(self.path, "xb", buffering=0)  # noqa: SIM115 (closed by close, or at the end)
                break
            except FileExistsError:
                continue
        self._close = weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self.add(Event(file_version="brain.Event:2"))

    def add(self, event: Any, step: int | None = None, walltime: float | None = None) -> None:
        """Append a message. One that could not be written as a whole leaves nothing behind."""
        from tensorboardX.record_writer import masked_crc32c

        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = step
        message = event.SerializeToString()
        length = struct.pack("<Q", len(message))
        head, tail = (struct.pack("<I", masked_crc32c(part)) for part in (length, message))
        rest = memoryview(length + head + message + tail)
        with self._lock:
            start = self._file.tell()
            try:
                while rest:
                    rest = rest[self._file.write(rest) :]
            except BaseException as error:
                self._file.truncate(start)
                self._file.seek(start)
                if isinstance(error, OSError):
                    raise OSError(error.errno, error.strerror, self.path) from None
                raise

    def flush(self) -> None:
        """Wait until the disk has all of it."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self.flush()
        self._close()


@contextlib.contextmanager
def without_torch() -> Iterator[None]:
    """Keep ``import tensorboardX`` from importing PyTorch where that is installed and not in use.

    It wants it for one type annotation; the price would be a second, and another pool of threads in this process.
    """
    hide = "torch" not in sys.modules
    if hide:
        sys.modules["torch"] = None  # type: ignore[assignment]  # an import of it then raises ImportError
    try:
        yield
    finally:
        if hide:
            del sys.modules["torch"]
