"""Graphs drawn at random, first and second derivatives against PyTorch: branches, broadcasting, views, dead ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_suite import torch

import minigrad

# Every op takes and gives (3, 4), so that any can follow any; sizes stay moderate, so that numbers do.
ONE: dict[str, Any] = {
    "sin": lambda lib, x: x.sin(),
    "tanh": lambda lib, x: x.tanh(),
    "squash": lambda lib, x: x / (1.0 + x * x),
    "exp": lambda lib, x: (-(x * x)).exp(),
    "sigmoid": lambda lib, x: x.sigmoid(),
    "softmax": lambda lib, x: x.softmax(1),
    "log_softmax": lambda lib, x: lib.log_softmax(x, 0).tanh(),
    "centre": lambda lib, x: x - x.mean(0, keepdim=True),
    "scale": lambda lib, x: x / (x.norm(dim=1, keepdim=True) + 1.0),
    "spread": lambda lib, x: x * x.std(),
    "transpose": lambda lib, x: x.t().reshape(3, 4),
    "flip": lambda lib, x: x.flip(1) * 0.5,
    "roll": lambda lib, x: x.roll(1, 0),
    "rows": lambda lib, x: x[[2, 0, 0]],
    "first row": lambda lib, x: x[0].expand(3, 4) + x[:, :1],
    "gather": lambda lib, x: x.gather(1, lib.tensor([[0, 1, 2, 3], [3, 3, 0, 0], [1, 2, 1, 2]])),
    "cumsum": lambda lib, x: x.cumsum(1) * 0.3,
    "gelu": lambda lib, x: lib.nn.functional.gelu(x),
    "silu": lambda lib, x: lib.nn.functional.silu(x),
    "softplus": lambda lib, x: lib.nn.functional.softplus(x) * 0.5,
    "pad": lambda lib, x: lib.nn.functional.pad(x[:, 1:], (1, 0)),
    "whole": lambda lib, x: x * x.sum().tanh(),
    "logsumexp": lambda lib, x: x - x.logsumexp(1, keepdim=True).tanh(),
    "in place": lambda lib, x: _in_place(x),
    "detached": lambda lib, x: x * x.detach().cos(),
    "clone": lambda lib, x: x.clone(),
}
TWO: dict[str, Any] = {
    "add": lambda lib, x, y: (x + y) * 0.7,
    "sub": lambda lib, x, y: x - y,
    "mul": lambda lib, x, y: x * y,
    "div": lambda lib, x, y: x / (2.0 + y * y),
    "power": lambda lib, x, y: (1.1 + x.tanh()) ** y.sin(),
    "matmul": lambda lib, x, y: (x @ y.t()) @ x * 0.1,
    "outer": lambda lib, x, y: x[:, :1] * y[:1],
    "einsum": lambda lib, x, y: lib.einsum("ij,ik,kj->ij", x, x[:, :3], y) * 0.2,
    "cat": lambda lib, x, y: lib.cat([x[:, 2:], y[:, :2]], 1),
    "stack": lambda lib, x, y: lib.stack([x, y]).mean(0),
    "where": lambda lib, x, y: lib.where(lib.arange(4) % 2 == 0, x, y),
    "linear": lambda lib, x, y: lib.nn.functional.linear(x, y[:, :4].t() @ y[:, :4] * 0.1, y[0]),
    "smooth": lambda lib, x, y: x * lib.nn.functional.mse_loss(x, y).tanh(),
}


def _in_place(x: Any) -> Any:
    y = x * 1.0
    y[1] = y[0] * 0.5
    y[:, 2] += x[:, 3]
    v = y.t()
    v *= 0.9
    return y


step = st.one_of(
    st.tuples(st.sampled_from(sorted(ONE)), st.integers(0, 9)),
    st.tuples(st.sampled_from(sorted(TWO)), st.integers(0, 9), st.integers(0, 9)),
)


def derivatives(lib: Any, steps: list[Any], ends: list[int], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    leaves = [lib.tensor(rng.standard_normal((3, 4)), requires_grad=True) for _ in range(2)]
    values = [*leaves, lib.tensor(rng.standard_normal((3, 4)))]
    for name, *places in steps:
        op = ONE.get(name) or TWO[name]
        values.append(op(lib, *[values[i % len(values)] for i in places]))
    total = values[-1] + leaves[0]  # at least one leaf counts
    for end in ends:
        total = total + values[end % len(values)] * 0.5
    first = lib.autograd.grad(
        total, leaves, lib.tensor(rng.standard_normal((3, 4))), create_graph=True, materialize_grads=True
    )
    product = sum((g * lib.tensor(rng.standard_normal((3, 4)))).sum() for g in first)
    second: Any = [lib.zeros(3, 4)] * 2
    if product.requires_grad:
        second = lib.autograd.grad(product, leaves, retain_graph=True, materialize_grads=True)
        (product + total.sum()).backward()
    return [t.detach().numpy() for t in (total, *first, *second)] + [
        leaf.grad.numpy() for leaf in leaves if leaf.grad is not None
    ]


@settings(max_examples=150)
@given(st.lists(step, min_size=1, max_size=9), st.lists(st.integers(0, 11), max_size=3), st.integers(0, 100))
@pytest.mark.filterwarnings("ignore:Using backward")
def test_any_graph(steps: list[Any], ends: list[int], seed: int) -> None:
    got, want = (derivatives(lib, steps, ends, seed) for lib in (minigrad, torch))
    for a, b in zip(got, want, strict=False):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)
