"""Advice follows what was measured: networks are spoiled in several ways, and the findings must name the way."""

from __future__ import annotations

import re
from pathlib import Path

import lab4_lenet
import pytest
from lab4 import advice

from minigrad.runs import RunRecord


def record(name="run", accuracy=0.9, history=(), config=None, **results):
    settings = {"lr": 1e-3, "lr_strategy": "fixed", "epochs": 3, **(config or {})}
    results = {"test_accuracy": accuracy, **results}
    return RunRecord(Path(name), name, "finished", settings, results, {}, 1.0, [dict(row) for row in history], [])


def texts(findings, about):
    return " ".join(f.text for f in findings if f.about == about)


# ------------------------------------------------------------------------------------------------- trained networks


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """LeNet-5 on made-up digits: sound, and spoiled in five ways of which only two are experiments of the lab."""
    ways = {
        "sound": [],
        "rate far too low": ["--lr", "1e-7"],
        "rate far too high": ["--lr", "0.3"],
        "wide weights": ["--init", "wide"],
        "raw pixels and wide weights": ["--init", "wide", "--inputs", "raw"],
        "raw pixels": ["--inputs", "raw"],
    }
    records = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIGRAD_DATA", "/no/data/here")
        for picture in ("pictures", "of_run"):  # which take longer than the training
            patch.setattr(lab4_lenet.report, picture, lambda *args: None)
        for way, options in ways.items():
            out = tmp_path_factory.mktemp("runs")
            assert lab4_lenet.main(["--quick", "--out", str(out), *options]) == 0
            (folder,) = [path for path in out.iterdir() if path.is_dir()]
            records[way] = RunRecord.read(folder)
    return records


def findings_of(trained, way):
    spoiled = trained[way]
    renamed = RunRecord(**{**vars(spoiled), "name": "spoiled"})
    found = advice.advise([trained["sound"], renamed], test_images=300)
    assert found[0].text.startswith("baseline has the highest test accuracy")
    return texts(found, "spoiled")


def test_a_rate_far_too_low(trained):
    text = findings_of(trained, "rate far too low")
    assert "the learning rate is too low for so few epochs, try" in text
    (proposed,) = re.findall(r"try (\S+?)\.(?: |$)", text)
    assert 1e-4 < float(proposed) < 1e-1
    assert "too high" not in text
    assert "aturated" not in text


def test_a_rate_far_too_high(trained):
    text = findings_of(trained, "rate far too high")
    assert "Training itself drove layers into saturation" in text
    assert "the learning rate is too high" in text
    assert "initial weights are too large" not in text


def test_wide_weights(trained):
    text = findings_of(trained, "wide weights")
    assert "Saturated before the first step" in text
    assert "initial weights are too large" in text
    assert "inputs are too large" not in text
    assert "learning rate" not in text


def test_large_inputs_are_told_from_large_weights(trained):
    text = findings_of(trained, "raw pixels and wide weights")
    assert "inputs are too large" in text
    raw = trained["raw pixels"]
    assert raw.results["input_rms"] > 50
    assert max(raw.results["weight_gain"].values()) < 1.5
    assert raw.results["layers"]["tanh1"]["saturated"][0] > 0.5


def test_a_sound_run_has_nothing_wrong_with_it(trained):
    assert texts(advice.advise([trained["sound"]], 300), "baseline") == ""


# --------------------------------------------------------------------------------------------------- hand-made ones


def test_one_changed_setting_is_weighed_against_chance():
    a, b = record("a", 0.98, config={"batch_size": 128}), record("b", 0.975, config={"batch_size": 32})
    text = texts(advice.advise([a, b], 10_000), "all runs")
    assert "batch size 128 (a) against 32 (b): test accuracy +0.0050, more than chance would give." in text
    text = texts(advice.advise([a, b], 400), "all runs")
    assert "no more than chance would give" in text
    assert "Within 0.0140 of it" in text
    assert "apart: b." in text


def test_the_better_of_two_strategies_is_whichever_it_is():
    fixed = record("fixed", 0.985)
    cyclical = record("swing", 0.97, config={"lr_strategy": "cyclical", "base_lr": 1e-4, "max_lr": 5e-3})
    assert (
        "fixed has the highest test accuracy, 0.9850 (fixed rate, 0.001)"
        in advice.advise([cyclical, fixed], 1000)[0].text
    )
    cyclical.results["test_accuracy"] = 0.99
    assert "swing has the highest test accuracy, 0.9900 (cyclical rate, 0.0001 to 0.005)" in (
        advice.advise([cyclical, fixed], 1000)[0].text
    )


def test_labels_that_mean_nothing_are_suspected_when_all_else_is_sound():
    good = record("good", 0.98, [{"epoch": 1, "update_ratio": 0.004, "accuracy": 0.98, "val_accuracy": 0.98}])
    lost = record("lost", 0.1, [{"epoch": 1, "update_ratio": 0.004, "accuracy": 0.11, "val_accuracy": 0.1}])
    assert "look at the labels" in texts(advice.advise([good, lost], 1000), "lost")
    odd = record("odd", 0.5, [{"epoch": 1, "update_ratio": 0.004, "accuracy": 0.5, "val_accuracy": 0.5}])
    assert "None of the symptoms" in texts(advice.advise([good, odd], 1000), "odd")


def test_weights_that_stand_still_and_gradients_out_of_bounds():
    good = record("good", 0.98, [{"epoch": 1, "update_ratio": 0.004}])
    still = record("still", 0.1, [{"epoch": 1, "update_ratio": 0.0}], gradient_verdicts=["epoch 1: fc1 vanishes"])
    text = texts(advice.advise([good, still], 1000), "still")
    assert "do not move at all" in text
    assert "Gradients: epoch 1: fc1 vanishes." in text


def test_learning_by_heart_and_stopping_too_soon():
    by_heart = [
        {"epoch": i, "accuracy": a, "val_accuracy": 0.9, "val_loss": loss, "update_ratio": 0.004}
        for i, (a, loss) in enumerate([(0.9, 0.3), (0.95, 0.25), (0.99, 0.4)], 1)
    ]
    text = texts(advice.advise([record("heart", 0.9, by_heart)], 1000), "heart")
    assert "training accuracy is 0.090 above" in text
    assert "rose from 0.2500 (epoch 2) to 0.4000" in text
    early = [{"epoch": i, "val_loss": loss, "update_ratio": 0.004} for i, loss in enumerate([1.0, 0.5], 1)]
    text = texts(advice.advise([record("early", 0.7, early), record("good", 0.98, early)], 1000), "early")
    assert "still fell by 50% in the last epoch" in text


def test_a_nan_is_the_first_thing_said():
    good = record("good", 0.98)
    broken = record("broken", 0.1, stopped="NaN at epoch 1 began in the layer fc1 (TerminateOnNaN)")
    assert texts(advice.advise([good, broken], 1000), "broken").split("run. ")[1].startswith("NaN at epoch 1")


def test_correlation():
    rows = [{"epoch": i, "weight_change": c, "val_accuracy": a} for i, (c, a) in enumerate([(3, 1), (2, 2), (1, 3)])]
    assert advice.correlation(rows, "weight_change", "val_accuracy") == pytest.approx(-1)
    assert advice.correlation(rows[:2], "weight_change", "val_accuracy") is None
    assert advice.correlation([{**row, "val_accuracy": 1.0} for row in rows], "weight_change", "val_accuracy") is None
    text = texts(advice.advise([record("r", 0.9, rows)], 1000), "all runs")
    assert "correlate by -1.000" in text
    assert "move less as the network gets better" in text
    rising = [{**row, "weight_change": -row["weight_change"]} for row in rows]
    assert "better in the epochs in which its weights moved most" in texts(
        advice.advise([record("r", 0.9, rising)], 1000), "all runs"
    )


def test_no_run_with_a_figure():
    bare = record("bare")
    del bare.results["test_accuracy"]
    assert "nothing to compare" in advice.advise([bare], 1000)[0].text
