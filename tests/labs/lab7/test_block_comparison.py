"""What lab 7 concludes of residual blocks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from lab7 import block_comparison
from lab7.block_comparison import Block

from minigrad.runs import Run, RunRecord

PARAMETERS = {"basic": 4704, "bottleneck": 2960, "wide": 812}


def block(name, *curves):
    """The runs of a block with these test accuracies, one curve for each seed."""
    records = []
    for seed, curve in enumerate(curves):
        results = {
            "best_test_accuracy": max(curve),
            "scatter_over_epochs": float(np.std(curve)),
            "block_parameters": PARAMETERS[name],
        }
        history = [{"epoch": i, "val_accuracy": value} for i, value in enumerate(curve, 1)]
        records.append(RunRecord(f"{name}-{seed}", f"{name}-{seed}", "finished", {}, results, {}, 1.0, history, []))
    return Block(name, records)


def answers(*blocks):
    found = block_comparison.conclusions({b.name: b for b in blocks})
    return [f.agrees for f in found], found


def test_runs_like_the_reports_bear_it_out():
    agrees, _ = answers(
        block("basic", [0.3, 0.6, 0.885], [0.35, 0.7, 0.90], [0.2, 0.6, 0.87]),
        block("bottleneck", [0.3, 0.6, 0.84], [0.35, 0.7, 0.85], [0.2, 0.6, 0.845]),
        block("wide", [0.3, 0.40, 0.475], [0.3, 0.41, 0.476], [0.3, 0.4, 0.474]),
    )
    assert agrees == ["yes", "yes", "yes"]


def test_stability_is_judged_over_seeds_and_not_by_the_climb():
    agrees, found = answers(
        block("basic", [0.3, 0.6, 0.900], [0.35, 0.7, 0.902], [0.2, 0.6, 0.901]),
        block("bottleneck", [0.3, 0.6, 0.93], [0.35, 0.7, 0.95], [0.2, 0.6, 0.94]),
        block("wide", [0.3, 0.40, 0.475], [0.2, 0.31, 0.376], [0.4, 0.5, 0.574]),
    )
    assert agrees == ["in part, 1 of 2", "yes", "in part, 1 of 2"]
    assert "least for wide. That depends on" in found[2].found
    assert "Over the seeds basic 0.0010, bottleneck 0.0100, wide 0.0990: least for basic." in found[2].found


def test_differences_below_the_noise_are_not_clear():
    agrees, _ = answers(
        block("basic", [0.3, 0.90], [0.3, 0.82], [0.3, 0.86]),  # 0.02 apart, more than images alone would scatter
        block("bottleneck", [0.3, 0.83], [0.3, 0.85], [0.3, 0.84]),
        block("wide", [0.7, 0.805], [0.7, 0.835], [0.7, 0.82]),
    )
    assert agrees == ["not clear", "not clear", "not clear"]
    assert answers(block("basic", [0.3, 0.9]))[0] == []


def test_one_seed_says_nothing_of_the_spread():
    agrees, found = answers(block("basic", [0.3, 0.9]), block("bottleneck", [0.3, 0.8]), block("wide", [0.3, 0.5]))
    assert agrees == ["yes", "in part, 2 of 3", "not clear"]
    assert "not known from one" in found[2].found


def test_the_largest_fall_of_a_curve():
    assert block_comparison.largest_fall([0.1, 0.5, 0.4, 0.7, 0.45]) == pytest.approx(0.25)
    assert block_comparison.largest_fall([0.1, 0.5]) == 0
    assert block_comparison.largest_fall([0.1]) == 0


def test_the_report_is_named_only_beside_all_images_and_its_settings(tmp_path, no_pictures):
    members = [(name, block(name, [0.3, 0.9]).records[0]) for name in PARAMETERS]
    for record in (record for _, record in members):
        object.__setattr__(record, "folder", tmp_path / record.name)
        record.results["train_seconds"] = 3.0
    for real, differing, named in ((True, [], True), (False, [], False), (True, ["epochs 3 instead of 10"], False)):
        with Run(tmp_path, "blocks", {}) as parent:
            block_comparison.of_runs(parent, members, real, differing)
        summary = json.loads((parent.folder / "summary.json").read_text())
        assert bool(summary["reference"]) == named
        assert ("conclusions" in summary["results"]) == named
        assert ("0.8853" in (parent.folder / "report.html").read_text()) == named
