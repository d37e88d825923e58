"""Lab 5: convolutions against dense layers, on digits and on photos.

A dense network sees an image as a list of numbers; a convolution looks at neighbouring pixels, and looks for the same
things everywhere. Here both learn the same images in the same way: on MNIST a dense network, a CNN and a CNN with
residual blocks; on CIFAR-10 a dense network of nine million parameters, a residual CNN a hundredth of its size, and
the same with dropout. What do they come to, what does it cost, and who learns by heart?

The curves named val_ are those of the test images, as in the report that this lab follows; nothing is chosen by them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from kit import cli, image_data, image_training, lab_run
from kit.beside_torch import compare_torch
from kit.beside_torch.compare_torch import Recipe, Twin
from kit.image_training import Settings
from lab5 import comparison, report

import minigrad
from minigrad.training import Run

NETS = "lab5.network"
MNIST = Settings(epochs=10)
CIFAR10 = Settings(epochs=10, weight_decay=5e-4)


@dataclass(frozen=True)
class Experiment:
    """A network, the images it learns, and how."""

    dataset: str
    network: Recipe
    settings: Settings
    title: str


RUNS = {
    "mnist-fc": Experiment("mnist", Recipe(f"{NETS}.FCNet", inputs=784, hidden=[512, 256, 128]), MNIST, "FC"),
    "mnist-cnn": Experiment("mnist", Recipe(f"{NETS}.CNN", dropout=0.25), MNIST, "CNN"),
    "mnist-rescnn": Experiment("mnist", Recipe(f"{NETS}.ResCNN", channels=1, pool=7, dropout=0.25), MNIST, "ResCNN"),
    "cifar10-fc": Experiment(
        "cifar10", Recipe(f"{NETS}.FCNet", inputs=3072, hidden=[2048, 1024, 512, 256]), CIFAR10, "FC"
    ),
    "cifar10-rescnn": Experiment("cifar10", Recipe(f"{NETS}.ResCNN", channels=3, pool=4), CIFAR10, "ResCNN"),
    "cifar10-regrescnn": Experiment(
        "cifar10", Recipe(f"{NETS}.ResCNN", channels=3, pool=4, dropout=0.25), CIFAR10, "RegResCNN"
    ),
}
GROUPS = {
    "mnist": [name for name, run in RUNS.items() if run.dataset == "mnist"],
    "cifar10": [name for name, run in RUNS.items() if run.dataset == "cifar10"],
    "all": list(RUNS),
}
EXPERIMENTS = {
    "mnist": "all three networks on MNIST, 10 epochs each, and a page that compares them",
    "cifar10": "all three networks on CIFAR-10, 10 epochs each, and a page that compares them",
    "all": "both",
    "mnist-fc": "784-512-256-128-10 with ReLU, 567,434 parameters",
    "mnist-cnn": "convolutions 32 and 64 with max-pool, 128, dropout 0.25, 421,642 parameters",
    "mnist-rescnn": "residual blocks 32 and 64 with batch-norm, dropout 0.25, 108,042 parameters",
    "cifar10-fc": "3072-2048-1024-512-256-10 with ReLU, 9,050,378 parameters",
    "cifar10-rescnn": "residual blocks 32 and 64 with batch-norm, 87,498 parameters",
    "cifar10-regrescnn": "the same with dropout 0.25 before the last layer",
}


def one(name: str, seed: int, args: argparse.Namespace, out: Path | None = None, label: str | None = None) -> Run:
    """One training, from new weights to its page; in the folder of `out` if it is one of several."""
    experiment = RUNS[name]
    args = argparse.Namespace(**{**vars(args), "seed": seed})
    settings = image_training.resolved(experiment.settings, args)
    images = image_training.images_of(experiment.dataset, args)
    run = lab_run.start(
        args,
        label or name,
        f"Lab 5: {experiment.title} on {images.kind}",
        {"data": images.kind, "network": experiment.title, **asdict(settings)},
        out=out,
        template={**asdict(settings), "experiment": name, "seed": seed, "seeds": None},
    )
    if images.warning:
        run.notice(images.warning, say=out is None)
    with run:
        trained = image_training.train(run, experiment.network.make(minigrad), images, settings, args)
        report.of_run(trained, name, images)
    return run


def several(args: argparse.Namespace) -> Run:
    """A run of runs, for each seed all networks, and the page that compares them."""
    seeds = args.seeds or [args.seed]
    members = {
        name if len(seeds) == 1 else f"{name}-seed-{seed}": (name, seed)
        for seed in seeds
        for name in GROUPS.get(args.experiment, [args.experiment])
    }
    sets = list(dict.fromkeys(RUNS[name].dataset for name, _ in members.values()))
    kinds = [image_training.images_of(dataset, args) for dataset in sets]
    title = f"Lab 5: dense layers and convolutions, {' and '.join(images.kind for images in kinds)}"
    parent = lab_run.start(args, args.experiment, title, {"runs": list(members), "seeds": seeds})
    for warning in dict.fromkeys(images.warning for images in kinds if images.warning):
        parent.notice(warning)
    with parent:
        records = image_training.each(
            parent, list(members), args, lambda label: one(*members[label], args, parent.folder, label)
        )
        comparison.of_runs(parent, [(members[r.name][0], r) for r in records], all(i.complete for i in kinds))
    return parent


def beside_torch(args: argparse.Namespace) -> Run:
    """The first steps of an experiment's networks, by minigrad and by PyTorch."""
    names = GROUPS.get(args.experiment, [args.experiment])
    if {"cifar10-rescnn", "cifar10-regrescnn"} <= set(names):  # the same without dropout, which is left out here
        names = [name for name in names if name != "cifar10-regrescnn"]
    run = lab_run.start(args, "compare-torch", "Lab 5: in minigrad and in PyTorch", {"runs": names}, unit="step")
    with run:
        for dataset in dict.fromkeys(RUNS[name].dataset for name in names):
            images = image_training.images_of(dataset, args)
            if images.warning:
                run.notice(images.warning)
            settings = image_training.resolved(MNIST if dataset == "mnist" else CIFAR10, args)
            adam = Recipe("optim.Adam", lr=settings.lr, weight_decay=settings.weight_decay)
            twins = {name: Twin(RUNS[name].network, adam) for name in names if RUNS[name].dataset == dataset}
            train, test = images.train.tensors, images.test.tensors
            compare_torch.compare(
                run,
                twins,
                train,
                test,
                args,
                batch_size=settings.batch_size,
                title=f"{image_data.TITLES[dataset]}, beside PyTorch",
            )
            if run.interrupted:
                break
    return run


def check_batches(args: argparse.Namespace) -> None:
    """End the program before any work if a batch is larger than the data, or needs more memory than is free."""
    for name in GROUPS.get(args.experiment, [args.experiment]):
        experiment = RUNS[name]
        settings, images = (
            image_training.resolved(experiment.settings, args),
            image_training.images_of(experiment.dataset, args),
        )
        image_training.check_batch(experiment.network.make(minigrad), images, settings, args.device)


def main(argv: list[str] | None = None) -> int:
    parser = cli.command_line(__doc__, "lab5", EXPERIMENTS, resumable=True)
    image_training.add_seeds(parser)
    image_training.add_settings(parser)
    compare_torch.option(parser)
    args = parser.parse_args(argv)
    beside = compare_torch.requested(parser, args)
    check_batches(args)
    if beside:
        run = beside_torch(args)
    elif args.experiment in GROUPS or args.seeds:
        run = several(args)
    else:
        run = one(args.experiment, args.seed, args)
    return 130 if run.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
