"""What an op leaves out stays out: its gradient is exactly 0, whatever stands there and whatever comes from upstream.

0 · ∞ and 0 · NaN are NaN, so a rule that multiplies by a mask passes all other tests and fails these.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from op_suite import Array

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels, nn

inf, nan = math.inf, math.nan
EXTREME = [nan, inf, -inf]
SHAPE = (2, 2, 16, 18)  # large enough for every kernel of small arrays
CHOSEN = np.random.default_rng(0).random(SHAPE) < 0.5
ROWS = np.array([3, 1, 3])
OTHER = np.random.default_rng(1).standard_normal(SHAPE) * 2


class Case(NamedTuple):
    """``call(x)`` leaves some elements of x out; ``fill``, unless None, may stand there and is not taken."""

    call: Callable[[Any], Any]
    fill: float | None = nan
    second: bool = True
    draw: Callable[[Any], Any] = lambda rng: rng.standard_normal(SHAPE) * 4


def other(x: Any) -> Any:
    return minigrad.tensor(OTHER, dtype=x.dtype)


def chosen() -> Any:
    return minigrad.tensor(CHOSEN)


def seeded(drop: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        minigrad.manual_seed(3)
        return drop(x)

    return call


def with_zeros(rng: Any) -> Any:
    return rng.standard_normal(SHAPE) * (rng.random(SHAPE) < 0.7)


def written(x: Any) -> Any:
    y = x.clone()
    y[:, :, 2:5] = 1.0
    y[:, 0, ROWS.tolist()] = 2.0
    return y


def scattered(x: Any) -> Any:
    index = minigrad.tensor(np.broadcast_to(np.arange(16)[:, None] // 2, SHAPE).copy())
    return x.scatter(2, index, 1.0)


def gathered(x: Any) -> Any:
    return x.gather(3, minigrad.tensor(np.broadcast_to(np.arange(9), (2, 2, 16, 9)).copy()))


CASES: dict[str, Case] = {
    "triu": Case(lambda x: x.triu(1)),
    "tril": Case(lambda x: x.tril(-1)),
    "where": Case(lambda x: minigrad.where(chosen(), x, 0.5)),
    "where not": Case(lambda x: minigrad.where(chosen(), 0.5, x)),
    "where of itself": Case(lambda x: minigrad.where(x > 0, x, 0.0), -inf),
    "masked_fill": Case(lambda x: x.masked_fill(chosen(), -inf)),
    "masked_select": Case(lambda x: x.masked_select(chosen())),
    "clamp": Case(lambda x: x.clamp(-1, 2), inf),
    "clamp below": Case(lambda x: x.clamp(min=0), -inf),
    "clamp above": Case(lambda x: x.clip(max=0), inf),
    "clamp by tensors": Case(lambda x: x.clamp(other(x), other(x) + 2.0), inf),
    "relu": Case(minigrad.relu, -inf),
    "relu6": Case(F.relu6, -inf),
    "hardtanh": Case(F.hardtanh, inf),
    "hardsigmoid": Case(F.hardsigmoid, -inf),
    "hardswish": Case(F.hardswish, -inf),
    "abs": Case(abs, 0.0, draw=with_zeros),
    "sign": Case(minigrad.sign, None),
    "floor": Case(minigrad.floor),
    "ceil": Case(minigrad.ceil),
    "trunc": Case(minigrad.trunc),
    "round": Case(minigrad.round),
    "div floor": Case(lambda x: minigrad.div(x, 0.7, rounding_mode="floor")),
    "div trunc": Case(lambda x: minigrad.div(x, 0.7, rounding_mode="trunc")),
    "pow 0": Case(lambda x: x**0),
    "pow of zeros": Case(lambda x: x ** minigrad.tensor(CHOSEN * 2.0, dtype=x.dtype)),
    "maximum": Case(lambda x: minigrad.maximum(x, other(x)), -inf),
    "minimum": Case(lambda x: minigrad.minimum(other(x), x), inf),
    "max": Case(lambda x: x.max(), -inf),
    "min": Case(lambda x: x.min(), inf),
    "amax": Case(lambda x: x.amax((1, 3)), -inf),
    "amin": Case(lambda x: x.amin(2, keepdim=True), inf),
    "max along": Case(lambda x: x.max(3).values, -inf),
    "median": Case(lambda x: x.median(), None),
    "median along": Case(lambda x: x.median(3).values, None),
    "topk": Case(lambda x: x.topk(5, dim=2).values, -inf),
    "norm inf": Case(lambda x: x.norm(inf, dim=3), 0.0),
    "slice": Case(lambda x: x[:, 1, ::2, 3:-2]),
    "mask": Case(lambda x: x[chosen()]),
    "rows": Case(lambda x: x[:, :, minigrad.tensor(ROWS)]),
    "index_select": Case(lambda x: x.index_select(3, minigrad.tensor(ROWS))),
    "gather": Case(gathered),
    "scatter": Case(scattered),
    "setitem": Case(written),
    "split": Case(lambda x: x.split(5, 3)[1]),
    "diagonal": Case(lambda x: x[0, 0].diagonal()),
    "crop": Case(lambda x: F.pad(x, (-2, -3, 1, -1))),
    "unfold": Case(lambda x: F.unfold(x, 2, stride=3)),
    "max_pool2d": Case(lambda x: F.max_pool2d(x, 2), -inf),
    "max_pool2d overlapping": Case(lambda x: F.max_pool2d(x, 3, 2, 1), -inf),
    "max_pool2d dilated": Case(lambda x: F.max_pool2d(x, 3, 3, 1, 2, ceil_mode=True), -inf),
    "max_pool2d, indices": Case(lambda x: F.max_pool2d(x, 4, return_indices=True)[0], -inf),
    "max_pool1d": Case(lambda x: F.max_pool1d(x[0], 3), -inf),
    "adaptive_max_pool2d": Case(lambda x: F.adaptive_max_pool2d(x, (5, 6)), -inf),
    "avg_pool2d": Case(lambda x: F.avg_pool2d(x, 2, 3)),
    "avg_pool2d, a row too many": Case(lambda x: F.avg_pool2d(x[:, :, 1:, 1:], 2)),
    "avg_pool1d": Case(lambda x: F.avg_pool1d(x[0], 2, 4)),
    "lp_pool2d, 1": Case(lambda x: F.lp_pool2d(x, 1, 2), 0.0, draw=with_zeros),
    "lp_pool2d, 2": Case(lambda x: F.lp_pool2d(x, 2, 2, 3), nan, draw=lambda rng: rng.uniform(0.5, 2, SHAPE)),
    "lp_pool2d, 3": Case(lambda x: F.lp_pool2d(x, 3, 2), 0.0, second=False, draw=with_zeros),
    "nearest": Case(lambda x: F.interpolate(x, (7, 8))),
    "bilinear": Case(lambda x: F.interpolate(x, (6, 4), mode="bilinear", align_corners=True)),
    "dropout": Case(seeded(F.dropout)),
    "dropout, all": Case(seeded(lambda x: F.dropout(x, 1.0))),
    "dropout1d": Case(seeded(lambda x: F.dropout1d(x[0]))),
    "dropout2d": Case(seeded(F.dropout2d)),
    "dropout3d": Case(seeded(lambda x: F.dropout3d(x[None]))),
    "alpha_dropout": Case(seeded(lambda x: F.alpha_dropout(x, training=True))),
    "feature_alpha_dropout": Case(seeded(lambda x: F.feature_alpha_dropout(x, training=True))),
    "embedding": Case(lambda x: F.embedding(minigrad.tensor([[1, 2], [2, 5]]), x[0, 0], padding_idx=2)),
}


@contextlib.contextmanager
def path(name: str) -> Iterator[None]:
    with np.errstate(all="ignore"), kernels.disabled() if name == "textbook" else contextlib.nullcontext():
        yield


def walked(call: Callable[[Any], Any], x: Array, upstream: Any = None, again: bool = False) -> tuple[Array, Array]:
    """(y, dx) for an upstream gradient: a number, or random; ``again``: by the rules on Tensors."""
    t = minigrad.tensor(x, requires_grad=True)
    y = call(t)
    dy = np.random.default_rng(5).uniform(0.5, 2.0, y.shape) if upstream is None else np.full(y.shape, upstream)
    (dx,) = minigrad.autograd.grad(y, [t], minigrad.tensor(dy.astype(x.dtype)), create_graph=again)
    return y.detach().numpy(), dx.detach().numpy()


@pytest.mark.parametrize("where", ["kernels", "textbook", "textbook on Tensors"])
@pytest.mark.parametrize("name", CASES)
def test_nothing_reaches_what_is_left_out(name: str, where: str) -> None:
    case, again = CASES[name], where == "textbook on Tensors"
    if again and not case.second:
        pytest.skip("no second derivatives")
    x = case.draw(np.random.default_rng(2)).astype(np.float32)
    with path(where.split()[0]):
        y, dx = walked(case.call, x, again=again)
        left_out = dx == 0  # the upstream gradient is positive and random: no sum of it is 0 by chance
        assert left_out.any()
        for upstream in EXTREME:
            dx_extreme = walked(case.call, x, upstream, again)[1]
            assert (dx_extreme[left_out] == 0).all()
            assert not np.isfinite(dx_extreme[~left_out]).any()
        if case.fill is None:
            return
        x[left_out] = case.fill
        y_filled, dx_filled = walked(case.call, x, again=again)
        np.testing.assert_array_equal(dx_filled, dx)
        if math.isnan(case.fill):  # neither y nor dx sees it, unless it is y (floor, a row of an embedding)
            same = ~np.isnan(y_filled)
            np.testing.assert_array_equal(y_filled[same], y[same])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.second])
def test_nothing_comes_back_from_what_is_left_out(name: str) -> None:
    """dx is 0 there for every dy, so a second derivative through it is 0 as well."""
    case = CASES[name]
    values = case.draw(np.random.default_rng(2))
    left_out = walked(case.call, values)[1] == 0
    weights = np.random.default_rng(6).standard_normal(SHAPE)

    def second(fill: float) -> list[Any]:
        x = minigrad.tensor(values, requires_grad=True)
        y = case.call(x)
        dy = minigrad.tensor(np.random.default_rng(5).uniform(0.5, 2.0, y.shape), requires_grad=True)
        (dx,) = minigrad.autograd.grad(y, [x], dy, create_graph=True)
        if not dx.requires_grad:
            return []
        v = minigrad.tensor(np.where(left_out, fill, weights))
        found = minigrad.autograd.grad(dx, [dy, x], v, allow_unused=True)
        return [None if g is None else g.numpy() for g in found]

    with path("textbook"):
        want = second(0.0)
        for fill in EXTREME:
            for a, b in zip(second(fill), want, strict=True):
                assert (a is None) == (b is None)
                if a is not None:
                    np.testing.assert_array_equal(a, b)


FUSED: dict[str, Any] = {
    "linear": (lambda: nn.Sequential(nn.Linear(30, 70), nn.ReLU()), (40, 30)),
    "thin linear": (lambda: nn.Sequential(nn.Linear(1, 64), nn.ReLU()), (256, 1)),
    "conv2d": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()), (4, 3, 12, 12)),
    "batch norm": (lambda: nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()), (8, 6, 10, 10)),
    "batch norm of rows": (lambda: nn.Sequential(nn.BatchNorm1d(40), nn.ReLU()), (64, 40)),
    "batch norm in evaluation": (lambda: nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()).eval(), (8, 6, 10, 10)),
}


@pytest.mark.parametrize("where", ["kernels", "textbook"])
@pytest.mark.parametrize("name", FUSED)
def test_a_layer_with_relu_behind_it(name: str, where: str) -> None:
    make, shape = FUSED[name]
    minigrad.manual_seed(0)
    layer = make()
    x = minigrad.randn(shape)

    def gradients(fill: float) -> list[Array]:
        layer.zero_grad()
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        dy = np.random.default_rng(5).standard_normal(y.shape)
        y.backward(minigrad.tensor(np.where(y.detach().numpy() <= 0, fill, dy).astype(np.float32)))
        return [t.grad.numpy() for t in (leaf, *layer.parameters())]

    with path(where):
        want = gradients(0.0)
        assert all(g.any() for g in want)
        for fill in EXTREME:
            for a, b in zip(gradients(fill), want, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("where", ["kernels", "textbook"])
def test_a_weight_learns_nothing_from_what_its_slope_does_not_touch(
    where: str,
) -> None:
    with path(where):
        x = minigrad.tensor([-2.0, inf, 3.0], requires_grad=True)
        w = minigrad.tensor([0.5], requires_grad=True)
        F.prelu(x, w).backward(minigrad.tensor([1.5, nan, inf]))
        assert w.grad.tolist() == [-3.0]
        assert x.grad[0].item() == 0.75


@pytest.mark.parametrize("where", ["kernels", "textbook"])
@pytest.mark.parametrize("dtype", [minigrad.float16, minigrad.float32, minigrad.float64])
def test_infinite_masks(dtype: Any, where: str) -> None:
    with path(where):
        mask = minigrad.triu(minigrad.full((2, 2), -inf, dtype=dtype), 1)
        assert mask.tolist() == [[0.0, -inf], [0.0, 0.0]]
        assert mask.dtype == dtype
        below = minigrad.tril(minigrad.full((2, 2), nan, dtype=dtype), -1)
        assert below.isnan().tolist() == [[False, False], [True, False]]
        zeros = minigrad.tril(minigrad.full((2, 2), -0.0, dtype=dtype)).numpy()
        assert np.signbit(zeros).tolist() == [[True, False], [True, True]]
        x = minigrad.tensor([-1.0, 4.0], dtype=dtype, requires_grad=True)
        minigrad.where(x > 0, x, 0.0).sqrt().backward(minigrad.ones(2, dtype=dtype))
        assert x.grad.tolist() == [0.0, 0.25]


@pytest.mark.parametrize("where", ["kernels", "textbook"])
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("softmax", [F.softmax, F.log_softmax])
@pytest.mark.parametrize("added", [False, True])
def test_a_row_of_attention_without_any_key(added: bool, softmax: Any, again: bool, where: str) -> None:
    """Its weights are NaN, as in PyTorch, but queries and keys learn nothing from it: also if −∞ is added as a mask."""
    keys = np.tile(np.arange(32) % 3 > 0, (4, 8, 1))  # (batch, query, key): which keys a query may see
    keys[1, 3] = keys[2] = False
    hidden = minigrad.tensor(~keys)
    rng = np.random.default_rng(0)

    def gradients(rows: Any) -> list[Array]:
        q, k = (minigrad.tensor(np.float32(rng.standard_normal((4, n, 5))), requires_grad=True) for n in (8, 32))
        scores = q @ k.mT
        scores = scores + minigrad.where(hidden, -inf, 0.0) if added else scores.masked_fill(hidden, -inf)
        weights = softmax(scores, -1)
        kept = weights[rows] if rows is not None else weights
        dy = np.random.default_rng(1).standard_normal(weights.shape).astype(np.float32)
        dy = minigrad.tensor(dy if rows is None else dy[rows.numpy()])
        return [g.detach().numpy() for g in minigrad.autograd.grad(kept, [q, k], dy, create_graph=again)]

    with path(where):
        want = gradients(minigrad.tensor(keys.any(-1)))
        rng = np.random.default_rng(0)
        got = gradients(None)
        assert (got[0][1, 3] == 0).all()
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
