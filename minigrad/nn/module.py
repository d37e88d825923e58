"""Module: the base class of every layer and every network.

The design in one paragraph. A module's parameters, buffers and sub-modules are its plain attributes. Nothing
is kept twice: ``self.weight`` is an ordinary attribute read, and ``parameters()``, ``state_dict()`` and the
rest find what there is by walking ``vars(self)`` in the order of first assignment. ``__setattr__`` only
catches mistakes. A call of a module that has no hooks is a call of its ``forward`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..autograd import no_grad
from ..dtypes import as_dtype, float16, float32, float64
from ..dtypes import dtype as Dtype
from ..tensor import Tensor
from .hooks import Hookable
from .parameter import Parameter, clear_gradient
from .representation import Printable
from .state import Stateful

M = TypeVar("M", bound="Module")


class Module(Hookable, Stateful["Module"], Printable["Module"]):
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

    def __init__(self) -> None:
        self.training = True
        self._persistent: dict[str, bool] = {}  # buffer name -> whether state_dict() holds it

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
        """A plain value must not silently replace a parameter, buffer or module."""
        attributes = vars(self)
        old, hint = attributes.get(name), ""
        if isinstance(old, Parameter):
            kind, expected = "parameter", "Parameter"
            hint = f"; wrap it, `nn.Parameter(value)`, or write into it under no_grad, `{name}.copy_(value)`"
        elif isinstance(old, Module):
            kind, expected = "child module", "Module"
        elif name in attributes.get("_persistent", ()) and not isinstance(value, Tensor):
            kind, expected = "buffer", "Tensor"
        else:
            return
        raise TypeError(
            f"{type(self).__name__}: cannot assign {type(value).__name__} as {kind} {name!r} ({expected} or None "
            f"expected){hint}"
        )

    def _check_new_name(self, kind: str, name: str) -> None:
        self._check_initialised(f"register {kind} {name!r}")
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: a {kind} name must be a string, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"{type(self).__name__}: a {kind} name must be non-empty and without '.', got {name!r}")
        if hasattr(self, name):
            raise KeyError(f"{type(self).__name__}: attribute {name!r} already exists")

    def _check_kind(self, kind: str, name: str, value: Any, expected: Any, hint: str = "") -> None:
        if value is not None and not isinstance(value, expected):
            raise TypeError(
                f"{type(self).__name__}: cannot register {type(value).__name__} as {kind} {name!r} "
                f"({expected.__name__} or None expected){hint}"
            )

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under ``name``. None is neither listed nor saved."""
        self._check_new_name("parameter", name)
        self._check_kind("parameter", name, param, Parameter, "; wrap it: `nn.Parameter(value)`")
        setattr(self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that moves with the module but is not trained, such as a running mean.

        ``persistent=False`` keeps it out of ``state_dict()``.
        """
        self._check_new_name("buffer", name)
        self._check_kind("buffer", name, tensor, Tensor)
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
        """Replace each parameter, gradient and buffer by ``convert(tensor)``.

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
