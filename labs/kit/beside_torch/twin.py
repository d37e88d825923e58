"""One source, two networks: what labs/labN/network.py describes, made in minigrad or in PyTorch.

Those files use of minigrad only what PyTorch has under the same name. So nobody writes their twins a second time, where
they could drift apart: a twin is the same file with the word `minigrad` read as `torch`. `torch_lab4.network` is
`lab4.network` read so. minigrad itself is not imported here: the process in which PyTorch trains has no use for it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARIES = {"minigrad": "minigrad", "torch": "PyTorch"}  # a module, and what people call it
LABS = Path(__file__).parents[2]
PREFIX = "torch_"
OF_A_LAB = re.compile(r"lab\d+\.")


class Recipe:
    """How to make something in either library: a name, and arguments that JSON can carry to another process.

        Recipe("lab7.network.BlockNet", block=Recipe("lab7.network.WideBlock"), outputs=4)
        Recipe("optim.Adam", lr=1e-3)
        Recipe("nn.CrossEntropyLoss")

    Args:
        name: of a class or function in a lab's package, such as `lab4.network.LeNet5`, or else of the library.
        arguments: numbers, text, None, lists and dicts of them; recipes, at any depth, are followed first.
    """

    def __init__(self, name: str, /, **arguments: Any) -> None:
        self.name = name
        self.arguments = arguments

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.arguments.items())})"

    def make(self, library: ModuleType, *first: Any) -> Any:
        """Call it as it is in that library: `first`, such as an optimizer's parameters, comes before the arguments."""
        if OF_A_LAB.match(self.name):
            where, _, what = self.name.rpartition(".")
            function = getattr(
                importlib.import_module(where if library.__name__ == "minigrad" else PREFIX + where), what
            )
        else:
            function = attrgetter(self.name)(library)
        return function(*first, **{key: _made(value, library) for key, value in self.arguments.items()})

    def to_json(self) -> dict[str, Any]:
        """As plain values; `from_json` reads them."""
        return {"recipe": self.name, "arguments": {key: _plain(value) for key, value in self.arguments.items()}}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Recipe:
        return cls(plain["recipe"], **{key: _read(value) for key, value in plain["arguments"].items()})


def _made(value: Any, library: ModuleType) -> Any:
    if isinstance(value, (list, tuple)):
        return [_made(item, library) for item in value]
    return value.make(library) if isinstance(value, Recipe) else value


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.to_json() if isinstance(value, Recipe) else value


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in value]
    return Recipe.from_json(value) if isinstance(value, dict) and "recipe" in value else value


class _TwinLoader(importlib.abc.ExecutionLoader):
    """Loads a file of networks with every `minigrad` in it read as `torch`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_source(self, fullname: str) -> str:
        return re.sub(r"\bminigrad\b", "torch", self.path.read_text(encoding="utf-8"))

    def is_package(self, fullname: str) -> bool:
        return self.path.name == "__init__.py"


class _TwinFinder(importlib.abc.MetaPathFinder):
    """Finds `torch_lab4` and what is in it, where `lab4` is; so for every lab."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(PREFIX) or not OF_A_LAB.match(f"{fullname.removeprefix(PREFIX)}."):
            return None
        place = LABS.joinpath(*fullname.removeprefix(PREFIX).split("."))
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.exists():
                return importlib.util.spec_from_loader(fullname, _TwinLoader(file))
        return None


sys.meta_path.insert(0, _TwinFinder())  # before the one that would find the files as they are
