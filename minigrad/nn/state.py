"""Saving and loading a module's state, with hooks.

A state dict is made by walking down the tree, each module adding its own parts (``_save_to_state_dict``), and is loaded
the same way (``_load_from_state_dict``). Both may be overridden, and hooks may change anything; so a load that fails is
undone as a whole (:class:`_Before`).

Source: PyTorch's ``torch.nn.Module``; names, signatures and the order of calls are the same.
"""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..autograd.handles import RemovableHandle
from ..devices import move
from ..tensor import Tensor
from .members import M, Members
from .parameter import Parameter, writable

_EXTRA = "_extra_state"
_ASSIGN = "assign_to_params_buffers"  # PyTorch's name for it in the metadata that a module is loaded with


class IncompatibleKeys(NamedTuple):
    """The names that are missing from a loaded state, and those that the module does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Stateful(Members[M]):
    """The part of :class:`Module` that saves and loads."""

    # Kept in state dicts, for a _load_from_state_dict that must know how old one is; raise it when the state changes.
    _version: int = 1
    _state_hooks: dict[str, OrderedDict[int, Callable[..., Any]]] | None = None

    # ------------------------------------------------------------------ saving

    def state_dict(
        self, destination: OrderedDict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Any]:
        """Dotted name → tensor for every parameter and persistent buffer, and extra state where a module has some.

        A module's own come before its children's. The tensors share memory with the module's and carry no
        gradient; ``keep_vars=True`` gives the parameters themselves. A parameter under two names stands under
        both. ``_metadata``, an attribute of the result, tells the version of each module.
        """
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()  # type: ignore[attr-defined]
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix.removesuffix(".")] = metadata
        for hook in self._hooks_of("save_pre"):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        children: Mapping[str, Any] = self._modules
        for name, child in children.items():
            child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._hooks_of("save_post"):
            replaced = hook(self, destination, prefix, metadata)
            destination = destination if replaced is None else replaced
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put what is this module's own, and not its children's, into ``destination``."""
        for name, tensor in self._own_state():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not Stateful.get_extra_state:
            destination[prefix + _EXTRA] = self.get_extra_state()

    def _own_state(self) -> Iterator[tuple[str, Tensor]]:
        yield from self._parameters.items()
        yield from ((name, buffer) for name, buffer in self._buffers.items() if self._persistent[name])

    def get_extra_state(self) -> Any:
        """The part of the state dict besides tensors; a subclass overrides this together with set_extra_state.

        ``save`` takes tensors, numbers, text, and containers of them.
        """
        raise RuntimeError(f"{type(self).__name__}: get_extra_state is not written")

    def set_extra_state(self, state: Any) -> None:
        """Load what :meth:`get_extra_state` returned."""
        raise RuntimeError(f"{type(self).__name__}: set_extra_state is not written")

    # ------------------------------------------------------------------ loading

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy the values of ``state_dict`` into the parameters and buffers of the same names.

        Args:
            state_dict: dotted name → tensor or array.
            strict: whether names missing from ``state_dict``, or unknown to the module, are an error.
            assign: replace the module's tensors by the given ones (with their dtype and device) instead of copying
                their values. Parameters that were one under several names stay one.

        Returns:
            ``(missing_keys, unexpected_keys)``, two lists.

        Raises:
            RuntimeError: names that do not match (if ``strict``) and shapes that do not, all listed at once.
                Nothing has been loaded then, nor after an error in a hook or a method of a subclass.
        """
        name = type(self).__name__
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"{name}.load_state_dict: expected a mapping of names to tensors, got {type(state_dict).__name__}"
            )
        metadata = getattr(state_dict, "_metadata", None) or {}
        state = OrderedDict(state_dict)  # hooks may change it
        state._metadata = metadata  # type: ignore[attr-defined]
        keys, errors = IncompatibleKeys([], []), list[str]()
        before = _Before(self)
        try:
            _load(self, state, "", metadata, assign, keys, errors)
            if strict:
                if keys.missing_keys:
                    errors.append(f"Missing key(s) in state_dict: {_quoted_keys(keys.missing_keys, (), before.shapes)}")
                if keys.unexpected_keys:
                    unknown = _quoted_keys(keys.unexpected_keys, keys.missing_keys, state)
                    errors.append(f"Unexpected key(s) in state_dict: {unknown}")
            if errors:
                raise RuntimeError(
                    f"Error(s) in loading state_dict for {name} (nothing was loaded):\n\t" + "\n\t".join(errors)
                )
            before.tie_again()
        except BaseException:
            before.put_back()
            raise
        return keys

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load what is this module's own; what does not fit goes into the three lists.

        Args:
            state_dict: what begins with ``prefix``; it may be changed.
            local_metadata: what the state says of this module: its ``"version"``, if that is known.
            strict: always True here; the answer to missing and unexpected names is the caller's.
        """
        arguments = (state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        for hook in self._hooks_of("load_pre"):
            hook(self, *arguments)
        own = dict(self._own_state())
        for name, tensor in own.items():
            key = prefix + name
            if key not in state_dict:
                if strict:
                    missing_keys.append(key)
                continue
            given = state_dict[key]
            array = _array_of(given)
            if array is None:
                error_msgs.append(f"{key} is a {type(given).__name__}; expected a tensor or an array")
                continue
            if array.shape == (1,) and tensor._array.shape == ():  # from before PyTorch had 0-d tensors
                array = array.reshape(())
            if array.shape != tensor._array.shape:
                error_msgs.append(
                    f"size mismatch for {key}: {array.shape} in the state, {tensor._array.shape} in the module"
                )
            elif local_metadata.get(_ASSIGN):
                setattr(self, name, _in_place_of(tensor, given, array))
            else:
                tensor._array[...] = move(array, tensor.device)
                tensor._bump()
        has_extra = type(self).set_extra_state is not Stateful.set_extra_state
        if has_extra and prefix + _EXTRA in state_dict:
            self.set_extra_state(state_dict[prefix + _EXTRA])
        elif has_extra and strict:
            missing_keys.append(prefix + _EXTRA)
        if strict:
            for key in state_dict:
                name, below, _ = key[len(prefix) :].partition(".")
                known = name in self._modules if below else name in own or (has_extra and name == _EXTRA)
                if key.startswith(prefix) and not known:
                    unexpected_keys.append(key)

    # ------------------------------------------------------------------ hooks

    def _hooks_of(self, kind: str) -> list[Callable[..., Any]]:
        return [] if self._state_hooks is None else list(self._state_hooks[kind].values())

    def _add_state_hook(self, kind: str, hook: Callable[..., Any]) -> RemovableHandle:
        if self._state_hooks is None:
            self._state_hooks = {k: OrderedDict() for k in ("save_pre", "save_post", "load_pre", "load_post")}
        table = self._state_hooks[kind]
        handle = RemovableHandle(table)
        table[handle.id] = hook
        return handle

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Run ``hook(module, prefix, keep_vars)`` before ``state_dict()`` reads the module."""
        return self._add_state_hook("save_pre", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Run ``hook(module, state_dict, prefix, local_metadata)`` after ``state_dict()``; it may change the dict."""

        def returning_nothing(*arguments: Any) -> None:
            if hook(*arguments) is not None:
                raise RuntimeError("register_state_dict_post_hook: the hook must change the dict, and return None")

        return self._add_state_hook("save_post", returning_nothing)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The same, and what ``hook`` returns, unless None, replaces the dict."""
        return self._add_state_hook("save_post", hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Run ``hook`` before the module loads, with the module and the arguments of ``_load_from_state_dict``.

        ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`` may
        change ``state_dict``, which is a copy: rename keys of an older version, for example.
        """
        return self._add_state_hook("load_pre", hook)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        """The same without the module as first argument, unless ``with_module``."""
        return self._add_state_hook("load_pre", hook if with_module else lambda module, *arguments: hook(*arguments))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Run ``hook(module, incompatible_keys)`` after the module and all below have loaded.

        It may change the two lists in place: names that it removes are not an error. It must return None.
        """
        return self._add_state_hook("load_post", hook)


def _load(
    module: Any,
    state: Any,
    prefix: str,
    metadata: Mapping[str, Any],
    assign: bool,
    keys: IncompatibleKeys,
    errors: list[str],
) -> None:
    """Load a module, then its children, each from what begins with its name."""
    own = dict(metadata.get(prefix.removesuffix("."), {}))
    if assign:
        own[_ASSIGN] = True
    module._load_from_state_dict(state, prefix, own, True, keys.missing_keys, keys.unexpected_keys, errors)
    for name, child in module._modules.items():
        below = f"{prefix}{name}."
        part = {key: value for key, value in state.items() if key.startswith(below)}
        _load(child, part, below, metadata, assign, keys, errors)
    for hook in module._hooks_of("load_post"):
        if hook(module, keys) is not None:
            raise RuntimeError("register_load_state_dict_post_hook: the hook must change the keys, and return None")


class _Kept(NamedTuple):
    """A tensor as it was before a load."""

    tensor: Tensor
    array: Any
    values: Any
    version: list[Any]


class _Before:
    """All tensors and extra state of a module before a load, and their owners and names."""

    def __init__(self, module: Members[Any]) -> None:
        self.modules = list(module.named_modules(remove_duplicate=False))
        self.owners = [
            (owner, name, tensor)
            for _, owner in self.modules
            for name, tensor in (*owner._parameters.items(), *owner._buffers.items())
        ]
        tensors = {id(t): t for *_, t in self.owners}
        self.tensors = [_Kept(t, t._array, t._array.copy(), list(t._version)) for t in tensors.values()]
        self.extra = [
            (owner, owner.get_extra_state())
            for owner in {id(m): m for _, m in self.modules}.values()
            if type(owner).get_extra_state is not Stateful.get_extra_state
            and type(owner).set_extra_state is not Stateful.set_extra_state
        ]

    @property
    def shapes(self) -> dict[str, Tensor]:
        return {
            f"{path}.{name}" if path else name: tensor
            for path, owner in self.modules
            for name, tensor in owner._own_state()
        }

    def tie_again(self) -> None:
        """Replace a tensor with several names under all of them, by the last replacement, if there is one."""
        replaced = {id(old): vars(m)[name] for m, name, old in self.owners if vars(m).get(name, old) is not old}
        for owner, name, old in self.owners:
            if id(old) in replaced:
                vars(owner)[name] = replaced[id(old)]

    def put_back(self) -> None:
        for owner, name, tensor in self.owners:
            vars(owner)[name] = tensor
        for tensor, array, values, version in self.tensors:
            tensor._array = array
            if getattr(array.flags, "writeable", True):
                array[...] = values
            tensor._version[:] = version
        for owner, extra in self.extra:
            owner.set_extra_state(extra)


def _in_place_of(tensor: Tensor, given: Any, array: Any) -> Tensor:
    """The given tensor as one of the kind that it replaces; a parameter replaces a parameter unchanged."""
    if not writable(array):  # it will be trained
        array = array.copy()
    if isinstance(tensor, Parameter) and isinstance(given, Parameter) and given._array is array:
        return given.requires_grad_(tensor.requires_grad)
    value = given.detach() if isinstance(given, Tensor) and given._array is array else Tensor._wrap(array)
    return Parameter(value, tensor.requires_grad) if isinstance(tensor, Parameter) else value


def _array_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value._array
    # Arrays of other libraries (NumPy, a CPU tensor of PyTorch) give their elements through __array__.
    return np.asarray(value) if hasattr(value, "__array__") else None


def _quoted_keys(keys: Iterable[str], candidates: Iterable[str], shapes: Mapping[str, Any]) -> str:
    """The keys in quotes; each with the candidate that it was probably meant to be, if one is near."""
    parts = []
    for key in keys:
        near = difflib.get_close_matches(key, list(candidates), n=1, cutoff=0.7)
        shape = getattr(shapes.get(key), "shape", None)
        size = "" if shape is None else f" {tuple(shape)}"
        parts.append(f'"{key}"{size}' + (f' (did you mean "{near[0]}"?)' if near else ""))
    return ", ".join(parts)
