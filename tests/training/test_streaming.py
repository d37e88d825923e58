"""Metrics over many batches: the same number however the data is cut, and from a file."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad.training import AUC, Accuracy, Mean, Metric, load_checkpoint, save_checkpoint


def tensor(values, dtype=np.float32):
    return minigrad.tensor(np.asarray(values, dtype))


def cut(rng, arrays):
    """The arrays in batches of random sizes."""
    places = sorted(rng.integers(0, len(arrays[0]) + 1, 3))
    return [b for b in zip(*(np.split(a, places) for a in arrays), strict=True) if len(b[0])]


def measured(metric, batches):
    metric.reset()
    for output, target in batches:
        metric.update(minigrad.tensor(output), minigrad.tensor(target))
    return metric.compute()


# ------------------------------------------------------------------------------------------------------------- mean


def test_the_mean_over_samples():
    mean = Mean()
    assert math.isnan(mean.compute())
    mean.update(minigrad.tensor(1.0), 3)
    mean.update(5.0)
    assert mean.compute() == 2.0
    mean.update(np.float32(4.0), 2)
    assert mean.compute() == 16 / 6
    mean.reset()
    mean.update(minigrad.tensor([6.0]), weight=1, count=4)  # a sum over four samples
    assert mean.compute() == 1.5


def test_the_mean_keeps_no_graph():
    mean, w = Mean(), minigrad.tensor(2.0, requires_grad=True)
    mean.update(w * 3)
    assert isinstance(mean.total, float)


# --------------------------------------------------------------------------------------------------------- accuracy


@given(st.integers(0, 10**6), st.integers(2, 5), st.sampled_from(["numbers", "one-hot"]))
def test_accuracy_of_classes(seed, classes, form):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 30)
    scores, truth = rng.standard_normal((n, classes)), rng.integers(0, classes, n)
    target = truth if form == "numbers" else np.eye(classes, dtype=np.float32)[truth]
    expected = (scores.argmax(1) == truth).mean()
    assert measured(Accuracy(), cut(rng, (scores, target))) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 10**6), st.sampled_from([(), (1,)]), st.sampled_from([(), (1,)]), st.sampled_from([0.0, 0.5]))
def test_accuracy_of_two_classes(seed, output_axes, target_axes, threshold):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 30)
    scores, truth = rng.random(n), rng.integers(0, 2, n)
    batches = cut(rng, (scores.reshape(n, *output_axes), truth.reshape(n, *target_axes).astype(np.float32)))
    expected = ((scores > threshold) == truth).mean()
    assert measured(Accuracy(threshold), batches) == pytest.approx(expected, abs=1e-12)


def test_accuracy_takes_bools_and_tensors_with_a_graph():
    metric = Accuracy()
    metric.update(minigrad.tensor([1.0, -1.0], requires_grad=True) * 2, minigrad.tensor([True, True]))
    assert metric.compute() == 0.5
    assert math.isnan(Accuracy().compute())


@pytest.mark.parametrize(
    ("output", "target"),
    [((4, 3), (4, 1)), ((4, 3), (3,)), ((4, 3), (4, 2)), ((4,), (3,)), ((4, 1), (4, 2)), ((4, 2, 3), (4,))],
)
def test_accuracy_of_shapes_that_do_not_fit(output, target):
    """Class numbers of shape (N, 1) beside scores (N, K), above all: they must not be taken for one-hot rows."""
    metric = Accuracy()
    with pytest.raises(ValueError, match=r"Accuracy: output has shape .*expected"):
        metric.update(minigrad.randn(*output), minigrad.zeros(*target))
    assert metric.count == 0


# -------------------------------------------------------------------------------------------------------------- auc


def area(scores, truth):
    """How often one of class 1 is above one of class 0; a tie is half a win."""
    above = scores[truth > 0.5][:, None] - scores[truth < 0.5][None]
    return (above > 0).mean() + (above == 0).mean() / 2


@given(st.integers(0, 10**6), st.booleans())
def test_area_under_the_curve(seed, ties):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 40))
    scores = rng.integers(0, 4, (n, 1)).astype(np.float32) if ties else rng.standard_normal((n, 1))
    truth = (rng.permutation(n) < rng.integers(1, n)).astype(np.float32)
    assert measured(AUC(), cut(rng, (scores, truth))) == pytest.approx(area(scores[:, 0], truth), abs=1e-9)


def test_areas_that_are_none():
    assert math.isnan(AUC().compute())
    assert math.isnan(measured(AUC(), [(np.ones(3), np.ones(3))]))
    assert math.isnan(measured(AUC(), [(np.ones(3), np.zeros(3))]))
    assert math.isnan(measured(AUC(), [(np.array([0.1, np.nan, 0.3]), np.array([0.0, 1.0, 1.0]))]))
    assert measured(AUC(), [(np.array([-np.inf, 0.1, np.inf]), np.array([0.0, 0.0, 1.0]))]) == 1.0
    with pytest.raises(ValueError, match=r"AUC: output has shape \(3, 2\), target \(3,\)"):
        AUC().update(minigrad.ones(3, 2), minigrad.ones(3))


def test_what_was_gathered_does_not_change_with_the_tensors():
    metric, scores = AUC(), minigrad.tensor([0.0, 1.0])
    metric.update(scores, minigrad.tensor([0.0, 1.0]))
    scores.fill_(0.5)
    assert metric.compute() == 1.0


# ---------------------------------------------------------------------------------------------- clones and files


class Largest(Metric):
    """One of a user's own: it keeps a tensor and a list of arrays, and needs no state_dict of its own."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.largest = minigrad.tensor(-np.inf)
        self.seen = []

    def update(self, output, target):
        self.largest = minigrad.maximum(self.largest, output.max())
        self.seen.append(target.numpy())

    def compute(self):
        return self.largest.item() + sum(a.sum() for a in self.seen)


@pytest.mark.parametrize("metric", [Accuracy(0.5), AUC(), Largest()], ids=lambda m: type(m).__name__)
def test_half_way_through_a_file(tmp_path, metric):
    rng = np.random.default_rng(2)
    batches = [(rng.random(5), rng.integers(0, 2, 5).astype(np.float32)) for _ in range(4)]
    expected = measured(metric.clone(), batches)
    first, second = metric.clone(), metric.clone()
    for output, target in batches[:2]:
        first.update(minigrad.tensor(output), minigrad.tensor(target))
    save_checkpoint(first.state_dict(), tmp_path / "metric.safetensors")
    second.update(minigrad.ones(3), minigrad.ones(3))  # is forgotten
    second.load_state_dict(load_checkpoint(tmp_path / "metric.safetensors"))
    for output, target in batches[2:]:
        second.update(minigrad.tensor(output), minigrad.tensor(target))
    assert second.compute() == expected


def test_a_fresh_state_goes_through_a_file(tmp_path):
    for i, metric in enumerate((Mean(), Accuracy(), AUC())):
        save_checkpoint(metric.state_dict(), tmp_path / f"{i}.safetensors")
        metric.load_state_dict(load_checkpoint(tmp_path / f"{i}.safetensors"))
        assert math.isnan(metric.compute())


def test_clones_share_nothing():
    metric = AUC()
    metric.update(minigrad.tensor([0.0, 1.0]), minigrad.tensor([0.0, 1.0]))
    clone = metric.clone()
    clone.update(minigrad.tensor([1.0]), minigrad.tensor([0.0]))
    assert len(metric.scores) == 1
    assert metric.compute() == 1.0


def test_a_metric_must_say_what_it_does():
    class Nothing(Metric):
        pass

    for call in (Nothing().reset, Nothing().compute, lambda: Nothing().update(1, 1)):
        with pytest.raises(NotImplementedError, match=r"Nothing: .* is missing"):
            call()
