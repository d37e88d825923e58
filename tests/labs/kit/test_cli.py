"""The options of every lab, and what is said of wrong ones."""

from __future__ import annotations

import pytest
from kit import cli

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
