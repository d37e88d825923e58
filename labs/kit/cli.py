"""The command line: options of every lab, and the types of their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import minigrad
from minigrad.terminal import readable_output

from .lab_parser import LabParser, did_you_mean


def command_line(
    doc: str,
    lab: str,
    experiments: Mapping[str, str],
    count: str = "epochs",
    default_count: int | None = None,
    resumable: bool = False,
) -> LabParser:
    """The options of every lab; a lab adds its own with `add_argument`.

    Args: doc: the lab's docstring. lab: the name of its folder under runs/. experiments: {name: what it does}, the main
    one first. count: "epochs" or "steps", and its default (None: the experiment's own). resumable: whether it has
    `--resume`.
    """
    readable_output()
    main = next(iter(experiments))
    listed = "".join(f"\n  {name:<12} {what}" for name, what in experiments.items())
    parser = LabParser(
        description=doc, epilog=f"experiments:{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.lab = lab
    parser.add_argument(
        "--experiment",
        metavar="NAME",
        default=main,
        type=_one_of(experiments),
        help=f"one of those below (default: {main})",
    )
    parser.add_argument("--seed", type=int, default=42, help="of all random numbers (default: 42)")
    parser.add_argument("--device", default="cpu", type=_device, help="cpu or cuda (default: cpu)")
    own = "the experiment's own" if default_count is None else default_count
    parser.add_argument(
        f"--{count}",
        type=at_least_one,
        default=default_count,
        metavar="N",
        help=f"how many {count} to train (default: {own})",
    )
    parser.add_argument(
        "--data", metavar="DIR", help="folder of the data sets (default: $MINIGRAD_DATA, else ~/.cache/minigrad)"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("runs", lab),
        help=f"where the run's folder is made (default: runs/{lab})",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a short run to see that everything works; its figures mean nothing"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="take settings from a file, such as a run's experiment_template.json; options given here win over it",
    )
    parser.add_argument("--check", action="store_true", help="only check the options and settings")
    if resumable:
        parser.add_argument(
            "--resume",
            metavar="RUN",
            type=Path,
            help="go on with an interrupted run: its folder, or one of the files in its checkpoints/",
        )
    return parser


def add_settings(parser: argparse.ArgumentParser, *options: tuple[str, Any, str]) -> None:
    """Options for settings of the experiment; each, if given, takes the place of the experiment's own.

    Args: options: flag, kind of value or the values to choose from, and what it is.
    """
    for flag, kind, text in options:
        choices = kind if isinstance(kind, tuple) else None
        parser.add_argument(
            flag,
            choices=choices,
            type=str if choices else kind,
            metavar=None if choices else "X",
            help=f"{text} (default: the experiment's own)",
        )


def at_least_one(text: str) -> int:
    """An option's value: a whole number above 0."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def positive(text: str) -> float:
    """An option's value: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def probability(text: str) -> float:
    """An option's value: a number from 0 to below 1."""
    return _between(text, 1.0, "a number from 0 to below 1")


def not_negative(text: str) -> float:
    """An option's value: 0 or a number above it."""
    return _between(text, float("inf"), "0 or a number above it")


def _between(text: str, end: float, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < end:
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
    return value


def _one_of(experiments: Mapping[str, str]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in experiments:
            hint = did_you_mean(name, experiments)
            raise argparse.ArgumentTypeError(
                f"there is no experiment {name!r}; {hint}It is one of: {', '.join(experiments)}"
            )
        return name

    return check


def _device(name: str) -> str:
    try:
        if minigrad.device(name).type == "cuda":
            minigrad.cuda.require()
    except minigrad.DeviceError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name
