"""Loading a state: names and shapes are all checked before a single value is copied."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..devices import move
from ..tensor import Tensor
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module


class IncompatibleKeys(NamedTuple):
    """The names that a loaded state lacked, and those that the module did not know."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load(module: Module, state: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """See :meth:`Module.load_state_dict`."""
    name = type(module).__name__
    if not isinstance(state, Mapping):
        raise TypeError(f"{name}.load_state_dict: expected a mapping of names to tensors, got {type(state).__name__}")
    own = module.state_dict(keep_vars=True)
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    wrong: list[str] = []
    arrays: dict[str, Any] = {}
    for key in own:
        if key in state:
            array = _array_of(state[key])
            if array is None:
                wrong.append(f"{key} is a {type(state[key]).__name__}; expected a tensor or an array")
            elif array.shape != own[key]._array.shape:
                wrong.append(
                    f"size mismatch for {key}: {array.shape} in the state, {own[key]._array.shape} in the module"
                )
            arrays[key] = array
    if strict:
        if missing:
            wrong.append(f"Missing key(s) in state_dict: {_listing(missing, (), own)}")
        if unexpected:
            wrong.append(f"Unexpected key(s) in state_dict: {_listing(unexpected, missing, state)}")
    if wrong:
        raise RuntimeError(f"Error(s) in loading state_dict for {name} (nothing was loaded):\n\t" + "\n\t".join(wrong))
    for key, array in arrays.items():
        if assign:
            _assign(module, key, state[key], array)
        else:
            target = own[key]
            target._array[...] = move(array, target.device)
            target._bump()
    return IncompatibleKeys(missing, unexpected)


def _array_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value._array
    # Arrays of other libraries (NumPy, a CPU tensor of PyTorch) give their numbers through __array__.
    return np.asarray(value) if hasattr(value, "__array__") else None


def _listing(keys: Iterable[str], candidates: Iterable[str], shapes: Mapping[str, Any]) -> str:
    """The keys in quotes; each with the candidate that it was probably meant to be, if one is near."""
    parts = []
    for key in keys:
        near = difflib.get_close_matches(key, list(candidates), n=1, cutoff=0.7)
        shape = getattr(shapes[key], "shape", None)
        size = "" if shape is None else f" {tuple(shape)}"
        parts.append(f'"{key}"{size}' + (f' (did you mean "{near[0]}"?)' if near else ""))
    return ", ".join(parts)


def _assign(module: Module, key: str, given: Any, array: Any) -> None:
    place, _, name = key.rpartition(".")
    owner = module.get_submodule(place)
    old = getattr(owner, name)
    value = given.detach() if isinstance(given, Tensor) else Tensor._wrap(array)
    setattr(owner, name, Parameter(value, old.requires_grad) if isinstance(old, Parameter) else value)
