"""What lab 5 concludes from figures."""

from __future__ import annotations

import pytest
from lab5 import comparison

from minigrad.runs import RunRecord


def record(tmp_path, name, network, **results):
    return RunRecord(tmp_path / name, name, "finished", {"network": network}, results, {}, 1.0, [{"epoch": 1.0}], [])


FIGURES = {
    "mnist-fc": {"best_test_accuracy": 0.978, "train_accuracy": 0.995, "train_seconds": 10, "inference_seconds": 0.1},
    "mnist-cnn": {"best_test_accuracy": 0.985, "train_accuracy": 0.993, "train_seconds": 20, "inference_seconds": 0.2},
    "mnist-rescnn": {"best_test_accuracy": 0.992, "train_accuracy": 0.996, "train_seconds": 30, "inference_seconds": 1},
    "cifar10-fc": {"best_test_accuracy": 0.55, "train_seconds": 10, "mean_grad_norm": 1.0, "overfitting": "yes"},
    "cifar10-rescnn": {"best_test_accuracy": 0.74, "train_seconds": 50, "mean_grad_norm": 0.9, "overfitting": "begins"},
    "cifar10-regrescnn": {"best_test_accuracy": 0.72, "train_seconds": 50, "mean_grad_norm": 1.2, "overfitting": "no"},
}


def answers(tmp_path, **changes):
    """What is said of each conclusion when some figures are others than those above, which bear the report out."""
    networks = {}
    for name, figures in FIGURES.items():
        changed = {**figures, **changes.get(name.replace("-", "_"), {})}
        networks[name] = comparison.Network(name, [record(tmp_path, name, name.partition("-")[2], **changed)])
    return [finding.agrees for finding in comparison.conclusions(networks)]


def test_figures_like_the_reports_bear_all_of_its_conclusions_out(tmp_path):
    assert answers(tmp_path) == ["yes"] * 6


@pytest.mark.parametrize(
    ("changes", "at", "expected"),
    [
        ({"mnist_fc": {"train_accuracy": 0.98}}, 0, "no"),
        ({"mnist_rescnn": {"best_test_accuracy": 0.9852}}, 1, "not clear"),
        ({"mnist_rescnn": {"best_test_accuracy": 0.978}}, 1, "in part, 1 of 2"),
        ({"mnist_rescnn": {"train_seconds": 5, "inference_seconds": 0.01}}, 2, "in part, 2 of 4"),
        ({"cifar10_rescnn": {"best_test_accuracy": 0.5}}, 3, "in part, 3 of 4"),
        ({"cifar10_regrescnn": {"overfitting": "yes"}}, 4, "in part, 2 of 3"),
        ({"cifar10_fc": {"mean_grad_norm": 0.5}}, 5, "in part, 1 of 2"),
    ],
)
def test_other_figures_do_not(tmp_path, changes, at, expected):
    found = answers(tmp_path, **changes)
    assert found[at] == expected
    assert [a for i, a in enumerate(found) if i != at] == ["yes"] * 5


def test_seeds_that_disagree_leave_the_gradients_unclear(tmp_path):
    def network(name, norms):
        records = [record(tmp_path, name, name, mean_grad_norm=norm) for norm in norms]
        return comparison.Network(name, records)

    found = comparison._gradients(network("FC", [1, 1]), network("R", [0.9, 1.1]), network("G", [2, 2]))
    assert found.agrees == "not clear"
