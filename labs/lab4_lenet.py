"""Lab 4: LeNet-5 reads digits, and TensorBoard shows what goes on inside it.

A loss curve says that a network does not learn; it does not say why. Here gradients, weights and activations are
watched layer by layer while LeNet-5 learns MNIST: as it should, with a learning rate far too high, with weights far too
large, with pixels as they are (0 … 255), and with learning rates that fall in steps or swing up and down. The advice in
the report is worked out from what was measured, run by run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kit import cli, experiments, lab_run
from kit.beside_torch import compare_torch
from kit.beside_torch.compare_torch import Recipe, Twin
from lab4 import data, report
from lab4.network import LeNet5, initialise

import minigrad
from minigrad import nn, optim
from minigrad.optim.lr_scheduler import CyclicLR, ReduceLROnPlateau, StepLR
from minigrad.profiler import profile
from minigrad.runs import Run, RunRecord
from minigrad.runs.json_file import write_json
from minigrad.training import Accuracy, Trainer
from minigrad.training import callbacks as cb
from minigrad.training.probes import peak_memory
from minigrad.utils.data import DataLoader

EVALUATION_BATCH = 500
WATCHED = 100  # validation images on which activations are measured


@dataclass(frozen=True)
class Settings:
    """Of one run."""

    epochs: int = 8
    batch_size: int = 128
    lr_strategy: str = "fixed"  # or "step", "cyclical"
    lr: float = 1e-3  # of "fixed" and "step"
    step_size: int = 3  # "step": after so many epochs …
    gamma: float = 0.5  # … the rate is multiplied by this
    base_lr: float = 1e-4  # "cyclical": from here …
    max_lr: float = 5e-3  # … up to here …
    half_cycle: int = 2000  # … in so many steps, and down again
    init: str = "glorot"  # or "wide"
    inputs: str = "unit"  # pixels 0 … 1; or "raw", 0 … 255
    monitors: str = "on"

    @property
    def scale(self) -> float:
        """What the network multiplies pixels by."""
        return 1 / 255 if self.inputs == "unit" else 1.0


RUNS = {
    "baseline": Settings(),
    "high-lr": Settings(epochs=6, lr=0.05),
    "bad-init": Settings(epochs=6, init="wide"),
    "no-norm": Settings(epochs=6, inputs="raw"),
    "fixed": Settings(),
    "step": Settings(epochs=10, lr_strategy="step"),
    "cyclical": Settings(lr_strategy="cyclical"),
}
GROUPS = {"broken": ["high-lr", "bad-init", "no-norm"], "compare-lr": ["fixed", "step", "cyclical"]}
EXPERIMENTS = {
    "baseline": "Adam 0.001, batch 128, 8 epochs",
    "high-lr": "a learning rate of 0.05, 6 epochs",
    "bad-init": "weights from N(0, 1.5²) and biases from N(0, 1), 6 epochs",
    "no-norm": "pixels 0 … 255 instead of 0 … 1, 6 epochs",
    "broken": "high-lr, bad-init and no-norm",
    "fixed": "the baseline once more, for compare-lr",
    "step": "the rate halved every 3 epochs, 10 epochs",
    "cyclical": "the rate between 0.0001 and 0.005, up in 2000 steps and down again, 8 epochs",
    "compare-lr": "fixed, step and cyclical",
    "profile": "batches of 32, 64, 128 and 256, 2 epochs each in a process of its own: time and memory; ops by time",
    "cpu-gpu": "each device in a process of its own, batch 256, 3 epochs",
    "all": "baseline, broken, compare-lr, profile and cpu-gpu, and advice from all of them",
}


# -------------------------------------------------------------------------------------------------------- one training


Training = experiments.Training[Settings, data.Digits]


def schedule(settings: Settings, optimizer: optim.Optimizer) -> cb.LRSchedule:
    """How the learning rate goes: halved on a plateau, in steps, or up and down after each batch."""
    if settings.lr_strategy == "step":
        return cb.LRSchedule(StepLR(optimizer, settings.step_size, settings.gamma))
    if settings.lr_strategy == "cyclical":
        cycle = CyclicLR(
            optimizer, settings.base_lr, settings.max_lr, step_size_up=settings.half_cycle, cycle_momentum=False
        )
        return cb.LRSchedule(cycle, interval="batch")
    plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=2, min_lr=1e-6)
    return cb.LRSchedule(plateau, monitor="val_loss")


def train(run: Run, training: Training, digits: data.Digits, args: argparse.Namespace) -> None:
    """Train the network, and write the run's report."""
    settings = training.settings
    model = LeNet5(settings.scale)
    initialise(model, settings.init)
    optimizer = optim.Adam(model.parameters(), lr=settings.lr)
    learned = DataLoader(digits.train, settings.batch_size, shuffle=True)
    validation = DataLoader(digits.validation, EVALUATION_BATCH)
    testing = DataLoader(digits.test, EVALUATION_BATCH)
    watched, _ = digits.validation[:WATCHED]

    monitors: list[cb.Callback] = [
        cb.GradientMonitor(run),
        cb.WeightMonitor(run),
        cb.ActivationMonitor(watched, run),
        cb.ConfusionMatrix(data.CLASSES, run),
        cb.ExamplePredictions(data.CLASSES, run),
    ]
    checkpoint = cb.ModelCheckpoint(run.checkpoints, "val_accuracy")
    callbacks: list[cb.Callback] = [
        *(monitors if settings.monitors == "on" else ()),
        cb.EpochTimer(),
        cb.MemoryMonitor(),
        cb.LearningRateMonitor(),
        cb.TerminateOnNaN(),
        schedule(settings, optimizer),
        cb.EarlyStopping("val_accuracy", patience=3, min_delta=1e-4),
        cb.ProgressBar(run.name),
        cb.RunLogger(run, model_input=watched[:1].float()),
        checkpoint,
    ]
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, {"accuracy": Accuracy()}, callbacks, args.device)
    before = report.at_start(model, watched)
    lab_run.fit(trainer, run, args, learned, validation, settings.epochs)

    if checkpoint.best_weights.exists() and not run.interrupted:
        model.load_state_dict(minigrad.load(checkpoint.best_weights))
    figures = trainer.evaluate(testing)
    run.save_weights(model.state_dict())
    kind = "" if digits.kind == "MNIST" and not args.quick else f"{digits.kind.lower().replace('-', '_')}_quick_"
    best = checkpoint.best
    run.results |= {
        f"{kind}test_accuracy": figures["accuracy"],
        f"{kind}test_loss": figures["loss"],
        f"{kind}best_val_accuracy": None if best is None else best.value,
        "best_epoch": None if best is None else best.epoch,
        "stopped": trainer.stopped,
        "peak_rss_mib": round(peak_memory(), 1),
    }
    run.say(f"{run.name}: test accuracy {figures['accuracy']:.4f}, loss {figures['loss']:.4f}")
    if settings.monitors == "on":
        run.results |= report.inside(before, monitors, run)
    report.of_run(run, model, watched, figures)
    if settings.monitors == "on":
        report.pictures(run, monitors)


# ----------------------------------------------------------------------------------------------------- several of them


def members(experiment: str) -> list[str]:
    """The runs of an experiment."""
    if experiment in RUNS:
        return [experiment]
    return ["baseline", *GROUPS["broken"], *GROUPS["compare-lr"]] if experiment == "all" else GROUPS.get(experiment, [])


def resolved(name: str, args: argparse.Namespace) -> Settings:
    """A run's settings, those given as options in place of its own."""
    quick = {"epochs": 2, "half_cycle": 10} if args.quick else {}
    return experiments.resolved(RUNS[name], args, **quick)


def trainings(names: Sequence[str], digits: data.Digits, args: argparse.Namespace) -> list[Training]:
    """The runs of these names."""
    found = []
    for name in names:
        settings = resolved(name, args)
        twin = Twin(
            Recipe("lab4.network.LeNet5", scale=settings.scale),
            Recipe("optim.Adam", lr=settings.lr),
            partial(initialise, how=settings.init),
        )
        title = f"Lab 4: LeNet-5, {name} ({{data}})"
        found.append(Training(name, name, title, settings, lambda args: digits, twin))
    return found


def in_own_process(out: Path, settings: Mapping[str, Any], args: argparse.Namespace) -> RunRecord | None:
    """A run of the baseline with other settings, by a process that nothing else has left memory or threads in.

    None if it failed; what it said then stands above.
    """
    done = lab_run.finished(args, out, "baseline")
    if done is not None:
        return done
    out.mkdir(parents=True, exist_ok=True)
    template = {**args.template, "experiment": "baseline", "monitors": "off", **settings}
    write_json(out / "settings.json", template)
    command = [sys.executable, __file__, "--config", str(out / "settings.json"), "--out", str(out)]
    if args.data is not None:
        command += ["--data", args.data]
    if subprocess.run(command).returncode:
        return None
    return RunRecord.read(sorted(out.glob("*-baseline"))[-1])


def profile_batches(parent: Run, digits: data.Digits, args: argparse.Namespace) -> None:
    """What the size of a batch costs in time and memory, and where the time of a step goes."""
    sizes = (64, 256) if args.quick else (32, 64, 128, 256)
    settings = {size: {"batch_size": size, "epochs": 2} for size in sizes}
    records = {size: in_own_process(parent.folder / f"batch-{size}", own, args) for size, own in settings.items()}
    parent.results["profile"] = report.batches(parent, {f"batch {size}": record for size, record in records.items()})
    model = LeNet5().to(args.device)
    optimizer = optim.Adam(model.parameters())
    images, labels = digits.train[:128]
    with profile() as steps:
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
    report.profiled(parent, steps)


def compare_devices(parent: Run, args: argparse.Namespace) -> None:
    """The same training on the CPU and on the GPU, if there is one."""
    records = {}
    for device in ("cpu", "cuda"):
        if device == "cuda" and not minigrad.cuda.is_available():
            parent.notice("There is no GPU that CuPy can use here, so only the CPU was timed.")
            continue
        settings = {"device": device, "batch_size": 256, "epochs": 2 if args.quick else 3}
        records[device] = in_own_process(parent.folder / device, settings, args)
    parent.results["devices"] = report.batches(parent, records)


def several(digits: data.Digits, args: argparse.Namespace) -> Run:
    """A group of runs: one after another, then what they have in common and what to do about it."""
    what = args.experiment
    names = members(what)
    title = f"Lab 4: LeNet-5, {what} ({digits.kind})"
    parent = lab_run.start(args, what, title, {"runs": names}, data=[digits])
    with parent:
        records = experiments.each(parent, trainings(names, digits, args), args, train)
        if records:
            report.of_runs(parent, records, args.quick)
        if not parent.interrupted and what in ("profile", "all"):
            profile_batches(parent, digits, args)
        if not parent.interrupted and what in ("cpu-gpu", "all"):
            compare_devices(parent, args)
    return parent


def compared(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[str]:
    """The runs of the experiment that `--compare` can have: those that keep their learning rate, each once."""
    runs: dict[Settings, str] = {}
    for name in members(args.experiment):
        settings = resolved(name, args)
        if settings.lr_strategy == "fixed":
            runs.setdefault(settings, name)
    if not runs:
        parser.error(
            "argument --compare: it keeps the learning rate as it is, and no run of "
            f"--experiment {args.experiment} does; take baseline, broken or all, and no other --lr-strategy than fixed"
        )
    return list(runs.values())


def beside_torch(names: Sequence[str], digits: data.Digits, args: argparse.Namespace) -> Run:
    """The first steps of some runs, by minigrad and by PyTorch."""
    title = f"Lab 4: LeNet-5 in minigrad and in PyTorch ({digits.kind})"
    config = {"data": digits.kind, "runs": list(names)}
    return experiments.beside_torch(trainings(names, digits, args), args, title, config)


def main(argv: list[str] | None = None) -> int:
    parser = cli.command_line(__doc__, "lab4", EXPERIMENTS, resumable=True)
    add_settings(parser)
    compare_torch.option(parser)
    args = parser.parse_args(argv)
    beside = compared(parser, args) if compare_torch.requested(parser, args) else []
    digits = data.load(args.data, args.quick, args.seed, args.device)
    if beside:
        run = beside_torch(beside, digits, args)
    elif args.experiment in RUNS:
        run = experiments.one(trainings([args.experiment], digits, args)[0], args, train)
    else:
        run = several(digits, args)
    summary = report.summarise_all(run.folder.parent)
    run.say(f"All runs: {summary}")
    return 130 if run.interrupted else 0


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The lab's own options; each, if given, takes the place of the experiment's own setting."""
    cli.add_settings(
        parser,
        ("--batch-size", cli.at_least_one, "images in a batch"),
        ("--lr-strategy", ("fixed", "step", "cyclical"), "how the learning rate goes"),
        ("--lr", cli.positive, "the learning rate, of fixed and step"),
        ("--step-size", cli.at_least_one, "step: after so many epochs the rate falls"),
        ("--gamma", cli.positive, "step: what the rate is multiplied by then"),
        ("--base-lr", cli.positive, "cyclical: the lowest rate"),
        ("--max-lr", cli.positive, "cyclical: the highest rate"),
        ("--half-cycle", cli.at_least_one, "cyclical: steps from the lowest to the highest"),
        ("--init", ("glorot", "wide"), "initial weights: Glorot's, or N(0, 1.5²) with biases from N(0, 1)"),
        ("--inputs", ("unit", "raw"), "pixels from 0 to 1, or from 0 to 255"),
        ("--monitors", ("on", "off"), "whether gradients, weights and activations are watched"),
    )


if __name__ == "__main__":
    sys.exit(main())
