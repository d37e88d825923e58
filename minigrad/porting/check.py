"""Which names of torch and torchvision a program uses that minigrad has not, found without running it.

What is looked at: imports, and chains of attributes that begin with an imported name (``torch.nn.init.zeros_``,
``F.relu``). What a tensor or a layer is asked for (``x.foo()``) shows only when the program runs.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minigrad

from .rewrite import files_of, library_of, read

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Missing:
    """A name that minigrad has not: where it stands, the name as the program means it, and what is spelled like it."""

    file: Path
    line: int
    name: str
    nearest: tuple[str, ...]

    def __str__(self) -> str:
        hint = f" (nearest: {', '.join(self.nearest)})" if self.nearest else ""
        return f"{self.file}:{self.line}: {self.name}{hint}"


def missing(script: str | Path) -> list[Missing]:
    """The names that minigrad has not, in the program and the modules beside it that it imports, by file and line.

    Raises OSError where the program cannot be read, SyntaxError where it is not Python.
    """
    found = []
    for file in files_of(Path(script)):
        for line, name in sorted(set(names_used(read(file)))):
            lacking = _lacking(name)
            if lacking is not None:
                found.append(Missing(file, line, *lacking))
    return found


def names_used(source: str) -> list[tuple[int, str]]:
    """(line, dotted name) of what a program takes from torch and torchvision, under their own names: ``torch.nn.ReLU``
    where it says ``nn.ReLU``."""
    tree = ast.parse(source)
    return list(_walk(tree, [_bindings(tree)]))


def _lacking(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The shortest beginning of a dotted name that leads nowhere in minigrad, with names spelled like its end."""
    library, *parts = name.split(".")
    place: Any = minigrad
    for depth, part in enumerate(parts):
        if not (inspect.ismodule(place) or inspect.isclass(place)):
            return None  # an attribute of a value
        there = _member(place, part)
        if there is None:
            names = {*dir(place), *getattr(place, "__all__", ())}
            near = difflib.get_close_matches(part, [n for n in names if not n.startswith("_")], n=3, cutoff=0.65)
            prefix = ".".join([library, *parts[:depth]])
            return f"{prefix}.{part}", tuple(f"{prefix}.{n}" for n in near)
        place = there[0]
    return None


def _member(place: Any, name: str) -> tuple[Any] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old names, which the program itself will be told of
        try:
            return (getattr(place, name),)
        except AttributeError:
            pass
        if inspect.ismodule(place):
            try:
                return (importlib.import_module(f"{place.__name__}.{name}"),)
            except ImportError:
                pass
    return None


# ------------------------------------------------------------------------------------------- which names mean which


def _walk(node: ast.AST, scopes: list[dict[str, str | None]]) -> Iterator[tuple[int, str]]:
    """What the parts of a node use. ``scopes`` are the names bound around it, from the module inwards."""
    if isinstance(node, ast.Import):
        yield from ((node.lineno, alias.name) for alias in node.names if library_of(alias.name))
    elif isinstance(node, ast.ImportFrom):
        if not node.level and library_of(node.module):
            for alias in node.names:
                yield node.lineno, f"{node.module}" if alias.name == "*" else f"{node.module}.{alias.name}"
    elif isinstance(node, ast.Attribute) and (name := _dotted(node, scopes)):
        yield node.lineno, name
    else:
        if isinstance(node, _SCOPES):
            scopes = [*scopes, _bindings(node)]
        for child in ast.iter_child_nodes(node):
            yield from _walk(child, scopes)


def _dotted(node: ast.Attribute, scopes: list[dict[str, str | None]]) -> str | None:
    """The name under torch or torchvision that a chain of attributes stands for, or None if it stands for another."""
    # What is assigned to need not be there before.
    parts = [node.attr] if isinstance(node.ctx, ast.Load) else []
    value = node.value
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    if not isinstance(value, ast.Name):
        return None
    meant = next((scope[value.id] for scope in reversed(scopes) if value.id in scope), None)
    return meant and ".".join([meant, *reversed(parts)])


def _bindings(scope: ast.AST) -> dict[str, str | None]:
    """The names that a module or function binds: to what of torch or torchvision, or None where to anything else."""
    bound: dict[str, str | None] = {}

    def bind(name: str, meaning: str | None) -> None:
        bound[name] = meaning if bound.get(name, meaning) == meaning else None

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                library = library_of(alias.name)
                bind(
                    alias.asname or alias.name.partition(".")[0], library and (alias.name if alias.asname else library)
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                known = not node.level and library_of(node.module)
                bind(alias.asname or alias.name, f"{node.module}.{alias.name}" if known else None)
        elif isinstance(node, ast.arg):
            bind(node.arg, None)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bind(node.id, None)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bind(node.name, None)
            return
        elif isinstance(node, _SCOPES):
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    for child in ast.iter_child_nodes(scope):
        visit(child)
    return bound
