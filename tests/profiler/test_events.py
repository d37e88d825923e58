"""Events, and the flops of products and convolutions."""

from __future__ import annotations

from typing import Any

from profiler_support import random_like

import minigrad
from minigrad import nn
from minigrad.autograd import Function
from minigrad.profiler import profile


def test_flops_of_products_and_convolutions() -> None:
    class Linear(Function):
        """A user's, of which nothing is known."""

        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            return x.exp()

    images, upstream = minigrad.randn(4, 2, 6, 6), minigrad.randn(4, 3, 4, 4)
    conv, back, linear = nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(3, 2, 3), nn.Linear(5, 7)
    a, b = minigrad.randn(2, 3, 4, requires_grad=True), minigrad.randn(2, 4, 5, requires_grad=True)
    with profile(with_flops=True, record_shapes=False) as p:
        conv(images).backward(upstream)
        back(upstream)
        y = linear(minigrad.randn(2, 3, 5, requires_grad=True))
        y.backward(random_like(y))
        z = a @ b
        z.backward(random_like(z))
        Linear.apply(a, b)
    flops = {row.name: row.flops for row in p.key_averages().rows() if row.flops}
    assert flops == {
        "Conv2d": 2 * 2 * (4 * 3 * 4 * 4) * (2 * 3 * 3),  # its images need no gradient
        "ConvTranspose2d": 2 * (4 * 3 * 4 * 4) * (2 * 3 * 3),
        "Linear": 3 * 2 * (2 * 3 * 7) * 5,
        "MatMul": 3 * 2 * (2 * 3 * 5) * 4,
    }
    assert "GFLOPs" in p.key_averages().table()


def test_an_event_prints_itself(recorded: profile) -> None:
    event = recorded.events()[0]
    assert event.name in repr(event)
    assert len(repr(event)) < 1000
