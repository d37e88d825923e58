"""Start a lab's run, or resume an interrupted one."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import minigrad
from minigrad.runs import Run, RunRecord
from minigrad.runs.find import run_in
from minigrad.training import CheckpointError, Trainer
from minigrad.training.checkpoint import checkpoints_in

from .lab_parser import run_folder


class Data(Protocol):
    """A data set: what it is, and a warning if it is not the complete original."""

    kind: str
    warning: str


def start(
    args: argparse.Namespace,
    name: str,
    title: str,
    settings: Mapping[str, Any],
    unit: str = "epoch",
    out: Path | None = None,
    template: Mapping[str, Any] | None = None,
    data: Iterable[Data] = (),
) -> Run:
    """Seed the random numbers and create the run's folder, in `out`, the folder of its group, if given.

    With `--resume` it is the folder of the run that is to go on.

    Args: template: what the run's experiment_template.json says beyond the options. data: its warnings
    become notices of the run.

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
    for warning in dict.fromkeys(part.warning for part in data if part.warning):
        run.notice(warning, say=out is None)
    return run


def fit(trainer: Trainer, run: Run, args: argparse.Namespace, training: Any, validation: Any, epochs: int) -> None:
    """`trainer.fit`, with `--resume` from the checkpoint on. Ends the program if the checkpoint cannot be used."""
    try:
        trainer.fit(training, validation, epochs, resume=checkpoint_of(run, args))
    except CheckpointError as error:
        raise SystemExit(f"error: --resume: {error}") from None


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
    """With `--resume`: the run of that name in a group of runs, if it was finished before the interruption."""
    if args.resume is None:
        return None
    records = [run_in(folder) for folder in _members(out, name)]
    return next((record for record in records if record is not None and record.status == "finished"), None)


def _members(out: Path, name: str) -> list[Path]:
    return sorted(p for p in out.glob(f"[0-9]*-{name}") if (p / "config.json").exists())
