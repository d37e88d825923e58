"""Multiply-adds by hand and by PyTorch, and receptive fields."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.nn.inspection.summary import LayerRow
from minigrad.utils import flops, summary

torch = pytest.importorskip("torch")


def only(layer: nn.Module, size: Any, **options: Any) -> LayerRow:
    """The row of a layer alone."""
    (row,) = summary(layer, size, **options).rows
    return row


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.Sequential(
            nn.Conv2d(3, 8, (3, 5), stride=2, padding=1, dilation=(1, 2)), nn.ReLU(), nn.Conv2d(8, 6, 3, groups=2)
        ),
        lambda nn: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)),
        lambda nn: nn.Sequential(nn.Conv2d(3, 4, 4), nn.Flatten(), nn.Linear(4 * 13 * 13, 7, bias=False)),
        lambda nn: nn.Linear(16, 5),
    ],
)
def test_pytorch_counts_the_same(make: Any) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    size = (2, 3, 16, 16)
    with FlopCounterMode(display=False) as counter:
        make(torch.nn)(torch.zeros(size))
    assert flops(make(nn), size) == counter.get_total_flops()


BY_HAND = [
    (nn.Linear(5, 7), (2, 3, 5), 2 * 3 * 7 * 5),
    (nn.Conv1d(4, 6, 3), (2, 4, 10), 2 * 6 * 8 * 4 * 3),
    (nn.Conv2d(4, 6, 3, groups=2), (1, 4, 5, 5), 6 * 9 * 2 * 9),
    (nn.ConvTranspose1d(4, 6, 3, stride=2), (2, 4, 10), 2 * 4 * 10 * 6 * 3),
    (nn.ConvTranspose2d(4, 6, 2, stride=2), (1, 4, 5, 5), 4 * 25 * 6 * 4),
    (nn.AvgPool2d(3, 2), (1, 2, 7, 7), 2 * 9 * 9),
    (nn.AvgPool1d(2), (1, 2, 8), 2 * 4 * 2),
    (nn.LPPool2d(3, 2), (1, 2, 8, 8), 2 * 16 * 4),
    (nn.MaxPool2d(2), (1, 2, 8, 8), 0),
    (nn.AdaptiveAvgPool2d(1), (1, 2, 8, 6), 2 * 48),
    (nn.AdaptiveAvgPool2d((3, 2)), (1, 2, 7, 6), 2 * 9 * 6),  # rows 0-2, 2-4, 4-6; columns 0-2, 3-5
    (nn.BatchNorm2d(3), (2, 3, 4, 4), 96),
    (nn.InstanceNorm2d(3), (2, 3, 4, 4), 3 * 96),
    (nn.InstanceNorm2d(3, track_running_stats=True), (2, 3, 4, 4), 96),
    (nn.LayerNorm(8), (2, 8), 48),
    (nn.GroupNorm(2, 4), (2, 4, 3), 72),
    (nn.RMSNorm(8), (2, 8), 32),
    (nn.LocalResponseNorm(5), (1, 6, 2, 2), 24 * 6),
    (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 3, 4, 5), 2 * 3 * (4 * 10 + 8 * 10)),
    (nn.Upsample(scale_factor=2), (1, 3, 4, 5), 0),
    (nn.ReLU(), (2, 3), 0),
    (nn.ZeroPad2d(1), (1, 3, 4, 4), 0),
]


@pytest.mark.parametrize(("layer", "size", "wanted"), BY_HAND, ids=[type(layer).__name__ for layer, _, _ in BY_HAND])
def test_multiply_adds_by_hand(layer: nn.Module, size: tuple[int, ...], wanted: int) -> None:
    assert only(layer, size).multiply_adds == wanted


@pytest.mark.parametrize("seed", range(12))
def test_the_receptive_field_is_where_the_gradient_is_not_zero(seed: int) -> None:
    pick = random.Random(seed)
    axes = pick.choice([1, 2])

    def one(low: int, high: int) -> Any:
        return tuple(pick.randint(low, high) for _ in range(axes)) if pick.random() < 0.5 else pick.randint(low, high)

    def layer() -> nn.Module:
        kind = pick.choice(["Conv", "Conv", "AvgPool"])
        if kind == "AvgPool" and axes == 2:
            return nn.AvgPool2d(one(1, 3), one(1, 2))
        if kind == "AvgPool":
            return nn.AvgPool1d(pick.randint(1, 3), pick.randint(1, 2))
        return getattr(nn, f"Conv{axes}d")(1, 1, one(1, 3), stride=one(1, 2), dilation=one(1, 2))

    model = nn.Sequential(*[m for _ in range(4) for m in (layer(), pick.choice([nn.ReLU(), nn.Identity()]))])
    for p in model.parameters():
        minigrad.nn.init.constant_(p, 1.0)  # so that nothing cancels, nor does a ReLU close
    size = (1, 1, *[120] * axes)
    x = minigrad.ones(*size, requires_grad=True)
    y = model(x)
    upstream = minigrad.zeros(*y.shape)
    upstream[(0, 0, *[n // 2 for n in y.shape[2:]])] = 1.0
    y.backward(upstream)
    assert x.grad is not None
    seen = np.nonzero(x.grad.numpy()[0, 0])
    extents = tuple(int(i.max() - i.min()) + 1 for i in seen)
    found = summary(model, size).receptive_field
    assert found == (extents[0] if len(set(extents)) == 1 else extents)


def test_a_path_ends_where_it_is_not_defined() -> None:
    for end in (nn.AdaptiveAvgPool2d(8), nn.Upsample(scale_factor=2), nn.ConvTranspose2d(2, 2, 1), nn.Softmax(1)):
        found = summary(nn.Sequential(nn.Conv2d(1, 2, 3), end, nn.Conv2d(2, 1, 3)), (1, 1, 9, 9))
        assert [row.receptive_field for row in found.rows] == [None, 3, None, None]
        assert found.receptive_field is None


class Residual(nn.Module):
    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.act = nn.ReLU(inplace=in_place)
        self.in_place = in_place

    def forward(self, x: Any) -> Any:
        y = self.second(self.act(self.first(x)))
        if self.in_place:
            y += x
        else:
            y = y + x
        return self.act(y)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_sum_of_branches_has_no_receptive_field(in_place: bool) -> None:
    found = summary(nn.Sequential(nn.Conv2d(2, 2, 3), Residual(in_place), nn.MaxPool2d(2)), (1, 2, 12, 12))
    fields = {row.name: row.receptive_field for row in found.rows if not row.reused}
    assert fields["0"] == 3
    assert fields["1.first"] == 5
    assert fields["1.second"] == 7
    assert fields["2"] is None


class Own(nn.Module):
    """A layer of the user's own, with a product that nobody knows of."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(minigrad.ones(3, 5))

    def forward(self, x: Any) -> Any:
        return x @ self.weight


def test_a_users_layer_is_not_counted_until_its_rule_is_given() -> None:
    model = nn.Sequential(Own(), nn.Linear(5, 2))
    found = summary(model, (4, 3))
    assert found.rows[1].multiply_adds is None
    assert found.multiply_adds == 4 * 10
    assert found.uncounted == ["Own"]
    assert "Not counted in them (?): Own" in str(found)
    rules = {Own: lambda layer, x, y: x[0] * layer.weight.numel()}
    assert summary(model, (4, 3), rules).multiply_adds == 4 * 10 + 4 * 15
    assert flops(model, (4, 3), rules) == 2 * (4 * 10 + 4 * 15)
    assert summary(model, (4, 3), {nn.Linear: lambda layer, x, y: 1, Own: lambda layer, x, y: 2}).multiply_adds == 3


def test_a_subclass_costs_what_its_parent_does() -> None:
    class Wider(nn.Linear):
        pass

    assert only(Wider(4, 3), (1, 4)).multiply_adds == 12
