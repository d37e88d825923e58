"""The libraries that can be measured, and what a case needs to know of each."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

MINIGRAD, EAGER, COMPILED = "minigrad", "torch", "torch.compile"
ALONE = "minigrad-1"  # minigrad with one thread, whatever the others have
TITLES = {
    MINIGRAD: "minigrad",
    ALONE: "minigrad, one thread",
    EAGER: "PyTorch eager",
    COMPILED: "PyTorch compiled",
    "jax": "JAX jit",
    "mygrad": "MyGrad",
}
DEFAULT = (MINIGRAD, EAGER, COMPILED)


def package(name: str) -> str:
    """The package to import for a library."""
    return {COMPILED: EAGER, ALONE: MINIGRAD}.get(name, name)


def installed(name: str) -> bool:
    """Whether the library can be found (nothing is imported)."""
    return importlib.util.find_spec(package(name)) is not None


@dataclass(frozen=True)
class Library:
    """One library on one device, in the process that measures it."""

    name: str
    device: str
    module: Any

    @property
    def nn(self) -> Any:
        return self.module.nn

    @property
    def F(self) -> Any:
        return self.module.nn.functional

    @property
    def optim(self) -> Any:
        return self.module.optim

    @property
    def version(self) -> str:
        return str(getattr(self.module, "__version__", "?"))

    def tensor(self, array: np.ndarray[Any, Any], requires_grad: bool = False) -> Any:
        """The array as a tensor of PyTorch or minigrad on the device."""
        return self.module.tensor(array, device=self.device, requires_grad=requires_grad)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``torch.compile(function)`` for PyTorch compiled, the function itself for every other library."""
        if self.name != COMPILED:
            return function
        compiled: Callable[..., Any] = self.module.compile(function)
        return compiled

    def synchronize(self) -> None:
        """Wait until a GPU has done all that it was given."""
        if self.device == "cuda":
            self.module.cuda.synchronize()


def load(name: str, device: str) -> Library:
    """Import a library. Raises ImportError if it is not installed, RuntimeError if it has no such device."""
    module = importlib.import_module(package(name))
    if name in (MINIGRAD, EAGER, COMPILED):
        if device == "cuda" and not module.cuda.is_available():
            raise RuntimeError(f"{TITLES[name]} cannot use a GPU here")
    elif device != "cpu":
        raise RuntimeError(f"{TITLES[name]} is measured on the CPU only")
    module.manual_seed(0) if hasattr(module, "manual_seed") else None
    return Library(name, device, module)
