"""Containers: modules whose only content is other modules, or parameters, in order or by name.

Children are attributes like those of any module; a list names them ``"0"``, ``"1"``, …, and so do its
``state_dict`` keys.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar, overload

from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter
from ..representation import count
from .activation import ReLU, Sigmoid, Tanh
from .conv import Conv2d
from .linear import Linear
from .normalization import BatchNorm1d, BatchNorm2d

# Activations whose slope can be read off their output.
_FUSED: dict[type, str] = {ReLU: "relu", Sigmoid: "sigmoid", Tanh: "tanh"}
# Layers whose method ``with_activation`` includes one of them, and which ones.
_ALL, _RELU = frozenset(_FUSED.values()), frozenset({"relu"})
_LEADS: dict[type, frozenset[str]] = {Linear: _ALL, Conv2d: _ALL, BatchNorm1d: _RELU, BatchNorm2d: _RELU}

T = TypeVar("T")
S = TypeVar("S", bound="_NumberedItems[Any]")


class _NumberedItems(Module, Generic[T]):
    """What Sequential, ModuleList and ParameterList share: items numbered from "0", used like a list."""

    # A tuple of the items in order, rebuilt by _items() after a change: every forward pass iterates over it.
    _cached_items: tuple[T, ...] | None

    def __init__(self) -> None:
        super().__init__()
        self._cached_items = None

    def _accept(self, item: Any) -> T:
        """The item as it is to be stored, or an error that says what may be stored here."""
        raise NotImplementedError

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        vars(self)["_cached_items"] = None

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        vars(self)["_cached_items"] = None

    def _items(self) -> tuple[T, ...]:
        items = self._cached_items
        if items is None:
            items = tuple(self._named_items().values())
            vars(self)["_cached_items"] = items
        return items

    def _named_items(self) -> dict[str, T]:
        raise NotImplementedError

    def _position(self, index: int) -> int:
        size = len(self)
        if isinstance(index, bool) or not hasattr(index, "__index__"):
            raise TypeError(f"{type(self).__name__}: indices are integers or slices, got {type(index).__name__}")
        index = index.__index__()
        if not -size <= index < size:
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {size} items")
        return index % size

    def _rename(self, items: Iterable[T]) -> None:
        """Hold these items and no others, numbered anew."""
        items = list(items)
        for name in list(self._named_items()):
            delattr(self, name)
        for i, item in enumerate(items):
            setattr(self, str(i), item)

    @overload
    def __getitem__(self: S, index: slice) -> S: ...
    @overload
    def __getitem__(self, index: int) -> T: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._slice(index)
        return self._items()[self._position(index)]

    def _slice(self: S, index: slice) -> S:
        raise NotImplementedError

    def __setitem__(self, index: int, item: T) -> None:
        name = list(self._named_items())[self._position(index)]
        setattr(self, name, self._accept(item))

    def __delitem__(self, index: int | slice) -> None:
        kept = list(self._items())
        del kept[index if isinstance(index, slice) else self._position(index)]
        self._rename(kept)

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[T]:
        return iter(self._items())

    def __contains__(self, item: object) -> bool:
        return any(item is own for own in self._items())

    def append(self: S, item: Any) -> S:
        """Add an item at the end."""
        setattr(self, str(len(self)), self._accept(item))
        return self

    def extend(self: S, items: Iterable[Any]) -> S:
        """Add several items at the end."""
        if not isinstance(items, Iterable):
            raise TypeError(f"{type(self).__name__}.extend: expected an iterable, got {type(items).__name__}")
        for item in [self._accept(item) for item in items]:
            self.append(item)
        return self

    def insert(self: S, index: int, item: Any) -> S:
        """Put an item before position ``index``."""
        items = list(self._items())
        items.insert(index, self._accept(item))
        self._rename(items)
        return self

    def pop(self, index: int = -1) -> T:
        """Take an item out and return it."""
        item = self[index]
        del self[index]
        return item

    def __iadd__(self: S, items: Iterable[Any]) -> S:
        return self.extend(items)


class _NumberedModules(_NumberedItems[Module]):
    def _accept(self, item: Any) -> Module:
        if not isinstance(item, Module):
            hint = "; make an instance: write it with brackets" if isinstance(item, type) else ""
            raise TypeError(f"{type(self).__name__}: {_described(item)} is not a Module{hint}")
        return item

    def _named_items(self) -> dict[str, Module]:
        return dict(self._modules)


class Sequential(_NumberedModules):
    """y = fₙ(… f₂(f₁(x))): the modules one after another.

    ``Sequential(a, b, c)`` or, with names, ``Sequential(OrderedDict(first=a, second=b))``. Indexing gives a
    module, slicing a Sequential that shares the modules.
    """

    def __init__(self, *args: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, self._accept(module))
        else:
            for i, item in enumerate(args):
                setattr(self, str(i), self._accept(item))

    def _slice(self, index: slice) -> Sequential:
        return type(self)(dict(list(self._modules.items())[index]))

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise TypeError(f"Sequential: can only be added to a Sequential, got {type(other).__name__}")
        return Sequential(*self, *other)

    def forward(self, input: Any) -> Any:
        modules = self._cached_items or self._items()
        waiting: Any = None  # a layer whose activation may come next: the pair is one op (see ops/fused.py)
        for module in modules:
            if waiting is not None:
                name = _FUSED.get(type(module))
                fits = name is not None and name in _LEADS[type(waiting)] and "forward" not in vars(module)
                if fits and module._hooks is None and not getattr(module, "inplace", False):
                    input = waiting.with_activation(input, name)
                    waiting = None
                    continue
                input = waiting.forward(input)
                waiting = None
            if type(module) in _LEADS and module._hooks is None and "forward" not in vars(module):
                waiting = module
            else:
                input = module(input)
        return input if waiting is None else waiting.forward(input)


class ModuleList(_NumberedModules):
    """A list of modules, without a ``forward``. In a plain list, ``parameters()`` would not find them."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def _slice(self, index: slice) -> ModuleList:
        return type(self)(self._items()[index])

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("ModuleList: it only holds modules; call them one by one, or use Sequential")

    def __repr__(self) -> str:
        """Neighbours that print alike share a line: ``(0-11): 12 x Block(…)``."""
        if not len(self):
            return "ModuleList()"
        lines = []
        start = 0
        for text, group in itertools.groupby(map(repr, self)):
            times = len(list(group))
            where = f"({start}): " if times == 1 else f"({start}-{start + times - 1}): {times} x "
            lines.append(where + text.replace("\n", "\n  "))
            start += times
        return "\n  ".join([f"{self._get_name()}({count(self)}", *lines]) + "\n)"


class _NamedItems(Module, Generic[T]):
    """What ModuleDict and ParameterDict share: items by name, in order of insertion, used like a dict."""

    def _accept(self, name: str, item: Any) -> T:
        raise NotImplementedError

    def _named_items(self) -> Mapping[str, T]:
        raise NotImplementedError

    def __getitem__(self, name: str) -> T:
        items = self._named_items()
        if name not in items:
            raise KeyError(f"{type(self).__name__}: no item {name!r}; it has {', '.join(items) or 'none'}")
        return items[name]

    def __setitem__(self, name: str, item: T) -> None:
        accepted = self._accept(name, item)
        if name not in self._named_items():
            self._check_new_name("key", name)
        setattr(self, name, accepted)

    def __delitem__(self, name: str) -> None:
        self[name]  # the error that lists the names there are
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._named_items())

    def __iter__(self) -> Iterator[str]:
        return iter(self._named_items())

    def __contains__(self, name: object) -> bool:
        return name in self._named_items()

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._named_items().keys()

    def values(self) -> Iterable[T]:
        """The items."""
        return self._named_items().values()

    def items(self) -> Iterable[tuple[str, T]]:
        """``(name, item)`` pairs."""
        return self._named_items().items()

    def clear(self) -> None:
        """Take all items out."""
        for name in list(self):
            del self[name]

    def pop(self, name: str) -> T:
        """Take an item out and return it."""
        item = self[name]
        del self[name]
        return item

    def update(self, items: Mapping[str, T] | Iterable[tuple[str, T]]) -> None:
        """Add or replace items, from a mapping or from ``(name, item)`` pairs."""
        for name, item in items.items() if isinstance(items, (Mapping, _NamedItems)) else items:
            self[name] = item


class ModuleDict(_NamedItems[Module]):
    """A dict of modules, without a ``forward``. Names that Module itself uses (``"type"``) are refused."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def _accept(self, name: str, item: Any) -> Module:
        if not isinstance(item, Module):
            raise TypeError(f"ModuleDict: {_described(item)} under {name!r} is not a Module")
        return item

    def _named_items(self) -> Mapping[str, Module]:
        return self._modules


class ParameterList(_NumberedItems[Parameter]):
    """A list of parameters; Tensors put into it become parameters."""

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        if values is not None:
            self.extend(values)

    def _accept(self, item: Any) -> Parameter:
        return _as_parameter("ParameterList", item)

    def _slice(self, index: slice) -> ParameterList:
        return type(self)(self._items()[index])

    def _named_items(self) -> dict[str, Parameter]:
        return dict(self._parameters)

    def extra_repr(self) -> str:
        return _parameter_lines(self._named_items())


class ParameterDict(_NamedItems[Parameter]):
    """A dict of parameters by name; Tensors put into it become parameters."""

    def __init__(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | None = None) -> None:
        super().__init__()
        if parameters is not None:
            self.update(parameters)  # type: ignore[arg-type]

    def _accept(self, name: str, item: Any) -> Parameter:
        return _as_parameter("ParameterDict", item)

    def _named_items(self) -> Mapping[str, Parameter]:
        return self._parameters

    def extra_repr(self) -> str:
        return _parameter_lines(self._named_items())


def _as_parameter(container: str, item: Any) -> Parameter:
    if not isinstance(item, Tensor):
        raise TypeError(f"{container}: {_described(item)} is neither a Parameter nor a Tensor")
    return item if isinstance(item, Parameter) else Parameter(item)


def _parameter_lines(parameters: Mapping[str, Parameter]) -> str:
    return "\n".join(
        f"({name}): Parameter containing: [{p.dtype} of size {'x'.join(map(str, p.shape))}]"
        for name, p in parameters.items()
    )


def _described(item: Any) -> str:
    return f"the class {item.__name__}" if isinstance(item, type) else f"a {type(item).__name__}"
