"""What the labs share beside the lesson: the command line, the start of a run, the way to the data."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lab_parser import LabParser, run_folder

import minigrad
from minigrad.datasets import data_root
from minigrad.runs import Run, RunRecord
from minigrad.runs.find import run_in
from minigrad.terminal import readable_output
from minigrad.training.checkpoint import checkpoints_in

T = TypeVar("T")


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
            near = difflib.get_close_matches(name, experiments, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
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


def start(
    args: argparse.Namespace,
    name: str,
    title: str,
    settings: Mapping[str, Any],
    unit: str = "epoch",
    out: Path | None = None,
    template: Mapping[str, Any] | None = None,
) -> Run:
    """Seed the random numbers and open the run's folder, in that of `out`, a run of runs, if given.

    With `--resume` it is the folder of the run that is to go on.

    Args: template: what the run's experiment_template.json says beyond the options.
    Ends the program if the folder cannot be written, or if there is nothing to go on with.
    """
    minigrad.manual_seed(args.seed)
    config = {"seed": args.seed, "device": args.device, "quick": args.quick, **settings}
    again = getattr(args, "resume", None)
    folder = None
    if again is not None:
        folder = run_folder(again) if out is None else next(reversed(_members(out, name)), None)
    try:
        if folder is not None:
            run = Run.resume(folder, config, title, unit)
        else:
            run = Run(out or args.out, name, config, title, unit, {**args.template, **(template or {})})
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"error: --resume: {error}") from None
    except OSError as error:
        raise SystemExit(
            f"error: cannot write into {out or args.out} ({error.strerror}); name another folder with --out"
        ) from None
    if args.quick:
        run.notice("A quick run: it shows that everything works, its figures mean nothing.", say=out is None)
    return run


def checkpoint_of(run: Run, args: argparse.Namespace) -> Path | None:
    """What `Trainer.fit(resume=…)` is to go on from: the file named by `--resume`, the newest one, or nothing."""
    if args.resume is None:
        return None
    if args.resume.is_file() and args.resume.parent == run.checkpoints:
        named: Path = args.resume
        return named
    found = checkpoints_in(run.checkpoints)
    return found[-1] if found else None


def finished(args: argparse.Namespace, out: Path, name: str) -> RunRecord | None:
    """With `--resume`: the run of that name in a run of runs, if it was finished before the interruption."""
    if args.resume is None:
        return None
    records = [run_in(folder) for folder in _members(out, name)]
    return next((record for record in records if record is not None and record.status == "finished"), None)


def _members(out: Path, name: str) -> list[Path]:
    return sorted(p for p in out.glob(f"[0-9]*-{name}") if (p / "config.json").exists())


def fetched(load: Callable[[Path, bool], T], data: str | None, what: str, by_hand: str) -> T:
    """`load(root, False)`, and if the files are not there `load(root, True)`, which downloads them.

    Ends the program with one message if that fails (what to put where) or a file is damaged (which one). `by_hand`
    names the files, relative to root.
    """
    root = data_root(data)
    try:
        return load(root, False)
    except ValueError as error:  # a file that is there but damaged
        raise SystemExit(f"error: {error}") from None
    except RuntimeError:
        print(f"{what} is not in {root}; downloading it", flush=True)
    try:
        return load(root, True)
    except (RuntimeError, OSError, ValueError) as error:
        raise SystemExit(
            f"error: {what} is not in {root} and could not be downloaded:\n  {error}\n"
            f"Put {by_hand} into {root}, or name the folder that has it with --data, or try the lab without it: --quick"
        ) from None
