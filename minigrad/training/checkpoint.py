"""Checkpoints: the whole state of a training in one file, which appears complete or not at all.

:func:`minigrad.save` writes to another name, flushes to the disk and renames, so that a kill at any moment leaves the
earlier file. A digest of the content reveals damage that happened later.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..serialization import SerializationError, load, save
from ..tensor import Tensor

_NAME = re.compile(r"step-(\d+)\.safetensors")


class CheckpointError(ValueError, RuntimeError):
    """A checkpoint that is damaged, missing, or of another training."""


def save_checkpoint(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a state (nested dicts and lists of tensors, arrays, numbers and text) with a digest of it.

    In a loop of your own::

        save_checkpoint({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}, path)

    Raises OSError if it cannot be written; an earlier file at ``path`` stays then.
    """
    save({"state": dict(state), "digest": _digest(state)}, path)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint, or the newest one in a folder.

    Raises CheckpointError if there is none, if it is another kind of file, or if it is damaged: the message then names
    the newest undamaged one in the same folder.
    """
    place = Path(path)
    if place.is_dir():
        found = checkpoints_in(place)
        if not found:
            raise CheckpointError(f"there is no checkpoint (step-….safetensors) in {place}")
        place = found[-1]
    try:
        return _read(place)
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {place}") from None
    except SerializationError as error:
        others = [other for other in reversed(checkpoints_in(place.parent)) if other != place]
        intact = next((other for other in others if _undamaged(other)), None)
        advice = (
            f"go on from the one before it, which is whole: {intact}"
            if intact is not None
            else "there is no other one in its folder that is whole"
        )
        raise CheckpointError(f"the checkpoint {place} is damaged ({error}); {advice}") from error


def checkpoints_in(folder: str | os.PathLike[str]) -> list[Path]:
    """The checkpoints in a folder, ordered by step."""
    found = [(int(match[1]), path) for path in Path(folder).glob("step-*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def checkpoint_name(step: int) -> str:
    return f"step-{step:08d}.safetensors"


def _read(place: Path) -> dict[str, Any]:
    content = load(place)
    if not isinstance(content, dict) or set(content) != {"state", "digest"}:
        raise CheckpointError(f"{place} is no checkpoint: it holds tensors alone, which minigrad.load reads")
    if content["digest"] != _digest(content["state"]):
        raise SerializationError("its content is not what was written: the digest differs")
    state: dict[str, Any] = content["state"]
    return state


def _undamaged(place: Path) -> bool:
    try:
        _read(place)
    except (SerializationError, CheckpointError, OSError):
        return False
    return True


def _digest(state: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in _parts(state):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    """All values of a nested state as bytes, in order."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _parts(key)
            yield from _parts(item)
    elif isinstance(value, (list, tuple)):
        yield f"[{len(value)}".encode()
        for item in value:
            yield from _parts(item)
    elif isinstance(value, (Tensor, np.ndarray)):
        array = np.ascontiguousarray(value.numpy(force=True) if isinstance(value, Tensor) else value)
        yield f"{array.dtype}{array.shape}".encode()
        yield array.tobytes()
    else:
        # As in the file: an enum's member is a number or text there, a NumPy number one of Python's.
        yield json.dumps(value.item() if isinstance(value, np.generic) else value, default=repr).encode()
