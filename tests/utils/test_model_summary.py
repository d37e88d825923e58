"""The table of a model: known parameter counts, multiply-adds by hand and by PyTorch, receptive fields by gradients."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.errors import ShapeError
from minigrad.nn.inspection.summary import Row
from minigrad.utils import flops, summary

torch = pytest.importorskip("torch")


def lenet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


def simple_cnn() -> nn.Sequential:
    stages = [
        nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))
        for i, o in ((3, 64), (64, 128), (128, 256))
    ]
    head = nn.Sequential(nn.Flatten(), nn.Linear(4096, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 5))
    return nn.Sequential(*stages, head)


def only(layer: nn.Module, size: Any, **options: Any) -> Row:
    """The row of a layer alone."""
    (row,) = summary(layer, size, **options).rows
    return row


def test_lenet_5() -> None:
    found = summary(lenet(), (1, 1, 32, 32))
    assert found.total_parameters == found.trainable_parameters == 61_706
    assert [row.parameters for row in found.rows if row.parameters] == [156, 2416, 48_120, 10_164, 850]
    # 28·28·6·25, a mean of 4 for 14·14·6, 10·10·16·150, a mean of 4 for 5·5·16, then the linear layers
    costs = [117_600, 4704, 240_000, 1600, 48_000, 10_080, 840]
    assert [row.multiply_adds for row in found.rows if row.multiply_adds] == costs
    assert found.multiply_adds == sum(costs)
    assert found.rows[4].output_shape == (1, 16, 10, 10)
    assert [row.receptive_field for row in found.rows if row.receptive_field] == [5, 6, 14, 16]
    assert found.receptive_field == 16
    assert found.uncounted == []


def test_a_batch_costs_as_much_as_its_samples() -> None:
    assert summary(lenet(), (7, 1, 32, 32)).multiply_adds == 7 * summary(lenet(), (1, 1, 32, 32)).multiply_adds


def test_nested_modules() -> None:
    found = summary(simple_cnn(), (1, 3, 32, 32))
    assert found.total_parameters == 2_471_941
    assert sum(row.parameters for row in found.rows) == 2_471_941
    places = [(row.name, row.depth, row.kind) for row in found.rows[:4]]
    assert places == [("", 0, "Sequential"), ("0", 1, "Sequential"), ("0.0", 2, "Conv2d"), ("0.1", 2, "BatchNorm2d")]
    assert found.rows[0].output_shape == (1, 5)
    assert found.receptive_field == 22


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


# --- receptive fields


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


# --- what models do


class Twice(nn.Module):
    """One layer used twice, one not at all, a tied weight, and a tuple out."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.layer.weight
        self.spare = nn.Linear(4, 2)

    def forward(self, x: Any, y: Any) -> Any:
        h = self.layer(F.relu(self.layer(x)))
        return h, {"y": self.tied(y), "none": None}


def test_used_twice_shared_and_unused() -> None:
    found = summary(Twice(), [(2, 4), (3, 4)])
    assert [(row.name, row.parameters, row.reused, row.called) for row in found.rows] == [
        ("", 0, False, True),
        ("layer", 20, False, True),
        ("layer", 0, True, True),
        ("tied", 0, False, True),
        ("spare", 10, False, False),
    ]
    assert found.total_parameters == 30
    assert found.multiply_adds == 2 * 16 + 2 * 16 + 3 * 16
    assert found.rows[0].output_shape == [(2, 4), (3, 4)]
    assert found.input_shapes == [(2, 4), (3, 4)]
    text = str(found)
    assert "used again" in text
    assert "spare: Linear" in text
    assert "not called" in text


def test_frozen_parameters_are_told() -> None:
    model = lenet()
    model[0].requires_grad_(False)
    found = summary(model, (1, 1, 32, 32))
    assert (found.total_parameters, found.trainable_parameters) == (61_706, 61_550)
    assert (found.rows[1].parameters, found.rows[1].trainable) == (156, 0)
    assert "156 of them frozen" in str(found)


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


def test_example_tensors() -> None:
    words = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2))
    found = summary(words, minigrad.zeros(3, 5, dtype=minigrad.int64))
    assert found.rows[0].output_shape == (3, 5, 2)
    with pytest.raises(Exception, match="int64") as caught:
        summary(words, (3, 5))
    assert "example tensor" in "".join(caught.value.__notes__)
    assert summary(Twice(), [minigrad.ones(1, 4), (3, 4)]).input_shapes == [(1, 4), (3, 4)]


def test_inputs_follow_the_models_dtype() -> None:
    assert summary(nn.Linear(3, 2).double(), (1, 3)).parameter_bytes == 64
    assert summary(nn.Flatten(), (2, 3, 4)).rows[0].output_shape == (2, 12)


class Noisy(nn.Module):
    """Draws random numbers whatever the mode, changes statistics in training, and fails if told to."""

    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.norm, self.fails = nn.BatchNorm1d(3), fails

    def forward(self, x: Any) -> Any:
        y = F.dropout(self.norm(x))
        if self.fails:
            raise ShapeError("no")
        assert not y.requires_grad
        return y


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_put_back(fails: bool) -> None:
    model = nn.Sequential(Noisy(fails), nn.Linear(3, 3), nn.Dropout())
    model[1].eval()
    calls: list[str] = []
    model[1].register_forward_hook(lambda *_: calls.append("mine"))
    states = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    flags = [m.training for m in model.modules()]
    minigrad.manual_seed(5)
    before = minigrad.get_rng_state()
    if fails:
        with pytest.raises(ShapeError, match="no") as caught:
            summary(model, (4, 3))
        assert "(4, 3)" in caught.value.__notes__[0]
    else:
        summary(model, (4, 3))
    assert minigrad.get_rng_state() == before
    assert [m.training for m in model.modules()] == flags
    assert minigrad.is_grad_enabled()
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), states[name])
    assert all(m._hooks is None for m in model.modules() if m is not model[1])
    del calls[:]
    model[1](minigrad.ones(1, 3))
    assert calls == ["mine"]
    assert all(p.grad is None for p in model.parameters())


def test_the_table() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, (3, 1)), nn.Flatten(), nn.Linear(8, 3))
    assert str(summary(model, (1, 1, 4, 2))).split("\n") == [
        "Layer         Output shape  Parameters  Multiply-adds  Receptive field",
        "----------------------------------------------------------------------",
        "Sequential    (1, 3)                 -              -                -",
        "  0: Conv2d   (1, 2, 2, 2)           8             24            3 × 1",
        "  1: Flatten  (1, 8)                 -              -                -",
        "  2: Linear   (1, 3)                27             24                -",
        "----------------------------------------------------------------------",
        "Input: (1, 1, 4, 2)",
        "Parameters: 35 (0.00 MiB)",
        "Multiply-adds: 48",
    ]


def test_the_table_in_a_notebook() -> None:
    class Odd(nn.Identity):
        pass

    Odd.__name__ = "<b>"
    page = summary(nn.Sequential(Odd(), nn.Linear(2, 3)), (1, 2))._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert page.count("<tr>") == 4
    assert "Parameters: 9" in page


def test_what_does_not_fit_is_named() -> None:
    layer = nn.Linear(3, 2)
    with pytest.raises(TypeError, match="summary: model must be a Module, got function"):
        summary(F.relu, (1, 3))  # type: ignore[arg-type]
    for wrong in (3, "13", None):
        with pytest.raises(TypeError, match="summary: input_size must be a shape"):
            summary(layer, wrong)
    with pytest.raises(TypeError, match="summary: a shape must hold integers"):
        summary(layer, (1.5, 3))
    for sizes in ((), (0, 3), (-1, 3)):
        with pytest.raises(ValueError, match="positive sizes, batch axis first"):
            summary(layer, sizes)
    with pytest.raises(ShapeError) as caught:
        summary(nn.Conv2d(3, 8, 3), (32, 32))
    assert "with the batch axis, such as (1, 3, 32, 32)" in caught.value.__notes__[0]
