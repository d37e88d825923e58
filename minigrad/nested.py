"""Values in containers: lists, tuples and dicts, however deep."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

from .tensor import Tensor


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """``function(value)``, or a container with the function applied to all that it holds; containers keep their types.

    Text and ranges are values, not containers.
    """
    if isinstance(value, Tensor):  # the usual case, and the fastest test
        return function(value)
    if isinstance(value, Mapping):
        return rebuilt(value, {key: mapped(item, function) for key, item in value.items()})
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, range)):
        return rebuilt(value, [mapped(item, function) for item in value])
    return function(value)


def rebuilt(container: Any, fields: Any) -> Any:
    """A container like this one with other fields (a dict, or a list in its order); it keeps its type.

    A subclass of dict or list keeps its attributes too, such as a defaultdict's factory. What cannot be made from its
    fields becomes a plain dict or list.
    """
    kind = type(container)
    if kind is dict or kind is list:
        return fields
    try:
        if isinstance(container, (MutableMapping, MutableSequence)):
            made = copy.copy(container)
            for key, value in fields.items() if isinstance(fields, dict) else enumerate(fields):
                made[key] = value
            return made
        return kind(*fields) if hasattr(container, "_fields") else kind(fields)
    except TypeError:
        return fields


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in a value, such as a module's output, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [t for item in value for t in tensors_in(item)] if isinstance(value, (list, tuple)) else []


def on_host(value: Any) -> Any:
    """``value`` with every tensor and GPU array in it made a NumPy array."""
    return mapped(value, _array_on_host)


def _array_on_host(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.numpy(force=True)
    return value.get() if type(value).__module__.partition(".")[0] == "cupy" else value
