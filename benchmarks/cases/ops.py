"""Single ops, forward and backward, with the upstream gradient random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..libraries import Library
from .registry import Step, case
from .training import normal


def op(lib: Library, function: Callable[..., Any], *arrays: np.ndarray[Any, Any]) -> Step:
    """A step that calls ``function`` on leaves holding the arrays and sends a random gradient back."""
    leaves = [lib.tensor(a, requires_grad=True) for a in arrays]
    forward = lib.compiled(function)
    upstream = lib.tensor(normal(*tuple(function(*leaves).shape), seed=5))

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        forward(*leaves).backward(upstream)

    return step


@case("overhead", "a + b")
def scalar_add(lib: Library) -> Step:
    return op(lib, lambda a, b: a + b, normal(), normal(seed=4))


def elementwise(name: str, function: Callable[[Library], Callable[..., Any]], operands: int = 1) -> None:
    """A case that applies ``function(lib)`` to 1000×1000 tensors."""

    @case("ops", f"{name} (1000×1000)", name)
    def build(lib: Library) -> Step:
        return op(lib, function(lib), *(normal(1000, 1000, seed=2 + i) for i in range(operands)))


elementwise("relu", lambda lib: lib.F.relu)
elementwise("sigmoid", lambda lib: lib.module.sigmoid)
elementwise("tanh", lambda lib: lib.module.tanh)
elementwise("silu", lambda lib: lib.F.silu)
elementwise("gelu", lambda lib: lib.F.gelu)
elementwise("softmax", lambda lib: lambda x: lib.F.softmax(x, dim=1))
elementwise("log_softmax", lambda lib: lambda x: lib.F.log_softmax(x, dim=1))
elementwise("exp", lambda lib: lib.module.exp)
elementwise("add", lambda lib: lambda a, b: a + b, operands=2)
elementwise("mul", lambda lib: lambda a, b: a * b, operands=2)
elementwise("sum", lambda lib: lambda x: x.sum())
elementwise("mean", lambda lib: lambda x: x.mean())


@case("ops", "cross_entropy (1000×1000, class indices)")
def cross_entropy(lib: Library) -> Step:
    target = lib.tensor(np.random.default_rng(3).integers(0, 1000, 1000))
    return op(lib, lambda x: lib.F.cross_entropy(x, target), normal(1000, 1000))


@case("ops", "matmul (512×512 @ 512×512)")
def matmul(lib: Library) -> Step:
    return op(lib, lambda a, b: a @ b, normal(512, 512), normal(512, 512, seed=3))


@case("ops", "linear (1000×1000 → 256)")
def linear(lib: Library) -> Step:
    return op(lib, lib.F.linear, normal(1000, 1000), normal(256, 1000, seed=3), normal(256, seed=4))
