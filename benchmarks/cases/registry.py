"""The table of cases and the two decorators that fill it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..libraries import COMPILED, DEFAULT, EAGER, MINIGRAD, Library

Step = Callable[[], Any]  # does the work once; what it returns (a loss, or None) must agree between libraries
Builder = Callable[[Library], Step]

GROUPS = {
    "training": "Training steps: forward, loss, backward, update, zero_grad",
    "overhead": "The cost of an op: forward and backward on 0-d tensors",
    "ops": "Ops on 1M float32 elements: forward and backward with a random upstream gradient",
}


@dataclass
class Case:
    """One row of the table."""

    name: str
    group: str
    title: str
    builders: dict[str, Builder] = field(default_factory=dict)

    def supports(self, library: str) -> bool:
        return library in self.builders


CASES: dict[str, Case] = {}


def case(group: str, title: str, name: str | None = None) -> Callable[[Builder], Builder]:
    """Register ``function(lib) -> step`` as a case of minigrad and PyTorch, named after the function."""

    def register(function: Builder) -> Builder:
        key = name or function.__name__
        CASES[key] = Case(key, group, title, dict.fromkeys((MINIGRAD, EAGER, COMPILED), function))
        return function

    return register


def also(library: str, name: str) -> Callable[[Builder], Builder]:
    """Register ``function(lib) -> step`` as another library's way to do the case ``name``."""
    if library in DEFAULT:
        raise ValueError(f"also: {library} takes part in every case already")

    def register(function: Builder) -> Builder:
        CASES[name].builders[library] = function
        return function

    return register
