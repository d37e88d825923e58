"""The devices of the double, and how much memory is in use on them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

COUNT = 2


class Device:
    """A GPU by number; as a context, the one on which new arrays land. Source: cupy.cuda.Device."""

    current = 0

    def __init__(self, device: int | None = None) -> None:
        self.id = Device.current if device is None else int(device)
        if not 0 <= self.id < COUNT:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self._before: list[int] = []

    def __enter__(self) -> Device:
        self._before.append(Device.current)
        Device.current = self.id
        return self

    def __exit__(self, *error: Any) -> None:
        Device.current = self._before.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return self.id

    def synchronize(self) -> None:
        pass


class Pool:
    """Counts the bytes of arrays that own their memory. Source: cupy.get_default_memory_pool()."""

    used = 0

    def used_bytes(self) -> int:
        return self.used

    def free_all_blocks(self) -> None:
        pass


pool = Pool()

cuda = SimpleNamespace(
    Device=Device,
    get_current_stream=lambda: SimpleNamespace(synchronize=lambda: None),
    runtime=SimpleNamespace(
        getDeviceCount=lambda: COUNT,
        getDevice=lambda: Device.current,
        getDeviceProperties=lambda index: {"name": b"a double of a GPU"},
    ),
)
