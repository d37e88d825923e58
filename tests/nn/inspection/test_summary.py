"""The table of a model: known parameter counts, multiply-adds by hand and by PyTorch, receptive fields by gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.errors import ShapeError
from minigrad.utils import summary


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
