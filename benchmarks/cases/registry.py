"""The table of cases and the two decorators that fill it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..libraries import COMPILED, DEFAULT, EAGER, MINIGRAD

Step = Callable[[], Any]  # does the work once; what it returns (a loss, or None) must agree between libraries
Builder = Callable[..., Step]  # called with a Library

GROUPS = {
    "training": "Training steps: forward, loss, backward, update, zero_grad",
    "programs": "Programs beside the labs: a training step",
    "batches": "Labs 5 to 7: a training step of each network at the labs' batch of 1024, Adam",
    "loops": "An epoch of a lab's loop: DataLoader over a TensorDataset, and a training step for each batch",
    "overhead": "The cost of an op: forward and backward on 0-d tensors",
    "ops": "Ops on 1M float32 elements: forward and backward with a random upstream gradient",
    "layers": "Layers on 1M float32 elements (64, 16, 32, 32): forward and backward",
    "conv": "One pass of a 2-D convolution, alone: batch × channels × pixels → channels, kernel",
}
SUMMED = ("conv",)  # groups whose rows are parts of one whole, so that their sum says more than their mean
BESIDE = ("batches", "conv")  # groups too long for the README: in docs/benchmarks.md only


@dataclass
class Case:
    """One row of the table."""

    name: str
    group: str
    title: str
    builders: dict[str, Builder] = field(default_factory=dict)
    # Whether the loss depends on random numbers of the library's own. Its builder then takes ``drop``, the share of
    # numbers left out by dropout, or ``shuffle``, whether rows come in random order: with 0 or False there is no chance
    # in it.
    random: bool = False
    quick: dict[str, Any] = field(default_factory=dict)  # options of the builders in a quick run, to keep it one

    def supports(self, library: str) -> bool:
        return library in self.builders


CASES: dict[str, Case] = {}


def case(
    group: str,
    title: str,
    name: str | None = None,
    *,
    libraries: tuple[str, ...] = (MINIGRAD, EAGER, COMPILED),
    random: bool = False,
    quick: dict[str, Any] | None = None,
) -> Callable[[Builder], Builder]:
    """Register ``function(lib) -> step`` as a case of minigrad and PyTorch, named after the function."""

    def register(function: Builder) -> Builder:
        key = name or function.__name__
        CASES[key] = Case(key, group, title, dict.fromkeys(libraries, function), random, quick or {})
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
