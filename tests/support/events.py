"""Reading TensorBoard's event files back."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any


def events(folder: Path) -> list[Any]:
    """The messages of all event files below a folder. A record: length (8 bytes), checksum (4), itself, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.rglob("events.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def values(folder: Path) -> list[tuple[str, int, Any]]:
    """(tag, step, value) of everything that was written, in order."""
    return [(value.tag, event.step, value) for event in events(folder) for value in event.summary.value]


def scalars(folder):
    return sorted((tag, step, value.simple_value) for tag, step, value in values(folder))
