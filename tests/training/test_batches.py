"""The loss that is logged is that of the set, however it is cut into batches, and batches of every form are counted."""

from __future__ import annotations

import math
from collections import namedtuple
from types import SimpleNamespace

import cuda_double
import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.training import AUC, Accuracy, Mean, Trainer
from minigrad.training.callbacks import EpochTimer, LRFinder, OverfitOneBatch, TerminateOnNaN

CLASSES, SAMPLES = 4, 50
WEIGHT = minigrad.tensor([0.1, 1.0, 5.0, 20.0])


def numbers(seed, *shape):
    return minigrad.tensor(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def classes(seed, *shape, ignored=0.3, index=-100):
    """Class numbers, of which some are to be ignored."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(CLASSES, shape, p=[0.6, 0.25, 0.1, 0.05])
    return minigrad.tensor(np.where(rng.random(shape) < ignored, index, drawn))


def probabilities(seed, *shape):
    return numbers(seed, *shape).softmax(1)


def batches(x, t, size):
    return [(x[i : i + size], t[i : i + size]) for i in range(0, len(x), size)]


CASES = {
    "plain": (nn.CrossEntropyLoss(), numbers(0, SAMPLES, CLASSES), classes(1, SAMPLES, ignored=0)),
    "weights": (nn.CrossEntropyLoss(WEIGHT), numbers(0, SAMPLES, CLASSES), classes(1, SAMPLES, ignored=0)),
    "ignored": (nn.CrossEntropyLoss(), numbers(0, SAMPLES, CLASSES), classes(1, SAMPLES)),
    "both": (nn.CrossEntropyLoss(WEIGHT, ignore_index=-1), numbers(0, 50, CLASSES), classes(1, 50, index=-1)),
    "a class ignored": (
        nn.CrossEntropyLoss(WEIGHT, ignore_index=1),
        numbers(0, 50, CLASSES),
        classes(1, 50, ignored=0),
    ),
    "smoothed": (nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.1), numbers(0, 50, CLASSES), classes(1, 50)),
    "log-probabilities": (nn.NLLLoss(WEIGHT), numbers(0, SAMPLES, CLASSES), classes(1, SAMPLES)),
    "pixels": (nn.CrossEntropyLoss(WEIGHT), numbers(0, 20, CLASSES, 3, 2), classes(1, 20, 3, 2, ignored=0.7)),
    "soft targets": (nn.CrossEntropyLoss(WEIGHT), numbers(0, 50, CLASSES), probabilities(1, 50, CLASSES)),
    "soft pixels": (nn.CrossEntropyLoss(), numbers(0, 20, CLASSES, 3), probabilities(1, 20, CLASSES, 3)),
    "binary": (nn.BCEWithLogitsLoss(pos_weight=WEIGHT), numbers(0, 50, 4), numbers(1, 50, 4).sigmoid()),
    "regression": (nn.MSELoss(), numbers(0, 50, 3), numbers(1, 50, 3)),
    "divergence": (nn.KLDivLoss(reduction="batchmean"), numbers(0, 50, 4), probabilities(1, 50, 4)),
    "divergence by elements": (nn.KLDivLoss(), numbers(0, 50, 4), probabilities(1, 50, 4)),
}


@pytest.mark.parametrize("size", [1, 7, 16])
@pytest.mark.parametrize("case", CASES)
def test_the_loss_is_that_of_the_set(case, size):
    criterion, x, t = CASES[case]
    expected = criterion(x, t).item()
    model = nn.Sequential(nn.Identity())
    assert Trainer(model, criterion).evaluate(batches(x, t, size))["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [1, 7, 16])
def test_samples_of_different_length_count_by_their_elements(size):
    parts = [(numbers(i, 1, 1 + i % 5), numbers(i + 50, 1, 1 + i % 5)) for i in range(20)]
    squares = np.concatenate([((x - t) ** 2).numpy().ravel() for x, t in parts])
    found = Trainer(nn.Identity(), nn.MSELoss()).evaluate(parts)["loss"]
    assert found == pytest.approx(squares.mean(), rel=1e-5)


def test_the_loss_of_a_training_epoch_is_that_of_the_set():
    criterion, x, t = CASES["both"]
    model = nn.Linear(CLASSES, CLASSES)
    optimizer = minigrad.optim.SGD(model.parameters(), lr=0.0)
    expected = criterion(model(x), t).item()
    (row,) = Trainer(model, criterion, optimizer).fit(batches(x, t, 16), batches(x, t, 9))
    assert row["loss"] == pytest.approx(expected, rel=1e-5)
    assert row["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_criterion_of_ones_own_is_counted_by_samples_or_says_by_what():
    x, t = numbers(0, 5, 2), numbers(1, 5, 2)

    class Doubled(nn.Module):
        reduction = "mean"

        def forward(self, output, target):
            return ((output - target) ** 2).sum(1).mean()

    class Told(Doubled):
        def divisor(self, output, target):
            return 10 if len(target) == 3 else 1

    first, last = [Doubled()(x[s], t[s]).item() for s in (slice(3), slice(3, 5))]
    for criterion, weights in ((Doubled(), (3, 2)), (Told(), (10, 1)), (lambda o, t: Doubled()(o, t), (3, 2))):
        found = Trainer(nn.Identity(), criterion).evaluate(batches(x, t, 3))["loss"]
        assert found == pytest.approx(np.average([first, last], weights=weights))


def test_sums_are_divided_by_samples():
    criterion, x, t = nn.CrossEntropyLoss(WEIGHT, reduction="sum"), *CASES["both"][1:]
    t = t.clip(0)
    found = Trainer(nn.Identity(), criterion).evaluate(batches(x, t, 16))["loss"]
    assert found == pytest.approx(criterion(x, t).item() / SAMPLES, rel=1e-5)


# ---------------------------------------------------------------------------------------------- nothing but ignored


class CrossEntropy(nn.CrossEntropyLoss):
    """Of a batch without a loss the gradient is 0."""

    def forward(self, input, target):
        loss = super().forward(input, target)
        return loss if (target != -100).any() else input.sum() * 0 + float("nan")


@pytest.mark.parametrize("empty", [0, 1, 2])  # which batch
def test_a_batch_of_ignored_targets_counts_for_nothing(empty):
    criterion = CrossEntropy()
    x, t = numbers(0, 12, CLASSES), classes(1, 12, ignored=0)
    t[empty * 4 : empty * 4 + 4] = -100
    model = nn.Linear(CLASSES, CLASSES)
    optimizer = minigrad.optim.SGD(model.parameters(), lr=0.0)
    expected = criterion(model(x), t).item()
    trainer = Trainer(model, criterion, optimizer, callbacks=[TerminateOnNaN()])
    (row,) = trainer.fit(batches(x, t, 4), batches(x, t, 4))
    assert trainer.stopped is None
    assert trainer.step == 3
    assert row["loss"] == pytest.approx(expected, rel=1e-5)
    assert row["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_set_of_ignored_targets_has_no_loss():
    x, t = numbers(0, 4, CLASSES), minigrad.tensor([-100] * 4)
    assert math.isnan(Trainer(nn.Identity(), nn.CrossEntropyLoss()).evaluate([(x, t)])["loss"])


def test_the_mean_leaves_out_what_has_no_weight():
    for number in (float("nan"), minigrad.tensor(float("nan"))):
        for none in (0, 0.0, minigrad.tensor(0.0)):
            mean = Mean()
            mean.update(2.0, 3)
            mean.update(number, none)
            assert mean.compute() == 2.0
            again = Mean()
            again.load_state_dict(mean.state_dict())
            assert again.compute() == 2.0


# ------------------------------------------------------------------------------------------------- batches of all forms

Targets = namedtuple("Targets", "size kind")

FORMS = {
    "tuple": lambda a, b: (a, b),
    "list": lambda a, b: [a, b],
    "dict": lambda a, b: {"size": a, "kind": b},
    "named": lambda a, b: Targets(a, b),
    "nested": lambda a, b: {"both": [a, b], "names": ["x"] * len(a)},
}


def parts_of(targets):
    targets = targets["both"] if isinstance(targets, dict) and "both" in targets else targets
    return list(targets.values()) if isinstance(targets, dict) else list(targets)


def two_losses(output, targets):
    size, kind = parts_of(targets)
    return nn.functional.mse_loss(output[:, 0], size) + nn.functional.cross_entropy(output[:, 1:], kind)


@pytest.mark.parametrize("form", FORMS)
def test_batches_with_several_targets(form):
    minigrad.manual_seed(0)
    x, size, kind = numbers(0, 10, 3), numbers(1, 10), classes(2, 10, ignored=0)
    loader = [(x[i : i + 4], FORMS[form](size[i : i + 4], kind[i : i + 4])) for i in range(0, 10, 4)]
    model = nn.Linear(3, 1 + CLASSES)
    expected = two_losses(model(x), (size, kind)).item()
    timer = EpochTimer()
    overfit = OverfitOneBatch(samples=2, steps=300, loss_share=0.5)
    finder = LRFinder(steps=10)
    optimizer = minigrad.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, two_losses, optimizer, callbacks=[timer, overfit, finder])
    assert trainer.evaluate(loader)["loss"] == pytest.approx(expected, rel=1e-5)
    (row,) = trainer.fit(loader, loader)
    assert timer.state_dict()["samples"] == 10
    assert overfit.passed
    assert len(finder.rates) > 0
    assert math.isfinite(row["val_loss"])


@pytest.mark.parametrize(
    ("batch", "samples"),
    [
        ((minigrad.ones(4, 2), minigrad.ones(4)), 4),
        ((minigrad.ones(4, 2), [minigrad.tensor(1), minigrad.ones(4)]), 4),
        ((minigrad.ones(4, 2), {"names": ["a"] * 4}), 4),
        ((None, range(10)), 10),
        ((None, 3.0), 1),
        ((minigrad.tensor(1.0), minigrad.tensor(2.0)), 1),
    ],
)
def test_samples_of_a_batch(batch, samples):
    trainer = SimpleNamespace(batch=batch)
    timer = EpochTimer()
    timer.on_batch_end(trainer)
    assert timer.state_dict()["samples"] == samples


def test_the_rate_finder_passes_over_batches_without_a_loss():
    x, t = numbers(0, 8, CLASSES), classes(1, 8, ignored=0)
    loader = [(x[:4], t[:4]), (x[4:], minigrad.tensor([-100] * 4)), (x[4:], t[4:])]
    model = nn.Linear(CLASSES, CLASSES)
    finder = LRFinder(steps=12, lowest=1e-4, highest=1e-2)
    optimizer = minigrad.optim.SGD(model.parameters(), lr=0.1)
    Trainer(model, CrossEntropy(), optimizer, callbacks=[finder]).fit(loader)
    assert len(finder.rates) == 8  # of twelve batches four had no loss
    assert all(map(math.isfinite, finder.losses))


# ------------------------------------------------------------------------------------------------------- accuracy


@pytest.mark.parametrize("rows", [[[1, 1, 0]], [[0, 0, 0]], [[1, 0, 0], [0, 1, 1]], [[0.4, 0.4, 0.2]]])
def test_accuracy_refuses_samples_of_several_classes(rows):
    target = minigrad.tensor(np.array(rows, np.float32))
    with pytest.raises(ValueError, match=rf"Accuracy: row {len(rows) - 1} of the target .* of no one class"):
        Accuracy().update(numbers(0, len(rows), 3), target)


def test_accuracy_of_one_of_several_targets_needs_to_know_which():
    with pytest.raises(TypeError, match="Accuracy: target is a tuple, expected a tensor"):
        Accuracy().update(numbers(0, 2, 3), (minigrad.tensor([0, 1]), minigrad.tensor([0, 1])))


def test_auc_refuses_scores_of_several_classes():
    with pytest.raises(ValueError, match=r"AUC: output has shape \(5, 2\), target \(5, 2\)"):
        AUC().update(numbers(0, 5, 2), minigrad.ones(5, 2))


def test_accuracy_takes_one_hot_and_soft_rows():
    output = minigrad.tensor([[0.1, 2.0, 0.3], [0.5, 0.1, 0.2]])
    for rows in ([[0, 1, 0], [0, 0, 1]], [[0.2, 0.7, 0.1], [0.1, 0.1, 0.8]]):
        accuracy = Accuracy()
        accuracy.update(output, minigrad.tensor(rows))
        assert accuracy.compute() == 0.5


def test_losses_are_counted_on_a_gpus_arrays(monkeypatch):
    """There a weight is a tensor, so that no batch waits for the device."""
    cuda_double.install(monkeypatch)
    criterion, x, t = nn.CrossEntropyLoss(WEIGHT.clone(), ignore_index=1), *CASES["ignored"][1:]
    t = t.clip(0)
    t[:7] = 1
    expected = criterion(x, t).item()
    criterion.to("cuda")
    metrics = {"accuracy": Accuracy()}
    found = Trainer(nn.Identity(), criterion, metrics=metrics, device="cuda").evaluate(batches(x, t, 7))
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    plain = nn.CrossEntropyLoss(ignore_index=1)
    expected = plain(x, t).item()
    trainer = Trainer(nn.Identity(), plain, device="cuda")
    assert trainer.evaluate(batches(x, t, 7))["loss"] == pytest.approx(expected, rel=1e-5)
    rows = nn.functional.one_hot(t, CLASSES)
    Accuracy().update(x.to("cuda"), rows.to("cuda"))
    rows[3] = 1
    with pytest.raises(ValueError, match="row 3 of the target"):
        Accuracy().update(x.to("cuda"), rows.to("cuda"))
