"""Cases in other libraries than PyTorch: a function for each, measured where the library is installed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..libraries import Library
from .registry import Step, also
from .training import normal


def lab1_arrays() -> tuple[Any, Any, list[Any]]:
    """x, y and the parameters of lab 1 (for ``y = x @ w + b``), the same numbers as in the PyTorch case."""
    x = normal(256, 1)
    rng = np.random.default_rng(1)
    shapes = ((64, 1), (64,), (1, 64), (1,))
    parameters = [rng.uniform(-(s[-1] ** -0.5), s[-1] ** -0.5, s).astype(np.float32) for s in shapes]
    return x, 1 / (1 + np.exp(-10 * x)), [np.ascontiguousarray(p.T) for p in parameters]


@also("jax", "lab1")
def jax_lab1(lib: Library) -> Step:
    jax, jnp = lib.module, lib.module.numpy
    x, y, parameters = lab1_arrays()

    def loss_of(p: Any) -> Any:
        return jnp.sum((jnp.maximum(x @ p[0] + p[1], 0) @ p[2] + p[3] - y) ** 2)

    def update(p: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(p)
        return loss, [a - 1e-4 * g for a, g in zip(p, grads, strict=True)]

    update_compiled = jax.jit(update)
    state = [jnp.asarray(p) for p in parameters]

    def step() -> Any:
        nonlocal state
        loss, state = update_compiled(state)
        return loss.block_until_ready()

    return step


@also("mygrad", "lab1")
def mygrad_lab1(lib: Library) -> Step:
    mg = lib.module
    x, y, arrays = lab1_arrays()
    w1, b1, w2, b2 = (mg.tensor(a) for a in arrays)

    def step() -> Any:
        hidden = mg.matmul(x, w1) + b1
        loss = ((mg.matmul(mg.maximum(hidden, 0), w2) + b2 - y) ** 2).sum()
        loss.backward()
        for p in (w1, b1, w2, b2):
            p.data -= np.float32(1e-4) * p.grad
        return loss.data

    return step
