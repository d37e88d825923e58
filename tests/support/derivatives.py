"""Derivatives of derivatives against PyTorch, for linear ops, whose rule is an op with a rule of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from op_suite import torch

import minigrad


def thirds_agree(call: Callable[[Any, Any], Any], shape: tuple[int, ...]) -> None:
    """Hold the first, second and third derivative of op(x)⁴ against PyTorch's, each with a random gradient upstream.

    The first two are taken with ``create_graph=True``: where a rule goes another way on Tensors than on arrays, the
    numbers of that way are seen here. (Differences of a gradient that was itself made so would not show its mistake.)
    """
    results = []
    for lib in (minigrad, torch):
        rng = np.random.default_rng(0)
        x = lib.tensor(rng.standard_normal(shape), requires_grad=True)
        y = call(lib, x)
        found, g = [], y * y * y * y
        for order in range(3):
            upstream = lib.tensor(rng.standard_normal(tuple(g.shape)))
            (g,) = lib.autograd.grad(g, x, upstream, create_graph=order < 2)
            found.append(g.detach().numpy())
        results.append(found)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)
