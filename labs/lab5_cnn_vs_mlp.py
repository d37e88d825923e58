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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from kit import cli, experiments, image_training, lab_run
from kit.beside_torch import compare_torch
from kit.beside_torch.compare_torch import Recipe, Twin
from kit.image_data import Images
from kit.image_training import Settings, Training
from lab5 import comparison, report

import minigrad
from minigrad.runs import Run

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


def trainings(args: argparse.Namespace) -> list[Training]:
    """For each seed all networks of the experiment."""
    seeds = args.seeds or [args.seed]
    found = []
    for seed in seeds:
        for name in GROUPS.get(args.experiment, [args.experiment]):
            own = RUNS[name]
            settings = image_training.resolved(own.settings, args)
            adam = Recipe("optim.Adam", lr=settings.lr, weight_decay=settings.weight_decay)
            found.append(
                Training(
                    name=name if len(seeds) == 1 else f"{name}-seed-{seed}",
                    experiment=name,
                    title=f"Lab 5: {own.title} on {{data}}",
                    settings=settings,
                    load=partial(image_training.images_of, own.dataset),
                    twin=Twin(own.network, adam),
                    seed=seed,
                    dataset=own.dataset,
                    config={"network": own.title},
                )
            )
    return found


def train(run: Run, training: Training, images: Images, args: argparse.Namespace) -> None:
    """Train the network, and write the run's report."""
    trained = image_training.train(run, training.twin.network.make(minigrad), images, training.settings, args)
    report.of_run(trained, training.experiment, images)


def several(chosen: Sequence[Training], args: argparse.Namespace) -> Run:
    """A group of runs, and the page that compares them."""
    kinds = [image_training.images_of(dataset, args) for dataset in dict.fromkeys(t.dataset for t in chosen)]
    title = f"Lab 5: dense layers and convolutions, {' and '.join(images.kind for images in kinds)}"
    config = {"runs": [training.name for training in chosen], "seeds": args.seeds or [args.seed]}
    parent = lab_run.start(args, args.experiment, title, config, data=kinds)
    with parent:
        records = experiments.each(parent, chosen, args, train)
        compared = [(training.experiment, record) for training, record in zip(chosen, records, strict=False)]
        comparison.of_runs(parent, compared, all(images.complete for images in kinds))
    return parent


def beside_torch(chosen: Sequence[Training], args: argparse.Namespace) -> Run:
    """The first steps of an experiment's networks, by minigrad and by PyTorch."""
    names = [training.name for training in chosen]
    if {"cifar10-rescnn", "cifar10-regrescnn"} <= set(names):  # the same without dropout, which is left out here
        names.remove("cifar10-regrescnn")
    return experiments.beside_torch(
        [training for training in chosen if training.name in names],
        args,
        "Lab 5: in minigrad and in PyTorch",
        {"runs": names},
        headings=image_training.HEADINGS,
    )


def main(argv: list[str] | None = None) -> int:
    parser = cli.command_line(__doc__, "lab5", EXPERIMENTS, resumable=True)
    image_training.add_seeds(parser)
    image_training.add_settings(parser)
    compare_torch.option(parser)
    args = parser.parse_args(argv)
    beside = compare_torch.requested(parser, args)
    chosen = trainings(args)
    image_training.check_batches(chosen, args)
    if beside:
        run = beside_torch(chosen, args)
    elif args.experiment in GROUPS or args.seeds:
        run = several(chosen, args)
    else:
        run = experiments.one(chosen[0], args, train)
    return 130 if run.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
