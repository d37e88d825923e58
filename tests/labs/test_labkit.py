"""What the labs share: options, errors before any work, the way to the data."""

from __future__ import annotations

import pytest
from kit import cli, lab_run
from kit.download import fetched

import minigrad

EXPERIMENTS = {"base": "the main one", "deep": "more layers", "width": "more neurons"}


@pytest.fixture
def parser():
    return cli.command_line("A lab.", "lab0", EXPERIMENTS)


def test_defaults(parser, tmp_path):
    args = parser.parse_args([])
    assert (args.experiment, args.seed, args.device, args.epochs, args.data, args.quick) == (
        "base",
        42,
        "cpu",
        None,
        None,
        False,
    )
    assert str(args.out) == "runs/lab0"
    steps = cli.command_line("A lab.", "lab0", EXPERIMENTS, "steps", 100).parse_args(["--steps", "7"])
    assert steps.steps == 7


def test_help_explains_every_option_and_experiment(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    text = capsys.readouterr().out
    for word in (
        "--experiment",
        "--seed",
        "--device",
        "--epochs",
        "--data",
        "--out",
        "--quick",
        "A lab.",
        *EXPERIMENTS.values(),
    ):
        assert word in text
    assert all(action.help for action in parser._actions)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--experiment", "bsae"], "no experiment 'bsae'; did you mean base? It is one of: base, deep, width"),
        (["--experiment", "widht"], "did you mean width"),
        (["--experiment", "zzz"], "no experiment 'zzz'; It is one of: base, deep, width"),
        (["--epochs", "0"], "'0' is not a whole number above 0"),
        (["--epochs", "many"], "'many' is not a whole number above 0"),
        (["--device", "gpu"], "'gpu' is not a device"),
    ],
)
def test_bad_options_are_explained(parser, capsys, argv, message):
    with pytest.raises(SystemExit) as error:
        parser.parse_args(argv)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_no_gpu_is_said_before_any_work(parser, capsys):
    if minigrad.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit):
        parser.parse_args(["--device", "cuda"])
    assert "everything also runs with device='cpu'" in capsys.readouterr().err


def test_an_unwritable_out_ends_the_program_before_any_work(parser, tmp_path):
    (tmp_path / "file").write_text("")
    args = parser.parse_args(["--out", str(tmp_path / "file" / "runs")])
    with pytest.raises(SystemExit, match=r"cannot write into .*file.runs .*name another folder with --out"):
        lab_run.start(args, "base", "A lab", {})


def test_start_seeds_and_writes_the_settings(parser, tmp_path):
    args = parser.parse_args(["--out", str(tmp_path), "--seed", "7", "--quick"])
    drawn = []
    for _ in range(2):
        run = lab_run.start(args, "base", "A lab", {"lr": 0.1})
        drawn.append(minigrad.rand(3).tolist())
    assert drawn[0] == drawn[1]
    assert run.config == {"seed": 7, "device": "cpu", "quick": True, "lr": 0.1}
    assert "quick run" in run.notices[0]


def test_data_is_looked_for_then_downloaded_then_explained(tmp_path, capsys):
    asked = []

    def load(root, download, works=2):
        asked.append((root, download))
        if len(asked) < works:
            raise RuntimeError("not there")
        return "data"

    assert fetched(load, str(tmp_path), "MNIST", "its files") == "data"
    assert asked == [(tmp_path, False), (tmp_path, True)]
    assert "downloading" in capsys.readouterr().out
    asked.clear()
    with pytest.raises(SystemExit) as error:
        fetched(lambda root, download: load(root, download, 9), str(tmp_path), "MNIST", "mnist.tar.gz")
    for part in ("MNIST", str(tmp_path), "not there", "Put mnist.tar.gz into", "--data", "--quick"):
        assert part in str(error.value)
