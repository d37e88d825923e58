"""How a lab's trainings are run: one alone, several as a group, or side by side with PyTorch."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Generic, Protocol, TypeVar

from minigrad.runs import Run, RunRecord
from minigrad.utils.data import TensorDataset

from . import lab_run
from .beside_torch import compare_torch


class Data(lab_run.Data, Protocol):
    """A data set in two parts, each a TensorDataset or (inputs, targets)."""

    train: Any
    test: Any


S = TypeVar("S", bound=Any)  # a dataclass of settings, `batch_size` among them
D = TypeVar("D", bound=Data)


@dataclass(frozen=True)
class Training(Generic[S, D]):
    """One training: its name, its data, its network, its settings.

    Attributes:
        name: of the run, and of its folder.
        experiment: what `--experiment` calls it.
        title: of the run's page; "{data}" in it stands for the kind of data.
        settings: the experiment's own, with the options that were given in their place.
        load: the data, for the lab's options.
        twin: the network and its optimizer, as both minigrad and PyTorch can make them.
        seed: of the run; None: that of `--seed`.
        dataset: the name of the data, where a lab has several.
        config: what the run's config.json says beyond the settings.
        template: what its experiment_template.json says beyond the options; the settings if None.
    """

    name: str
    experiment: str
    title: str
    settings: S
    load: Callable[[argparse.Namespace], D]
    twin: compare_torch.Twin
    seed: int | None = None
    dataset: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    template: Mapping[str, Any] | None = None


Train = Callable[[Run, Training[S, D], D, argparse.Namespace], None]  # trains the network and writes the run's report


def resolved(own: S, args: argparse.Namespace, **changes: Any) -> S:
    """The experiment's own settings, overridden by the options given, and those by `changes`."""
    given = {f.name: value for f in fields(own) if (value := getattr(args, f.name, None)) is not None}
    return replace(own, **{**given, **changes})


def differences(settings: Any, own: Any) -> list[str]:
    """The settings that are not those of the student report's run."""
    theirs = asdict(own)
    return [
        f"{key} {value:g} instead of {theirs[key]:g}" for key, value in asdict(settings).items() if value != theirs[key]
    ]


def one(training: Training[S, D], args: argparse.Namespace, train: Train[S, D], parent: Run | None = None) -> Run:
    """Run one training, in the parent's folder if it is one of a group."""
    seed = args.seed if training.seed is None else training.seed
    args = argparse.Namespace(**{**vars(args), "seed": seed})
    data = training.load(args)
    settings = asdict(training.settings)
    # What the lab has no option for does not belong into the file that it is to be started with again.
    options = {name: value for name, value in settings.items() if name in args.template}
    template = {**(options if training.template is None else training.template), "seed": seed}
    if "seeds" in args.template:
        template["seeds"] = None
    run = lab_run.start(
        args,
        training.name,
        training.title.replace("{data}", data.kind),
        {"data": data.kind, **training.config, **settings},
        out=None if parent is None else parent.folder,
        template={**template, "experiment": training.experiment},
        data=[data],
    )
    with run:
        train(run, training, data, args)
    return run


def each(
    parent: Run, trainings: Sequence[Training[S, D]], args: argparse.Namespace, train: Train[S, D]
) -> list[RunRecord]:
    """Run the trainings of a group one after another, until Ctrl-C. With `--resume`, finished ones are read instead."""
    records: list[RunRecord] = []
    for training in trainings:
        record = lab_run.finished(args, parent.folder, training.name)
        if record is None:
            record = RunRecord.read(one(training, args, train, parent).folder)
        records.append(record)
        if record.status == "interrupted":
            parent.interrupt(f"Stopped by Ctrl-C in the run {training.name}")
            break
    return records


def beside_torch(
    trainings: Sequence[Training[Any, Any]],
    args: argparse.Namespace,
    title: str,
    config: Mapping[str, Any],
    *,
    name: str = "compare-torch",
    unit: str = "step",
    headings: Mapping[str, str] | None = None,
    **options: Any,
) -> Run:
    """Train each network for some steps in minigrad and in PyTorch.

    Args: name, title, config, unit: of the run. headings: {dataset: above its tables}. options: of
    `compare_torch.compare`.
    """
    run = lab_run.start(args, name, title, config, unit=unit)
    with run:
        for dataset in dict.fromkeys(training.dataset for training in trainings):
            those = [training for training in trainings if training.dataset == dataset]
            data = those[0].load(args)
            if data.warning:
                run.notice(data.warning)
            if headings is not None:
                options["title"] = headings[dataset]
            compare_torch.compare(
                run,
                {training.name: training.twin for training in those},
                _arrays(data.train),
                _arrays(data.test),
                args,
                batch_size=those[0].settings.batch_size,
                **options,
            )
            if run.interrupted:
                break
    return run


def _arrays(split: Any) -> tuple[Any, ...]:
    return split.tensors if isinstance(split, TensorDataset) else split
