"""Lab 8: its networks, runs and groups of runs, what is said of their figures."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import lab8_loan_auc as lab
import numpy as np
import pytest
from lab8 import comparison, data, report
from lab8.network import SkipBlock, network
from lab_run import runner
from made_up_loans import write_both
from sklearn.metrics import roc_auc_score

import minigrad
from minigrad import nn
from minigrad.runs import Run, RunRecord
from minigrad.training import load_checkpoint

run = runner(lab)


# ------------------------------------------------------------------------------------------------------- the networks


@pytest.mark.parametrize(
    ("experiment", "parameters"),
    [("simple", 8_769), ("deep", 396_801), ("skip", 397_569), ("dropout-run", 397_569), ("weight-decay-run", 397_569)],
)
def test_parameters(experiment, parameters):
    settings = lab.RUNS[experiment]
    model = network(settings.net, settings.dropout)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model(minigrad.rand(3, 11)).shape == (3, 1)


def test_a_block_with_a_skip_adds_to_its_input():
    block = SkipBlock(dropout=0.5, size=8)
    with minigrad.no_grad():
        block.down.weight.zero_()
        block.down.bias.zero_()
    x = minigrad.randn(5, 8)
    assert minigrad.equal(block(x), x)
    assert [type(layer) for layer in block.children()] == [nn.BatchNorm1d, nn.Linear, nn.Dropout, nn.Linear]
    assert [layer.p for layer in network("skip", dropout=0.5).modules() if isinstance(layer, nn.Dropout)] == [0.5] * 3


# ----------------------------------------------------------------------------------------------------------- the runs


def test_quick_run_on_look_alikes_reports_nothing_as_the_labs(tmp_path, capsys):
    folder, summary = run(tmp_path, "--quick")
    assert summary["status"] == "finished"
    assert summary["results"]
    assert all(name.startswith("look_alike_quick_") for name in summary["results"])
    assert summary["reference"] == {}
    assert any("made-up" in notice for notice in summary["notices"])
    assert "made-up" in capsys.readouterr().out
    page = (folder / "report.html").read_text()
    assert "made-up" in page
    assert "0.9284" not in page
    assert page.count("data:image/png") == 3
    assert (folder / "history.csv").read_text().splitlines()[0] == "epoch,loss,auc,val_loss,val_auc"
    assert list((folder / "tensorboard").glob("events*"))


def test_a_run_and_what_it_leaves(tmp_path, no_pictures):
    write_both(tmp_path / "data")
    folder, summary = run(tmp_path, "--data", str(tmp_path / "data"), "--epochs", "6", "--lr", "0.1")
    found, record = summary["results"], RunRecord.read(folder)
    auc, loss = record.column("val_auc")[1], record.column("val_loss")[1]
    assert found["other_split_best_test_auc"] == max(auc)
    assert found["other_split_best_epoch"] == auc.index(max(auc)) + 1
    assert found["other_split_lowest_test_loss"] == min(loss)
    assert summary["reference"]["best test AUC"] == 0.9284
    page = (folder / "report.html").read_text()
    assert "this run is not the report&#39;s: epochs 6 instead of 65, lr 0.1 instead of 0.01, other split" in page

    model, loans = network("simple"), data.load(str(tmp_path / "data"))
    for file, figures, best in (("weights", loss, min(loss)), ("checkpoints/auc/best", auc, max(auc))):
        model.load_state_dict(minigrad.load(folder / f"{file}.safetensors"))
        model.eval()
        with minigrad.no_grad():
            logits = model(minigrad.tensor(loans.test[0]))
        epoch = figures.index(best)
        assert roc_auc_score(loans.test[1].ravel(), logits.numpy().ravel()) == pytest.approx(auc[epoch], abs=1e-6)


def test_batches_of_32_in_random_order(tmp_path, no_pictures, monkeypatch):
    asked = []

    class Recorded(lab.DataLoader):
        def __init__(self, dataset, batch_size, shuffle=False):
            asked.append((len(dataset), batch_size, shuffle))
            super().__init__(dataset, batch_size, shuffle)

    monkeypatch.setattr(lab, "DataLoader", Recorded)
    run(tmp_path, "--quick")
    assert asked[0] == (640, 32, True)
    assert asked[1][::2] == (320, False)


def test_a_checkpoint_knows_the_best_epoch_by_both_figures(tmp_path, no_pictures):
    folder, _ = run(tmp_path, "--quick", "--epochs", "1")
    callbacks, (row,) = load_checkpoint(folder / "checkpoints")["callbacks"], RunRecord.read(folder).history
    best = [callbacks[name]["best"]["value"] for name in ("ModelCheckpoint", "ModelCheckpoint-2")]
    assert best == [row["val_auc"], row["val_loss"]]


def test_dropout_as_a_group(tmp_path):
    write_both(tmp_path / "data")
    folder, summary = run(tmp_path, "--experiment", "dropout", "--quick", "--data", str(tmp_path / "data"))
    names = [f"dropout-{p}" for p in ("0.01", "0.1", "0.2", "0.5", "0.9")]
    assert list(summary["results"]) == names
    assert summary["reference"] == {}
    page = (folder / "report.html").read_text()
    for i, name in enumerate(names, 1):
        assert f'href="{i:03d}-{name}/report.html"' in page
        record = RunRecord.read(folder / f"{i:03d}-{name}")
        assert (record.status, record.config["dropout"]) == ("finished", float(name.partition("-")[2]))
    best = [float(x) for x in re.findall(r"dropout-[\d.]+</a>.*?<td[^>]*>[^<]*</td>\s*<td[^>]*>([\d.]+)", page, re.S)]
    assert best == sorted(best, reverse=True)
    assert len(best) == 5
    assert "nothing is said about the report" in page
    assert page.count("data:image/png") == 2


def test_the_nine_runs_of_weight_decay_are_single_runs_with_options(tmp_path, no_pictures):
    folder, _ = run(tmp_path, "--quick", "--experiment", "weight-decay-run", "--lr", "0.1", "--weight-decay", "0.01")
    assert folder.name == "001-wd-0.01-lr-0.1"
    config = RunRecord.read(folder).config
    assert (config["lr"], config["weight_decay"], config["dropout"], config["net"]) == (0.1, 0.01, 0.5, "skip")
    other, _ = run(tmp_path, "--quick", "--experiment", "weight-decay-run", "--lr", "0.1", "--weight-decay", "0.1")
    assert (folder / "history.csv").read_bytes() != (other / "history.csv").read_bytes()
    own = lab.RUNS["weight-decay-run"]
    grid = {(d, lr) for d in (0.1, 0.01, 0.001) for lr in (0.01, 0.05, 0.1)}
    assert {(changes["weight_decay"], changes["lr"]) for _, changes in lab.GROUPS["weight-decay"]} == grid
    assert (own.weight_decay, own.lr, own.dropout, own.epochs) == (0.001, 0.05, 0.5, 30)
    assert len(lab.GROUPS["all"]) == 17


@pytest.mark.parametrize("experiment", ["simple", "dropout-run"])
def test_the_template_starts_a_like_run(tmp_path, experiment, no_pictures):
    extra = ["--dropout", "0.2"] if experiment == "dropout-run" else []
    first, _ = run(tmp_path, "--quick", "--experiment", experiment, "--seed", "5", "--batch-size", "16", *extra)
    again, _ = run(tmp_path, "--config", str(first / "experiment_template.json"))
    assert first.name[4:] == again.name[4:]
    assert RunRecord.read(first).config == RunRecord.read(again).config
    assert (first / "history.csv").read_bytes() == (again / "history.csv").read_bytes()
    other, _ = run(tmp_path, "--config", str(first / "experiment_template.json"), "--seed", "6")
    assert (first / "history.csv").read_bytes() != (other / "history.csv").read_bytes()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--experiment", "dropout", "--dropout", "0.3"], "the runs of dropout differ in it; for one run take"),
        (["--experiment", "weight-decay", "--lr", "0.3"], "--lr: the runs of weight-decay differ in it"),
        (["--experiment", "all", "--weight-decay", "0.3"], "--weight-decay: the runs of all differ in it"),
        (["--dropout", "0.3"], "the network of simple has no dropout"),
        (["--experiment", "skip", "--dropout", "1"], "'1' is not a number from 0 to below 1"),
        (["--weight-decay", "-0.1"], "'-0.1' is not 0 or a number above it"),
        (["--lr", "0"], "'0' is not a number above 0"),
    ],
)
def test_bad_options(tmp_path, capsys, argv, message):
    with pytest.raises(SystemExit) as error:
        lab.main([*argv, "--quick", "--out", str(tmp_path / "out")])
    assert error.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    folder, summary = run(tmp_path, "--quick", "--lr", "1e30")
    assert any("the loss is nan; try a lower learning rate" in notice for notice in summary["notices"])
    assert any("No epoch was finished" in notice for notice in summary["notices"])
    assert (folder / "report.html").exists()


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path, no_pictures):
    write_both(tmp_path / "data", train=320)
    argv = ["--experiment", "dropout-run", "--epochs", "8", "--data", str(tmp_path / "data")]
    whole, _ = run(tmp_path, *argv)
    # A process that is killed as soon as it has finished an epoch, wherever it is in the next one.
    out = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, lab.__file__, *argv, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    patience = time.monotonic() + 120
    while not list(out.glob("*/checkpoints/step-*.safetensors")) and time.monotonic() < patience:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder,) = out.iterdir()
    assert RunRecord.read(folder).status == "running"  # as a killed run looks
    lines = (folder / "history.csv").read_text().splitlines() if (folder / "history.csv").exists() else []
    assert len(lines) < 9
    assert lab.main(["--resume", str(folder), "--data", str(tmp_path / "data")]) == 0
    assert RunRecord.read(folder).status == "finished"
    assert (folder / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()
    weights = [minigrad.load(path / "weights.safetensors") for path in (folder, whole)]
    assert all(minigrad.equal(weights[0][key], weights[1][key]) for key in weights[1])


def test_a_group_that_was_stopped_goes_on_with_the_runs_that_are_left(tmp_path, monkeypatch, no_pictures):
    write_both(tmp_path / "data")
    argv = ["--experiment", "dropout", "--quick", "--data", str(tmp_path / "data")]
    whole, _ = run(tmp_path, *argv)
    made, train = [], lab.train

    def fails_at_the_third(run, *rest):
        made.append(run.name)
        if len(made) == 3:
            raise KeyboardInterrupt
        train(run, *rest)

    monkeypatch.setattr(lab, "train", fails_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        lab.main([*argv, "--out", str(tmp_path / "stopped")])
    (folder,) = (tmp_path / "stopped").iterdir()
    assert lab.main(["--resume", str(folder), "--data", str(tmp_path / "data")]) == 0
    assert made == ["dropout-0.01", "dropout-0.1", "dropout-0.2", "dropout-0.2", "dropout-0.5", "dropout-0.9"]
    for path in whole.glob("*-dropout-*"):
        assert (folder / path.name / "history.csv").read_bytes() == (path / "history.csv").read_bytes()


# -------------------------------------------------------------------------------------------- what is said of figures


def test_only_the_labs_own_loans_give_a_figure_without_a_prefix():
    assert report.figure_name("best_test_auc", "loans", quick=False) == "best_test_auc"
    for kind, quick in (("loans", True), ("other split", False), ("look-alike", True)):
        assert report.figure_name("best_test_auc", kind, quick) != "best_test_auc"


def curve(values):
    return report.Curve(np.arange(1, len(values) + 1), np.array(values), report.smooth(values, 0.6))


def noisy(level, noise=0.0002, epochs=30, seed=0):
    return curve(level + noise * np.random.default_rng(seed).standard_normal(epochs))


def test_a_curve_knows_its_best_epochs_and_its_noise():
    values = [0.5, 0.9, 0.7, 0.8]
    found = curve(values)
    smoothed = [0.5, (0.24 * 0.5 + 0.4 * 0.9) / 0.64]  # weights 0.4 · 0.6ᵏ, made to add up to 1
    np.testing.assert_allclose(found.smoothed[:2], smoothed)
    assert (found.best, found.best_epoch) == (0.9, 2)
    assert found.best_smoothed == found.smoothed.max()
    assert found.best_smoothed_epoch == found.smoothed.argmax() + 1
    assert found.end.tolist() == [0.7, 0.8]
    assert np.isnan(curve([0.5, 0.6]).noise)
    trend = np.linspace(0.8, 0.9, 400) + 0.001 * np.random.default_rng(0).standard_normal(400)
    assert curve(trend).noise == pytest.approx(0.001, rel=0.15)


def test_the_sampling_error_is_what_drawing_again_gives():
    rng = np.random.default_rng(0)
    truth = np.arange(400) < 80
    scores = rng.exponential(size=(400, 400)) * np.where(truth, 5.0, 1.0)
    drawn = [(row[truth][:, None] > row[~truth]).mean() for row in scores]
    # Hanley and McNeil's Q₁ and Q₂ are those of exponential scores, so the formula is exact here.
    assert report.sampling_error(np.mean(drawn), 80, 320) == pytest.approx(np.std(drawn), rel=0.1)


def loans_of(kind="loans"):
    truth = (np.arange(400) < 60).astype(np.float32)[:, None]
    return data.Loans((truth, truth), (truth, truth), kind)


@pytest.mark.parametrize(
    ("level", "differing", "message"),
    [
        (0.9281, [], "scatters by 0.0001: no more than chance"),
        (0.9200, [], "does not say which loans it drew: no more than chance"),
        (0.7000, [], "explains that"),
        (0.7000, ["epochs 3 instead of 65"], "this run is not the report's: epochs 3 instead of 65."),
    ],
)
def test_the_distance_to_the_report_is_explained_by_what_was_measured(level, differing, message):
    theirs = report.REFERENCE["simple"]
    text = report.distance(noisy(level), theirs, loans_of(), differing)
    assert message in text
    assert f"{noisy(level).best - theirs.best:+.4f}" in text


def page_of(tmp_path, test_losses):
    with Run(tmp_path, "simple", {"quick": False, "dropout": 0.25}) as page:
        for i, test in enumerate(test_losses):
            page.log(i + 1, loss=0.4 - 0.02 * i, auc=0.81 + 0.01 * i, val_loss=test, val_auc=0.9 + 0.0001 * i)
        report.of_run(page, loans_of(), {"lowest test loss": minigrad.arange(400.0)}, [])
    return (page.folder / "report.html").read_text()


def test_the_page_says_what_the_losses_do(tmp_path, no_pictures):
    turning = page_of(tmp_path, [0.2 + 0.001 * (i - 3) ** 2 for i in range(10)])
    assert re.search(
        r"is lowest in epoch [45], 0.20\d\d, and then rises to 0.22\d\d, while the training loss goes", turning
    )
    assert "The training loss is above the test loss in 9 of 10 epochs" in turning
    assert "with 25% of the hidden values left out" in turning
    assert "the AUC of the training loans is 0.9000, 0.0009 below that of the test loans" in turning
    assert "AUC 0.0000 with the weights of the lowest test loss" in no_pictures["roc"]  # scores rise where truth is 0
    assert "is lowest in epoch 10, 0.22" in page_of(tmp_path, [0.3 - 0.01 * i for i in range(10)])
    noisy_end = 0.2 + 0.01 * np.array([9, 6, 3, 1, 0, 1, -1, 1, -1, 1])
    assert "not yet above it by more than the scatter of one epoch" in page_of(tmp_path, noisy_end)


NAMES = ["simple", "deep", "skip", *(f"dropout-{p}" for p in ("0.9", "0.01", "0.1", "0.2", "0.5"))]
DECAYS = [f"wd-{decay}-lr-{lr}" for decay in ("0.1", "0.01", "0.001") for lr in ("0.01", "0.1", "0.05")]


def test_conclusions_are_borne_out_where_the_runs_are_like_the_reports():
    levels = [0.910, 0.925, 0.915, 0.905, 0.917, 0.918, 0.919, 0.921, *np.linspace(0.90, 0.93, 9)]
    curves = {name: noisy(level, seed=i) for i, (name, level) in enumerate(zip(NAMES + DECAYS, levels, strict=True))}
    curves["skip"] = noisy(0.915, noise=0.002)
    curves["deep"].raw[0] = 0.90  # behind at first
    found = comparison.findings(curves)
    assert [finding.agrees for finding in found] == ["yes"] * 10


def test_conclusions_are_refused_where_the_runs_say_otherwise():
    levels = [0.930, 0.895, 0.925, 0.921, 0.919, 0.918, 0.917, 0.905, *np.linspace(0.92, 0.88, 9)]
    curves = {name: noisy(level, seed=i) for i, (name, level) in enumerate(zip(NAMES + DECAYS, levels, strict=True))}
    curves["deep"] = noisy(0.895, noise=0.002)
    curves["deep"].raw[0] = 0.94  # ahead at first
    found = comparison.findings(curves)
    assert [finding.agrees for finding in found] == ["no"] * 10


def test_conclusions_within_the_noise_or_in_part_are_called_so():
    levels = [0.915, 0.9151, 0.915, 0.905, 0.92, 0.92 - 0.005, 0.917, 0.919]
    curves = {name: noisy(level, seed=i) for i, (name, level) in enumerate(zip(NAMES, levels, strict=True))}
    found = {finding.conclusion: finding for finding in comparison.findings(curves)}
    deep = found["The deep network (2) is better than the simple one (1)."]
    assert deep.agrees == "not clear"
    order = next(finding for conclusion, finding in found.items() if "almost every epoch" in conclusion)
    assert order.agrees == "in part, 3 of 4"
    assert "0.9 < 0.1 < 0.2 < 0.5 < 0.01" in order.found
    assert "0.01 < 0.1 in 0%" in order.found
    assert len(found) == 7  # the runs of weight decay are not there
    assert comparison.findings({"simple": noisy(0.9)}) == []


def test_all_experiments_on_one_page(tmp_path, monkeypatch):
    records = []
    for i, name in enumerate([*NAMES, *DECAYS]):
        history = [{"epoch": e, "loss": 0.3, "auc": 0.9, "val_loss": 0.2, "val_auc": 0.9 + 0.001 * i} for e in (1, 2)]
        record = (tmp_path / f"{i:03d}-{name}", name, "finished", {}, {"best_test_auc": 0.9}, {}, 1.0, history, [])
        records.append(RunRecord(*record))
    with Run(tmp_path, "all", {}) as parent:
        comparison.of_runs(parent, records, real=True)
    page = (parent.folder / "report.html").read_text()
    assert page.count("data:image/png") == 8
    assert page.index(f"-{DECAYS[-1]}/report.html") < page.index("-simple/report.html")  # the best is on top
    assert "0.9284" in page
    assert parent.reference == {name: report.REFERENCE[name].best for name in report.REFERENCE}
    assert len(parent.results["conclusions"]) == 10
    assert page.count("<td>not clear</td>") >= 5  # two epochs do not tell the noise

    monkeypatch.setattr(Run, "picture", lambda *_, **__: None)
    with Run(tmp_path, "all", {}) as other:
        comparison.of_runs(other, records, real=False)
    page = (other.folder / "report.html").read_text()
    assert "not clear<" not in page
    assert "0.9284" not in page
    assert other.reference == {}
