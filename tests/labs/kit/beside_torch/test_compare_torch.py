"""--compare torch: networks and their twins learn the same, the page says so; what cannot be compared is refused."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import cuda_double
import lab4_lenet
import lab8_loan_auc
import numpy as np
import pytest
from kit import cli, lab_run
from kit.beside_torch import compare_torch, report, worker
from kit.beside_torch.compare_torch import Recipe, Twin
from lab8 import data
from op_suite import torch

import minigrad
from minigrad.runs import Run

LABS = Path(compare_torch.__file__).parents[2]
DIGIT, GREY, COLOUR = (1, 28, 28), (1, 14, 14), (3, 16, 16)
SMALL, USUAL = 1e-4, 1e-2  # learning rates; small where one ReLU that rounding turns on or off shows in the loss
NETWORKS = [
    (Recipe("lab4.network.LeNet5", scale=1.0), (1, 32, 32), 61_706, USUAL),
    (Recipe("lab5.network.FCNet", inputs=784, hidden=[512, 256, 128]), DIGIT, 567_434, USUAL),
    (Recipe("lab5.network.CNN", dropout=0.25), DIGIT, 421_642, USUAL),
    (Recipe("lab5.network.ResCNN", channels=1, pool=7, dropout=0.25), GREY, 108_042, SMALL),
    (Recipe("lab5.network.ResCNN", channels=3, pool=4), COLOUR, 87_498, SMALL),
    (Recipe("lab6.network.KernelSizeCNN", channels=1, kernel=5), GREY, None, USUAL),
    (Recipe("lab6.network.MixedKernelCNN", channels=3), COLOUR, None, USUAL),
    (Recipe("lab6.network.DepthCNN", channels=1, depth=4), GREY, None, USUAL),
    (Recipe("lab6.network.ResNetLike", channels=1), GREY, None, USUAL),
    (Recipe("lab7.network.BlockNet", block=Recipe("lab7.network.BasicBlock")), GREY, None, USUAL),
    (Recipe("lab7.network.BlockNet", block=Recipe("lab7.network.BottleneckBlock")), GREY, None, USUAL),
    (Recipe("lab7.network.BlockNet", block=Recipe("lab7.network.WideBlock"), outputs=4), GREY, None, USUAL),
]
LOANS = [("simple", 8_769), ("deep", 396_801), ("skip", 397_569)]


class InProcess(worker.Worker):
    """What compare_torch.Process asks, without a process; with one thread each, the libraries get on well enough."""

    def __init__(self, library, device):
        super().__init__(library, device, "1")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def answer(self):
        return self.hello()

    def ask(self, do, **arguments):
        return json.loads(json.dumps(getattr(self, do)(**json.loads(json.dumps(arguments)))))


@pytest.fixture
def in_process(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(compare_torch, "Process", InProcess)
    monkeypatch.setattr(compare_torch, "PAUSE", 0.0)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def captions(monkeypatch):
    """{name: caption} of the pictures, which are not drawn."""
    found = {}
    monkeypatch.setattr(Run, "picture", lambda run, figure, name, caption: found.update({name: caption}))
    return found


def arguments(*argv):
    parser = cli.command_line("A lab.", "lab", {"main": "the only one"}, resumable=True)
    compare_torch.option(parser)
    args = parser.parse_args(list(argv))
    return parser, args


def compared(out, twins, train, test, *argv, **options):
    """The run after a comparison."""
    _, args = arguments("--compare", "torch", "--quick", "--out", str(out), *argv)
    run = lab_run.start(args, "compare-torch", "A comparison", {}, unit="step")
    with run:
        compare_torch.compare(run, twins, train, test, args, **options)
    return run


def images(shape, count=32):
    rng = np.random.default_rng(1)
    return rng.random((count, *shape), dtype=np.float32), rng.integers(0, 10, count)


# ---------------------------------------------------------------------------------------------------------- the twins


def test_the_process_of_pytorch_loads_nothing_of_minigrad():
    code = "import sys, kit.beside_torch.worker; sys.exit('minigrad' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=LABS).returncode == 0


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(("network", "shape", "parameters", "lr"), NETWORKS)
def test_networks_on_images_learn_the_same_in_both(tmp_path, captions, network, shape, parameters, lr):
    sgd = Recipe("optim.SGD", lr=lr)
    run = compared(tmp_path, {"net": Twin(network, sgd)}, images(shape), images(shape, 10), batch_size=8)
    found = run.results["torch"]["net"]
    assert found["steps"] == 6
    assert found["largest_relative_difference"] < 1e-4
    if parameters is not None:
        assert found["parameters"] == parameters
    assert found["minigrad"]["accuracy"] == pytest.approx(found["torch"]["accuracy"], abs=0.1)  # one image of ten
    assert list(captions) == ["torch-net"]
    assert run.notices[1:] == []  # the first one is that of a quick run
    assert ("Dropout is left out" in (run.folder / "report.html").read_text()) == ("dropout" in network.arguments)


@pytest.mark.usefixtures("in_process", "captions")
@pytest.mark.parametrize(("net", "parameters"), LOANS)
def test_networks_of_loans_learn_the_same_in_both(tmp_path, net, parameters):
    loans = data.look_alike((96, 501), seed=0)  # the last one is alone in its batch, which training would refuse
    twin = Twin(Recipe("lab8.network.network", net=net, dropout=0.5), Recipe("optim.SGD", lr=0.1, weight_decay=0.01))
    bce = Recipe("nn.BCEWithLogitsLoss")
    metrics = {"AUC": minigrad.training.AUC()}
    run = compared(tmp_path, {net: twin}, loans.train, loans.test, batch_size=32, loss=bce, metrics=metrics)
    found = run.results["torch"][net]
    assert found["parameters"] == parameters
    assert found["largest_relative_difference"] < 1e-4
    assert found["minigrad"]["AUC"] == pytest.approx(found["torch"]["AUC"], abs=1e-3)


@pytest.mark.usefixtures("in_process", "captions")
def test_the_losses_are_those_of_a_plain_loop(tmp_path):
    network, (x, y) = Recipe("lab5.network.FCNet", inputs=784, hidden=[16]), images(DIGIT)
    twin = Twin(network, Recipe("optim.SGD", lr=0.05))
    run = compared(tmp_path, {"FC": twin}, (x, y), (x[:10], y[:10]), "--seed", "7", batch_size=8)
    minigrad.manual_seed(7)
    model = network.make(minigrad)
    optimizer = minigrad.optim.SGD(model.parameters(), lr=0.05)
    for rows in compare_torch.batches(32, 8, 6, seed=7):
        optimizer.zero_grad()
        loss = minigrad.nn.functional.cross_entropy(model(minigrad.tensor(x[rows])), minigrad.tensor(y[rows]))
        loss.backward()
        optimizer.step()
    found = run.results["torch"]["FC"]
    assert found["minigrad"]["last_loss"] == loss.item()
    right = (model(minigrad.tensor(x[:10])).argmax(1) == minigrad.tensor(y[:10])).float().mean().item()
    assert found["minigrad"]["accuracy"] == pytest.approx(right)


@pytest.mark.usefixtures("in_process", "captions")
def test_on_a_gpu(tmp_path, monkeypatch):
    class HalfOnGpu(InProcess):  # minigrad on the double of a GPU, of which there is none for PyTorch
        def __init__(self, library, device):
            super().__init__(library, device if library == "minigrad" else "cpu")

    cuda_double.install(monkeypatch)
    try:
        monkeypatch.setattr(compare_torch, "Process", HalfOnGpu)
        twin = Twin(Recipe("lab5.network.FCNet", inputs=784, hidden=[16]), Recipe("optim.SGD", lr=0.01))
        options = ["--device", "cuda"]
        run = compared(tmp_path, {"FC": twin}, images(DIGIT), images(DIGIT, 10), *options, batch_size=8)
    finally:
        cuda_double.uninstall()
    assert run.results["torch"]["FC"]["largest_relative_difference"] < 1e-4
    assert "device cuda" in (run.folder / "report.html").read_text()


@pytest.mark.usefixtures("in_process", "captions")
def test_another_network_is_noticed(tmp_path, monkeypatch):
    start = InProcess.start

    def spoilt(self):
        dropout = start(self)
        if self.library is torch:
            with torch.no_grad():
                next(self.model.parameters())[0] += 0.1
        return dropout

    monkeypatch.setattr(InProcess, "start", spoilt)
    twin = Twin(Recipe("lab5.network.FCNet", inputs=784, hidden=[16]), Recipe("optim.Adam"))
    run = compared(tmp_path, {"FC": twin}, images(DIGIT), images(DIGIT, 10), batch_size=8)
    assert run.results["torch"]["FC"]["largest_relative_difference"] > 1e-3
    assert "FC: the first loss is" in run.notices[-1]
    assert "must not be compared" in run.notices[-1]


@pytest.mark.usefixtures("in_process", "captions")
def test_the_first_weights_can_be_others(tmp_path):
    def zeros(model):
        for parameter in model.parameters():
            minigrad.nn.init.zeros_(parameter)

    twin = Twin(Recipe("lab5.network.FCNet", inputs=784, hidden=[16]), Recipe("optim.Adam"), zeros)
    run = compared(tmp_path, {"FC": twin}, images(DIGIT), images(DIGIT, 10), "--compare-steps", "1", batch_size=8)
    found = run.results["torch"]["FC"]
    assert found["steps"] == 1
    assert [found[library]["last_loss"] for library in ("minigrad", "torch")] == pytest.approx([np.log(10)] * 2)


# ------------------------------------------------------------------------------------------------------ the comparison


def test_batches_take_every_row_before_one_comes_again():
    order = compare_torch.batches(10, 3, 7, seed=0)
    assert order.shape == (7, 3)
    for first in (0, 3):
        assert len(set(order[first : first + 3].ravel())) == 9
    assert order[0].tolist() != order[3].tolist()
    assert (compare_torch.batches(10, 3, 7, seed=0) == order).all()
    assert (compare_torch.batches(10, 3, 7, seed=1) != order).any()
    assert sorted(compare_torch.batches(4, 100, 2, seed=0)[1]) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        ([2.0, 1.0, 0.5], [2.0, 1.1, 0.5], (0.1, 0.1 / 1.1, 2)),
        ([float("inf"), float("nan")], [float("inf"), float("nan")], (0.0, 0.0, 1)),
        ([2.0, 1.0], [2.0, float("nan")], (float("nan"), float("inf"), 2)),
    ],
)
def test_the_largest_difference(ours, theirs, difference):
    pair = {
        "minigrad": report.Course(1, False, ours, [1.0] * len(ours)),
        "torch": report.Course(1, False, theirs, [1.0] * len(theirs)),
    }
    assert report.largest_difference(pair) == pytest.approx(difference, nan_ok=True)


@pytest.mark.usefixtures("in_process")
def test_ctrl_c_leaves_what_was_trained(tmp_path, captions, monkeypatch):
    train = InProcess.train

    def interrupted(self, first, last):
        if first == 2 and self.library is minigrad:
            signal.raise_signal(signal.SIGINT)
        return train(self, first, last)

    monkeypatch.setattr(InProcess, "train", interrupted)
    twin = Twin(Recipe("lab5.network.FCNet", inputs=784, hidden=[16]), Recipe("optim.Adam"))
    run = compared(tmp_path, {"one": twin, "two": twin}, images(DIGIT), images(DIGIT, 10), batch_size=8)
    assert run.interrupted
    assert run.status == "interrupted"
    assert {name: found["steps"] for name, found in run.results["torch"].items()} == {"one": 3}
    assert list(captions) == ["torch-one"]


def test_a_lab_compares_in_processes_of_their_own(tmp_path):
    assert lab8_loan_auc.main(["--compare", "torch", "--quick", "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    assert folder.name == "001-compare-torch"
    summary = json.loads((folder / "summary.json").read_text())
    found = summary["results"]["torch"]["simple"]
    assert found["parameters"] == 8_769
    assert found["largest_relative_difference"] < 1e-4
    assert found["ratio"] == pytest.approx(found["torch"]["ms_per_step"] / found["minigrad"]["ms_per_step"])
    assert set(found["minigrad"]) == {"ms_per_step", "seconds", "last_loss", "accuracy", "AUC"}
    with open(folder / "losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["library"], row["step"]) for row in rows] == [
        (library, str(step)) for library in ("minigrad", "torch") for step in range(1, 7)
    ]
    assert sum(float(row["seconds"]) for row in rows[6:]) == pytest.approx(found["torch"]["seconds"])
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") == 1
    assert f"minigrad {minigrad.__version__} and PyTorch {torch.__version__}" in page
    assert "threads: 1" in page
    assert "made-up" in page


@pytest.mark.usefixtures("in_process")
def test_runs_of_lab_4_and_8_that_can_be_told_apart(tmp_path, captions, capsys):
    assert lab4_lenet.main(["--compare", "torch", "--experiment", "broken", "--quick", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "001-compare-torch" / "summary.json").read_text())["results"]["torch"]
    assert list(found) == ["high-lr", "bad-init", "no-norm"]
    assert len({run["minigrad"]["last_loss"] for run in found.values()}) == 3
    with pytest.raises(SystemExit):
        lab4_lenet.main(["--compare", "torch", "--experiment", "cyclical", "--out", str(tmp_path)])
    assert "no run of --experiment cyclical does; take baseline, broken or all" in capsys.readouterr().err
    assert lab8_loan_auc.main(["--compare", "torch", "--experiment", "dropout", "--quick", "--out", str(tmp_path)]) == 0
    assert list(captions) == ["torch-high-lr", "torch-bad-init", "torch-no-norm", "torch-dropout-0.01"]


# -------------------------------------------------------------------------------------------------------- the refusals


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pytroch", "there is no comparison with 'pytroch'; did you mean torch? It is one of: torch"),
        ("jax", "there is no comparison with 'jax'; It is one of: torch"),
    ],
)
def test_another_library_is_refused(capsys, name, message):
    with pytest.raises(SystemExit):
        arguments("--compare", name)
    assert message in capsys.readouterr().err


def test_without_pytorch_it_is_said_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        lab8_loan_auc.main(["--compare", "torch", "--quick", "--out", str(tmp_path / "runs")])
    error = capsys.readouterr().err
    assert "argument --compare: PyTorch is not installed; install it with: pip install torch" in error
    assert not (tmp_path / "runs").exists()


def test_a_comparison_does_not_go_on(tmp_path, capsys):
    (tmp_path / "experiment_template.json").write_text('{"lab": "lab", "compare": "torch"}')
    parser, args = arguments("--resume", str(tmp_path))
    assert args.compare == "torch"
    with pytest.raises(SystemExit):
        compare_torch.requested(parser, args)
    assert "argument --resume: a comparison does not go on" in capsys.readouterr().err
    assert not compare_torch.requested(*arguments())


@pytest.mark.parametrize(("said", "message"), [("2.13.0 False\n", "PyTorch 2.13.0 cannot"), ("", "PyTorch cannot")])
def test_both_libraries_must_have_the_device(capsys, monkeypatch, said, message):
    done = subprocess.CompletedProcess([], 0, said)
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: done)
    args = argparse.Namespace(compare="torch", device="cuda")
    with pytest.raises(SystemExit):
        compare_torch.requested(argparse.ArgumentParser(), args)
    assert f"argument --device: {message} use cuda here" in capsys.readouterr().err
    done.stdout = "2.13.0 True\n"
    assert compare_torch.requested(argparse.ArgumentParser(), args)


def test_the_failure_of_a_process_ends_the_program_with_its_words(monkeypatch):
    monkeypatch.setitem(compare_torch.LIBRARIES, "no_such_library", "that library")
    with (
        compare_torch.Process("no_such_library", "cpu") as process,
        pytest.raises(SystemExit, match="process of that library: ModuleNotFoundError: No module named"),
    ):
        process.answer()
