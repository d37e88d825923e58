"""The import lines of a PyTorch program, rewritten in memory; the program and its own modules, run with them.

Nothing takes the name ``torch`` in ``sys.modules``: the program says ``import torch``, what runs says
``import minigrad as torch``. A real PyTorch in the same process stays what it is.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import decode_source
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

LIBRARIES = ("torch", "torchvision")


def library_of(module: str | None) -> str | None:
    """``torch`` or ``torchvision`` for a dotted name that begins with it, else None."""
    first = (module or "").partition(".")[0]
    return first if first in LIBRARIES else None


def ported(source: str) -> str:
    """A program's text with ``torch`` and ``torchvision`` replaced by minigrad in its import statements.

    Only the first name of what is imported changes, wherever the statement stands, so every line keeps its number:

    - ``import torch.nn as nn`` becomes ``import minigrad.nn as nn``,
    - ``from torchvision import transforms`` becomes ``from minigrad import transforms``,
    - ``import torch`` becomes ``import minigrad as torch``,
    - ``import torch.utils.data``, which makes the name ``torch``, becomes
      ``import minigrad as torch, minigrad.utils.data``.

    Raises SyntaxError where the text is not Python.
    """
    data = source.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    edits = []  # (offset, the name there, what takes its place)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if library := library_of(alias.name):
                    new = "minigrad" if alias.asname else f"minigrad as {library}"
                    if "." in alias.name and not alias.asname:
                        new += ", minigrad"
                    edits.append((starts[alias.lineno - 1] + alias.col_offset, library, new))
        elif isinstance(node, ast.ImportFrom) and not node.level and (library := library_of(node.module)):
            begin = starts[node.lineno - 1] + node.col_offset
            between = re.match(rb"from[\s\\]+", data[begin:])
            assert between is not None  # the statement was parsed
            edits.append((begin + between.end(), library, "minigrad"))
    for offset, old, new in sorted(edits, reverse=True):
        data = data[:offset] + new.encode() + data[offset + len(old) :]
    return data.decode()


def read(path: Path) -> str:
    """A Python file's text, decoded as Python would."""
    return decode_source(path.read_bytes())


def files_of(script: Path) -> list[Path]:
    """The program's file and those of the modules beside it that it imports, directly or through one another.

    A module whose import only shows when the program runs (``importlib.import_module``) is not found.
    """
    files = [script]
    for file in files:  # grows as it is walked
        for node in ast.walk(ast.parse(read(file), str(file))):
            if isinstance(node, ast.Import):
                names, folder = [alias.name for alias in node.names], script.parent
            elif isinstance(node, ast.ImportFrom):
                names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
                folder = [script.parent, *file.parents][node.level]
            else:
                continue
            for name in names:
                files += [path for path in _along(folder, name) if path not in files]
    return files


def _along(folder: Path, name: str) -> Iterator[Path]:
    """The files that the import of a dotted name runs, looked for from a folder."""
    for part in name.split("."):
        folder = folder / part
        for path in (folder / "__init__.py", folder.with_suffix(".py")):
            if path.is_file():
                yield path


class _Loader(SourceFileLoader):
    """Compiles the rewritten text. Cached bytecode is neither read nor written: it belongs to the text as it is."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return compile(ported(decode_source(self.get_data(path))), path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds the modules that lie beside the program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def owns(self, file: str | None) -> bool:
        return file is not None and Path(file).is_relative_to(self.folder)

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname.partition(".")[0] == "minigrad":
            return None
        spec: ModuleSpec | None = PathFinder.find_spec(fullname, [str(self.folder)] if path is None else path)
        if spec is None or not isinstance(spec.loader, SourceFileLoader) or not self.owns(spec.origin):
            return None
        spec.loader = _Loader(fullname, str(spec.origin))
        return spec

    def of_program(self) -> dict[str, ModuleType]:
        """The modules loaded so far that lie beside the program."""
        return {
            name: module
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] not in ("minigrad", "__main__") and self.owns(getattr(module, "__file__", None))
        }

    def in_the_way(self) -> dict[str, ModuleType]:
        """Those, and modules from elsewhere with the name of one beside the program, which it would get instead."""
        beside = {path.stem for path in self.folder.glob("*.py")} | {
            path.parent.name for path in self.folder.glob("*/*.py")
        }
        beside -= {"minigrad", "__main__"} | sys.stdlib_module_names
        others = {name: module for name, module in list(sys.modules.items()) if name.partition(".")[0] in beside}
        return {**self.of_program(), **others}


@contextlib.contextmanager
def _surroundings(module: ModuleType, folder: Path, argv: list[str]) -> Iterator[None]:
    """``sys`` as the program expects it: its folder first on the path, its arguments, its own modules rewritten."""
    finder, replaced = _Finder(folder), sys.modules.get(module.__name__)
    before, argv_before = finder.in_the_way(), sys.argv
    for name in before:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    sys.path.insert(0, str(folder))
    sys.argv, sys.modules[module.__name__] = argv, module
    try:
        yield
    finally:
        sys.argv = argv_before
        with contextlib.suppress(ValueError):  # the program may have taken it away itself
            sys.path.remove(str(folder))
        sys.meta_path.remove(finder)
        for name in [*finder.of_program(), module.__name__]:
            sys.modules.pop(name, None)
        sys.modules.update(before)
        if replaced is not None:
            sys.modules[module.__name__] = replaced


def run(script: str | Path, args: Sequence[str] = (), run_name: str = "__main__") -> dict[str, Any]:
    """Run a PyTorch program on minigrad and return the names it defined.

    The program and the modules in its folder are read from their files and rewritten in memory (:func:`ported`); no
    file changes. Afterwards ``sys`` is as it was before, and those modules are forgotten.

    Args:
        script: the program's file.
        args: its command line, ``sys.argv[1:]``.
        run_name: its ``__name__``; with another name than ``"__main__"`` it is only defined, as by an import.
    Raises FileNotFoundError, IsADirectoryError, SyntaxError, and whatever the program raises.
    """
    path = Path(script).resolve()
    code = compile(ported(read(path)), str(path), "exec", dont_inherit=True)
    module = ModuleType(run_name)
    module.__file__ = str(path)
    with _surroundings(module, path.parent, [str(script), *args]):
        exec(code, module.__dict__)
    return module.__dict__
