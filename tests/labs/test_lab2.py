"""Lab 2: bare tensors and nn go the same way; the data sets are what they should be."""

from __future__ import annotations

import lab2_xor as lab
import numpy as np
import pytest
from lab_run import runner

import minigrad
from minigrad import nn

run = runner(lab)


def test_xor_is_learned_and_both_ways_agree(tmp_path):
    folder, summary = run(tmp_path, "--steps", "1500")
    results = summary["results"]
    assert results["bare_accuracy"] == results["nn_accuracy"] == 1.0
    assert results["bare_loss"] < 0.05
    assert results["largest_relative_difference"] < 1e-4
    rows = (folder / "history.csv").read_text().splitlines()
    assert rows[0] == "step,bare_loss,bare_accuracy,nn_loss,nn_accuracy"
    assert len(rows) == 1 + 2 * 500
    assert (folder / "report.html").read_text().count("data:image/png") == 2
    bare, layers = minigrad.load(folder / "bare.safetensors"), minigrad.load(folder / "nn.safetensors")
    assert minigrad.allclose(bare["w1"], layers["0.weight"].T, atol=1e-4)


@pytest.mark.parametrize("dataset", ["circles", "moons"])
@pytest.mark.parametrize("experiment", ["bare", "nn"])
def test_variants(tmp_path, dataset, experiment):
    folder, summary = run(tmp_path, "--quick", "--dataset", dataset, "--experiment", experiment)
    assert set(summary["results"]) == {f"{experiment}_loss", f"{experiment}_accuracy"}
    assert folder.name == f"001-{dataset}-{experiment}"
    assert (folder / "decision_surface.png").exists()


def test_figures_repeat_with_the_seed(tmp_path):
    first, again, other = [
        run(tmp_path / n, "--quick", "--seed", seed)[0] for n, seed in (("a", "1"), ("b", "1"), ("c", "2"))
    ]
    assert (first / "history.csv").read_bytes() == (again / "history.csv").read_bytes()
    assert (first / "history.csv").read_bytes() != (other / "history.csv").read_bytes()


def test_data():
    x, t = lab.make_data("xor", np.random.default_rng(0), 0)
    assert (x.shape, t.shape) == ((1000, 2), (1000, 1))
    corners = x.numpy().round().astype(int)
    assert ((corners[:, 0] != corners[:, 1]) == t.numpy().ravel()).mean() > 0.99
    assert 0.4 < t.mean().item() < 0.6
    assert np.abs((x.numpy() - corners).std() - 0.1) < 0.01


def test_log_loss_is_bce_summed_and_survives_certainty():
    p, t = minigrad.rand(20, 1), (minigrad.rand(20, 1) > 0.5).float()
    expected = nn.functional.binary_cross_entropy(p, t, reduction="sum")
    assert lab.log_loss(p, t).item() == pytest.approx(expected.item(), rel=1e-5)
    assert np.isfinite(lab.log_loss(minigrad.tensor([0.0, 1.0]), minigrad.tensor([0.0, 1.0])).item())
