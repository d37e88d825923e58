"""What a module holds: its parameters, buffers and sub-modules, found among its attributes.

The base of :class:`minigrad.nn.Module`, so that what saves, prints and examines modules needs no more than this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from ..tensor import Tensor
from .parameter import Parameter

M = TypeVar("M", bound="Members[Any]")  # a module: Module itself, which is defined on top of this


class Members(Generic[M]):
    """The part of Module that finds what it holds, by walking ``vars(self)`` in the order of first assignment."""

    training: bool
    _persistent: dict[str, bool]  # buffer name -> whether state_dict() holds it

    @property
    def _parameters(self) -> Mapping[str, Parameter]:
        """The module's own parameters by name, without those of sub-modules. Read-only: assign attributes."""
        return MappingProxyType({name: v for name, v in vars(self).items() if isinstance(v, Parameter)})

    @property
    def _buffers(self) -> Mapping[str, Tensor]:
        own = vars(self)
        return MappingProxyType({name: own[name] for name in self._persistent if own.get(name) is not None})

    @property
    def _modules(self) -> Mapping[str, M]:
        found: dict[str, Any] = {name: v for name, v in vars(self).items() if isinstance(v, Members)}
        return MappingProxyType(found)

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, M]]:
        """``(dotted name, module)`` for this module (named ``""``) and all below, depth first, each once."""
        module: Any = self
        memo = set() if memo is None else memo
        if module in memo:
            return
        if remove_duplicate:
            memo.add(module)
        yield prefix, module
        for name, child in self._modules.items():
            yield from child.named_modules(memo, _join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[M]:
        """This module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, M]]:
        """``(name, module)`` for the modules directly below, each once."""
        seen: set[M] = set()
        for name, child in self._modules.items():
            if child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[M]:
        """The modules directly below, each once."""
        for _, child in self.named_children():
            yield child

    def _named_tensors(
        self, table: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in getattr(module, table).items():
                if remove_duplicate:
                    if id(tensor) in seen:
                        continue
                    seen.add(id(tensor))
                yield _join(path, name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """``(dotted name, parameter)``; one that two modules share is listed once, under its first name."""
        return self._named_tensors("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module and all below it, each once: what an optimizer takes."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """``(dotted name, buffer)``, each once."""
        return self._named_tensors("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers of this module and all below it, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> M:
        """The module at a dotted name such as ``"encoder.0.attention"``; ``""`` is the module itself."""
        found: Any = self
        for step, name in enumerate(target.split(".") if target else ()):
            children = found._modules
            if name not in children:
                parent = ".".join(target.split(".")[:step]) or type(self).__name__
                raise AttributeError(
                    f"get_submodule({target!r}): {parent} has no module {name!r}; "
                    f"it has {', '.join(children) or 'none'}"
                )
            found = children[name]
        return found

    def _get_tensor(self, kind: str, table: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        tensors = getattr(self.get_submodule(path), table)
        if name not in tensors:
            raise AttributeError(
                f"get_{kind}({target!r}): {path or type(self).__name__} has no {kind} {name!r}; "
                f"it has {', '.join(tensors) or 'none'}"
            )
        return tensors[name]

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted name such as ``"encoder.0.weight"``."""
        found: Parameter = self._get_tensor("parameter", "_parameters", target)
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted name such as ``"norm.running_mean"``."""
        found: Tensor = self._get_tensor("buffer", "_buffers", target)
        return found


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
