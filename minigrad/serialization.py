"""`save` and `load`: tensors in safetensors files, and nothing that could run code.

A file holds the tensors as bytes behind a JSON header (the safetensors format, read and written by its own
library), so loading can at worst fail. A flat dict of tensors, such as a module's `state_dict()`, is an
ordinary safetensors file: `safetensors.torch.load_file` reads it, and `load` reads what
`safetensors.torch.save_file` wrote. Nested states, such as an optimizer's, keep their structure (dicts,
lists, numbers, text) as JSON in the header beside the tensors.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors
import safetensors.numpy

from .devices import device as Device
from .files import whole_file
from .tensor import Tensor

_STRUCTURE = "minigrad"  # header entry: the JSON of a nested state
_ORDER = "minigrad.order"  # header entry: the keys of a flat dict in order, which the format itself loses
_VERSION = 1
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


class SerializationError(ValueError, RuntimeError):
    """A file that cannot be read as tensors, or an object that cannot be written as such."""


def save(obj: Any, f: str | os.PathLike[str] | IO[bytes]) -> None:
    """Write tensors, or nested containers of tensors, numbers and text, to a safetensors file.

    Containers are dicts, lists and tuples; dict keys may be strings, numbers, None or tuples of those. NumPy
    arrays come back as arrays, NumPy numbers as Python's. Gradients and `requires_grad` are not kept. Tensors
    that share memory are each written in full.
    The file appears complete or not at all (:func:`minigrad.files.whole_file`), and is on the disk then; on failure
    what stood there before still stands.

    Args:
        obj: what to save. For a network: `save(model.state_dict(), "model.safetensors")`.
        f: a path, or an open binary file.
    Raises:
        OSError (FileNotFoundError, PermissionError, …): the file cannot be written there; found out before
        the work.
        TypeError: obj holds something else, named by its place.
    Source: torch.save, whose files (pickles) it does not write.
    """
    if hasattr(f, "write"):
        f.write(_encode_file(obj))
        return
    target = Path(os.path.realpath(os.fspath(f)))  # through a link, to what it points at
    if target.is_dir():
        raise IsADirectoryError(
            f"save: {str(f)!r} is a folder; give the name of a file in it, such as model.safetensors"
        )
    opened = False
    try:
        with whole_file(target, durable=True) as file:
            opened = True
            file.write(_encode_file(obj))
    except OSError as error:
        if opened:
            raise
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(
                f"save: the folder {str(target.parent)!r} does not exist; make it first (os.makedirs)"
            ) from None
        raise type(error)(error.errno, f"save: cannot write into {str(target.parent)!r}: {error.strerror}") from None


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: str | Device | None = None,
    *,
    weights_only: bool = True,
) -> Any:
    """Read what `save`, or any safetensors writer, wrote.

    A flat file gives an OrderedDict from names to tensors; a file of `save` gives the object it was made
    from.
    Dtypes are kept exactly, except bfloat16, which minigrad has not: it becomes float32, of which every
        bfloat16 is one.

    Args:
        f: a path, or an open binary file.
        map_location: the device for the tensors; the CPU if None.
        weights_only: accepted for PyTorch's sake; False is refused, since nothing is ever unpickled.
    Raises:
        FileNotFoundError: there is no such file.
        SerializationError: it is damaged, not a safetensors file, or holds a dtype that minigrad has not.
    Source: torch.load.
    """
    if not weights_only:
        raise ValueError(
            "load: weights_only=False would unpickle the file, which can run any code; minigrad never does"
        )
    if map_location is not None and not isinstance(map_location, (str, Device)):
        raise TypeError(f"load: map_location is a {type(map_location).__name__}; expected a device, its name, or None")
    where = None if map_location is None else Device(map_location)
    if hasattr(f, "read"):
        name, data = getattr(f, "name", "the open file"), f.read()
    else:
        name = os.fspath(f)
        try:
            data = Path(name).read_bytes()
        except FileNotFoundError:
            raise FileNotFoundError(f"load: there is no file {name!r}") from None
        except IsADirectoryError:
            raise IsADirectoryError(f"load: {name!r} is a folder; give the name of a file in it") from None
    arrays, metadata = _decode_file(data, str(name))
    tensors = OrderedDict((key, Tensor._wrap(array)) for key, array in arrays.items())
    if where is not None and where.type != "cpu":
        tensors = OrderedDict((key, t.to(where)) for key, t in tensors.items())
    return _arrange(tensors, metadata, str(name))


# -------------------------------------------------------------------------------------- objects → bytes


def _encode_file(obj: Any) -> bytes:
    metadata = {"format": "pt"}  # what readers that care expect of PyTorch's names and layouts
    if isinstance(obj, dict) and all(_plain_name(k) and isinstance(v, Tensor) for k, v in obj.items()):
        arrays = {key: _array(value) for key, value in obj.items()}
        metadata[_ORDER] = json.dumps(list(obj))
    else:
        arrays = {}
        metadata[_STRUCTURE] = json.dumps({"version": _VERSION, "root": _encode(obj, arrays, (), [])})
    return _with_sorted_header(safetensors.numpy.save(arrays, metadata))


def _with_sorted_header(data: bytes) -> bytes:
    """The same file with its header's entries in order, which the library writes at random: equal objects, equal files.

    A file is the length of its header (8 bytes), the header (JSON, filled up with spaces), the arrays.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + memoryview(data)[start:]


def _plain_name(key: Any) -> bool:
    return isinstance(key, str) and key != "__metadata__"  # the one name that the format keeps for itself


def _array(value: Any) -> np.ndarray:
    array = value.detach().to("cpu")._array if isinstance(value, Tensor) else value
    # The library writes memory as it lies, strides ignored. (ascontiguousarray gives a scalar an axis.)
    return np.ascontiguousarray(array).reshape(array.shape)


def _encode(value: Any, arrays: dict[str, np.ndarray], path: tuple[Any, ...], above: list[int]) -> Any:
    """JSON for `value`, its tensors put into `arrays`. Containers become a dict of one entry, their kind."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    where = "".join(f"[{key!r}]" for key in path)
    if isinstance(value, (Tensor, np.ndarray)):
        if isinstance(value, np.ndarray) and value.dtype.newbyteorder("<") not in _DTYPES.values():
            raise TypeError(
                f"save: obj{where} is an array of dtype {value.dtype}; only {', '.join(_DTYPES)} can be saved"
            )
        base = name = ".".join(str(key) for key in path) or "value"
        for copy in range(1, len(arrays) + 2):  # {"a.b": t, "a": {"b": u}} asks for the same name twice
            if name not in arrays and _plain_name(name):
                break
            name = f"{base}#{copy}"
        arrays[name] = _array(value)
        return {"tensor" if isinstance(value, Tensor) else "array": name}
    if id(value) in above:
        raise ValueError(f"save: obj{where} contains itself")
    above = [*above, id(value)]
    if isinstance(value, dict):
        items = [[_encode_key(k, where), _encode(v, arrays, (*path, k), above)] for k, v in value.items()]
        return {"ordered" if isinstance(value, OrderedDict) else "dict": items}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(v, arrays, (*path, i), above) for i, v in enumerate(value)]}
    hint = (
        "save its state_dict() instead"
        if hasattr(value, "state_dict")
        else "leave it out, or turn it into one of those"
    )
    raise TypeError(
        f"save: obj{where} is a {type(value).__name__}; expected tensors, arrays, numbers, strings, None, or "
        f"dicts, lists and tuples of them ({hint})"
    )


def _encode_key(key: Any, where: str) -> Any:
    if isinstance(key, np.generic):
        key = key.item()
    if key is None or isinstance(key, (bool, int, float, str)):
        return key
    if isinstance(key, tuple):
        return {"tuple": [_encode_key(k, where) for k in key]}
    raise TypeError(f"save: obj{where} has the key {key!r}; keys can be strings, numbers, None, or tuples of those")


# -------------------------------------------------------------------------------------- bytes → objects


_ADVICE = """load: {name!r} is a pickle (a .pt or .pth file of torch.save?), and loading one can run any code
hidden in it, so minigrad does not. If you trust it, convert it where PyTorch is installed:
    import torch, safetensors.torch
    state = torch.load({name!r}, weights_only=True)
    safetensors.torch.save_file(state, "model.safetensors")"""


def _looks_pickled(data: bytes) -> bool:
    """Whether data that is no safetensors file begins as a pickle or as PyTorch's zip archive of pickles."""
    return data[:2] == b"PK" or (data[:1] == b"\x80" and data[1:2] <= b"\x05")


def _decode_file(data: bytes, name: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    try:
        entries = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (safetensors.SafetensorError, ValueError) as error:
        if _looks_pickled(data):
            raise SerializationError(_ADVICE.format(name=name)) from None
        raise SerializationError(
            f"load: {name!r} ({len(data)} bytes) is damaged, cut short, or not a safetensors file ({error}). "
            "Get it again or use another checkpoint."
        ) from None
    arrays: dict[str, np.ndarray] = {}
    for key, entry in entries:
        if entry["dtype"] == "BF16":  # the upper half of a float32
            upper = np.frombuffer(entry["data"], dtype="<u2").astype(np.uint32)
            array = (upper << np.uint32(16)).view(np.float32)
        elif entry["dtype"] in _DTYPES:
            array = np.frombuffer(entry["data"], dtype=_DTYPES[entry["dtype"]])
        else:
            raise SerializationError(
                f"load: {key!r} in {name!r} has dtype {entry['dtype']}, which minigrad has not; convert it "
                f"to one of {', '.join(_DTYPES)}"
            )
        arrays[key] = array.reshape(entry["shape"])
    return arrays, header.get("__metadata__") or {}  # null in files of other writers


def _arrange(tensors: OrderedDict[str, Tensor], metadata: dict[str, str], name: str) -> Any:
    try:
        if _STRUCTURE in metadata:
            structure = json.loads(metadata[_STRUCTURE])
            if structure["version"] > _VERSION:
                raise SerializationError(f"load: {name!r} was written by a newer minigrad; update minigrad to read it")
            return _decode(structure["root"], tensors)
        order = json.loads(metadata.get(_ORDER, "[]"))
        known = [key for key in order if key in tensors]  # another tool may have added or taken away tensors since
    except SerializationError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SerializationError(
            f"load: the header of {name!r} does not fit its tensors ({type(error).__name__}: {error}); the "
            "file was changed or damaged"
        ) from None
    for key in reversed(known):
        tensors.move_to_end(key, last=False)
    return tensors


def _decode(node: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(node, dict):
        if isinstance(node, list):
            raise TypeError("a list where a container or a value should stand")
        return node
    ((kind, content),) = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].to("cpu").numpy()
    if kind in ("dict", "ordered"):
        pairs = [(_decode(k, tensors), _decode(v, tensors)) for k, v in content]
        return OrderedDict(pairs) if kind == "ordered" else dict(pairs)
    if kind in ("list", "tuple"):
        items = [_decode(item, tensors) for item in content]
        return items if kind == "list" else tuple(items)
    raise ValueError(f"unknown kind {kind!r}")
