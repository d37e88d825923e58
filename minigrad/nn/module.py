"""Module: the base class of every layer and every network.

The design in one paragraph. A module's parameters, buffers and sub-modules are its plain attributes. Nothing
is kept twice: ``self.weight`` is an ordinary attribute read, and ``parameters()``, ``state_dict()`` and the
rest find what there is by walking ``vars(self)`` in the order of first assignment. ``__setattr__`` only
catches mistakes. A call of a module that has no hooks is a call of its ``forward`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from ..autograd import no_grad
from ..dtypes import as_dtype, float16, float32, float64
from ..dtypes import dtype as Dtype
from ..tensor import Tensor
from .hooks import Hookable, call_with_hooks
from .parameter import Parameter, clear_gradient
from .representation import represent
from .state import Stateful

M = TypeVar("M", bound="Module")


class Module(Hookable, Stateful):
    """A part of a network: it holds parameters, buffers and other modules, and has a ``forward``.

    A network is a subclass with two methods::

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.hidden = nn.Linear(784, 128)
                self.output = nn.Linear(128, 10)

            def forward(self, x):                     # x: (N, 784)
                return self.output(F.relu(self.hidden(x)))   # (N, 10)

    Called as ``Net()(x)``. ``training`` tells layers such as dropout which way to behave; ``train()`` and
    ``eval()`` set it for the module and all below it. Source: PyTorch's ``torch.nn.Module``.
    """

    training: bool

    def __init__(self) -> None:
        self.training = True
        self._persistent: dict[str, bool] = {}  # buffer name -> whether state_dict() holds it

    # ------------------------------------------------------------------ the call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return call_with_hooks(self, self._hooks, args, kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__}: forward is missing; write `def forward(self, x): ...`")

    # ------------------------------------------------------------------ assigning attributes

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Parameter, Module)):
            self._check_initialised(f"assign {type(value).__name__} {name!r}")
            self._persistent.pop(name, None)
        elif value is not None:
            self._check_replacement(name, value)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        vars(self).get("_persistent", {}).pop(name, None)

    def _check_initialised(self, what: str) -> None:
        if "_persistent" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__}: cannot {what} before Module.__init__ has run; make "
                f"`super().__init__()` the first line of {type(self).__name__}.__init__"
            )

    def _check_replacement(self, name: str, value: Any) -> None:
        """A plain value must not silently take the place of something that is trained or saved."""
        attributes = vars(self)
        old = attributes.get(name)
        given = type(value).__name__
        if isinstance(old, Parameter):
            raise TypeError(
                f"{type(self).__name__}: cannot assign {given} as parameter {name!r} (Parameter or None "
                "expected); wrap it, `nn.Parameter(value)`, or write into it under no_grad, "
                f"`{name}.copy_(value)`"
            )
        if isinstance(old, Module):
            raise TypeError(
                f"{type(self).__name__}: cannot assign {given} as child module {name!r} (Module or None expected)"
            )
        if name in attributes.get("_persistent", ()) and not isinstance(value, Tensor):
            raise TypeError(
                f"{type(self).__name__}: cannot assign {given} as buffer {name!r} (Tensor or None expected)"
            )

    def _check_new_name(self, kind: str, name: str) -> None:
        self._check_initialised(f"register {kind} {name!r}")
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: a {kind} name must be a string, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"{type(self).__name__}: a {kind} name must be non-empty and without '.', got {name!r}")
        if hasattr(self, name):
            raise KeyError(f"{type(self).__name__}: attribute {name!r} already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under ``name``. None marks a place that stays empty: not listed, not saved."""
        self._check_new_name("parameter", name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"{type(self).__name__}: cannot register {type(param).__name__} as parameter {name!r} "
                "(Parameter or None expected); wrap it: `nn.Parameter(value)`"
            )
        setattr(self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that moves with the module but is not trained, such as a running mean.

        ``persistent=False`` keeps it out of ``state_dict()``.
        """
        self._check_new_name("buffer", name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"{type(self).__name__}: cannot register {type(tensor).__name__} as buffer {name!r} "
                "(Tensor or None expected)"
            )
        self._persistent[name] = bool(persistent)
        setattr(self, name, tensor)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a sub-module under ``name``; the way to names that are not identifiers, such as ``"0"``."""
        self._check_new_name("module", name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(
                f"{type(self).__name__}: {type(module).__name__} is not a Module subclass (child {name!r})"
                + ("; pass an instance, not the class" if isinstance(module, type) else "")
            )
        setattr(self, name, module)

    register_module = add_module

    # ------------------------------------------------------------------ finding things

    @property
    def _parameters(self) -> Mapping[str, Parameter]:
        """The module's own parameters by name, without those of sub-modules. Read-only: assign attributes."""
        return MappingProxyType({name: v for name, v in vars(self).items() if isinstance(v, Parameter)})

    @property
    def _buffers(self) -> Mapping[str, Tensor]:
        own = vars(self)
        return MappingProxyType({name: own[name] for name in self._persistent if own.get(name) is not None})

    @property
    def _modules(self) -> Mapping[str, Module]:
        return MappingProxyType({name: v for name, v in vars(self).items() if isinstance(v, Module)})

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """``(dotted name, module)`` for this module (named ``""``) and all below, depth first, each once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            yield from child.named_modules(memo, _join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """``(name, module)`` for the modules directly below, each once."""
        seen: set[Module] = set()
        for name, child in self._modules.items():
            if child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules directly below, each once."""
        for _, child in self.named_children():
            yield child

    def _named_tensors(
        self, table: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for place, module in modules:
            for name, tensor in getattr(module, table).items():
                if remove_duplicate:
                    if id(tensor) in seen:
                        continue
                    seen.add(id(tensor))
                yield _join(place, name), tensor

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

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted name such as ``"encoder.0.attention"``; ``""`` is the module itself."""
        found: Module = self
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
        place, _, name = target.rpartition(".")
        tensors = getattr(self.get_submodule(place), table)
        if name not in tensors:
            raise AttributeError(
                f"get_{kind}({target!r}): {place or type(self).__name__} has no {kind} {name!r}; "
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

    # ------------------------------------------------------------------ changing all at once

    def train(self: M, mode: bool = True) -> M:
        """Set ``training`` here and in all modules below. Returns the module."""
        if not isinstance(mode, bool):
            raise ValueError(f"{type(self).__name__}.train: mode must be True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """``train(False)``: dropout passes everything on, batch norm uses its running statistics."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Set ``requires_grad`` of every parameter; ``requires_grad_(False)`` freezes the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of every parameter, or with ``set_to_none=False`` fill them with zeros."""
        for parameter in self.parameters():
            clear_gradient(parameter, set_to_none)

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Call ``fn(module)`` on every module below and then on this one; for initialisation, mostly."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def _apply(self: M, convert: Callable[[Tensor], Tensor]) -> M:
        """Put ``convert(tensor)`` in the place of each parameter, gradient and buffer.

        Parameters stay the same objects, so that an optimizer that holds them goes on working.
        """
        with no_grad():
            for module in self.modules():
                for parameter in module._parameters.values():
                    _replace_data(parameter, convert(parameter.detach()))
                    if parameter.grad is not None:
                        parameter.grad = convert(parameter.grad)
                for name, buffer in module._buffers.items():
                    setattr(module, name, convert(buffer))
        return self

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Move to a device, a floating dtype, or both, and return the module itself.

        ``to("cuda")``, ``to(minigrad.float64)``, ``to(device, dtype)`` or ``to(other_tensor)``. Integer
        buffers change their device only.
        """
        device, dtype = _parse_to(type(self).__name__, args, kwargs)

        def convert(tensor: Tensor) -> Tensor:
            if dtype is not None and tensor.dtype.is_floating_point:
                tensor = tensor.to(dtype)
            return tensor if device is None else tensor.to(device)

        return self._apply(convert)

    def cpu(self: M) -> M:
        """Move to main memory."""
        return self.to("cpu")

    def cuda(self: M, device: int | str | None = None) -> M:
        """Move to a GPU: the current one, or the one given by number or name."""
        return self.to("cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device)

    def type(self: M, dst_type: Any) -> M:
        """Change every parameter and buffer to ``dst_type``, integer buffers included."""
        return self._apply(lambda tensor: tensor.to(as_dtype(dst_type)))

    def float(self: M) -> M:
        """Change floating parameters and buffers to float32."""
        return self.to(float32)

    def double(self: M) -> M:
        """Change floating parameters and buffers to float64."""
        return self.to(float64)

    def half(self: M) -> M:
        """Change floating parameters and buffers to float16."""
        return self.to(float16)

    # ------------------------------------------------------------------ showing

    def extra_repr(self) -> str:
        """What stands between the brackets in ``repr``: a layer's settings."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return represent(self)

    def __dir__(self) -> list[str]:
        return sorted(name for name in super().__dir__() if not name[0].isdigit())


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _replace_data(parameter: Parameter, converted: Tensor) -> None:
    if converted._array is not parameter._array:
        parameter._array = converted._array
        parameter._bump()


def _parse_to(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Dtype | None]:
    """The device and dtype meant by the arguments of ``Module.to``."""
    unknown = set(kwargs) - {"device", "dtype", "tensor", "non_blocking", "memory_format"}
    if unknown:
        raise TypeError(f"{name}.to: unknown argument {', '.join(sorted(unknown))}")
    if kwargs.get("memory_format") is not None:
        raise NotImplementedError(f"{name}.to: memory_format is not in minigrad, whose images are always NCHW")
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    for argument in (*args, kwargs.get("tensor")):
        if isinstance(argument, Tensor):
            device, dtype = argument.device, argument.dtype
        elif isinstance(argument, Dtype):
            dtype = argument
        elif argument is not None and not isinstance(argument, bool):  # a bool here is non_blocking
            device = argument
    dtype = None if dtype is None else as_dtype(dtype)
    if dtype is not None and not dtype.is_floating_point:
        raise TypeError(f"{name}.to: a module takes floating dtypes only, got {dtype}")
    return device, dtype
