"""Pooling, normalization and attention, and the passes of convolutions, each alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..libraries import EAGER, MINIGRAD, Library
from .ops import op
from .registry import Step, case
from .training import normal

IMAGES = 64, 16, 32, 32


def layer(name: str, title: str, function: Callable[[Library], Callable[..., Any]], *, positive: bool = False) -> None:
    """A case that applies ``function(lib)`` to 64 images of 16 channels and 32×32 pixels."""

    @case("layers", title, name)
    def build(lib: Library) -> Step:
        x = normal(*IMAGES)
        return op(lib, function(lib), abs(x) if positive else x)


layer("max_pool", "max_pool2d (2×2)", lambda lib: lambda x: lib.F.max_pool2d(x, 2))
layer("avg_pool", "avg_pool2d (2×2)", lambda lib: lambda x: lib.F.avg_pool2d(x, 2))
layer("lp_pool", "lp_pool2d (p = 3, 2×2)", lambda lib: lambda x: lib.F.lp_pool2d(x, 3.0, 2), positive=True)


@case("layers", "batch_norm (training)")
def batch_norm(lib: Library) -> Step:
    channels = IMAGES[1]
    mean, var = lib.tensor(np.zeros(channels, np.float32)), lib.tensor(np.ones(channels, np.float32))

    def function(x: Any, weight: Any, bias: Any) -> Any:
        return lib.F.batch_norm(x, mean, var, weight, bias, training=True)

    return op(lib, function, normal(*IMAGES), normal(channels, seed=3), normal(channels, seed=4))


@case("layers", "scaled_dot_product_attention (64 × 3 heads × 197 × 64)")
def attention(lib: Library) -> Step:
    q, k, v = (normal(64, 3, 197, 64, seed=seed) for seed in (3, 4, 5))
    return op(lib, lambda q, k, v: lib.F.scaled_dot_product_attention(q, k, v), q, k, v)


# (batch, channels, side of the image, channels out, side of the kernel, padding): the layers of the labs' nets
CONVOLUTIONS = (
    (64, 1, 32, 6, 5, 0),
    (64, 6, 14, 16, 5, 0),
    (64, 32, 14, 64, 3, 1),
    (128, 3, 32, 64, 3, 1),
    (128, 64, 16, 128, 3, 1),
    (128, 128, 8, 256, 3, 1),
    (64, 32, 32, 32, 3, 1),
)
PASSES = {"forward": "forward", "input": "gradient of the input", "weight": "gradient of the weight"}


def convolution(n: int, c: int, side: int, o: int, k: int, padding: int, which: str) -> None:
    """A case of one pass. PyTorch's own function for one gradient would copy an image of its size first, so it is
    asked below that: ``convolution_backward`` with the output that is wanted."""
    title = f"{n}×{c}×{side}² → {o}, {k}×{k}, {PASSES[which]}"

    @case("conv", title, f"conv_{n}_{c}_{side}_{o}_{k}_{which}", libraries=(MINIGRAD, EAGER))
    def build(lib: Library) -> Step:
        x, w = lib.tensor(normal(n, c, side, side)), lib.tensor(normal(o, c, k, k, seed=3))
        end = side + 2 * padding - k + 1
        dy = lib.tensor(normal(n, o, end, end, seed=5))
        run: Any
        if which == "forward":
            run = partial(lib.F.conv2d, x, w, None, padding=padding)
        elif lib.name == MINIGRAD and which == "input":
            run = partial(lib.nn.grad.conv2d_input, x.shape, w, dy, padding=padding)
        elif lib.name == MINIGRAD:
            run = partial(lib.nn.grad.conv2d_weight, x, w.shape, dy, padding=padding)
        else:
            geometry = [1, 1], [padding, padding], [1, 1], False, [0, 0], 1
            wanted = [which == "input", which == "weight", False]
            run = partial(lib.module.ops.aten.convolution_backward, dy, x, w, None, *geometry, wanted)

        def step() -> None:
            with lib.module.no_grad():
                run()

        return step


for shape in CONVOLUTIONS:
    for which in PASSES:
        convolution(*shape, which)
